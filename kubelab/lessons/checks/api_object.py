"""`object`: API objects exist, or do not; what is so of one of them. `object-count`: how many there are."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any

from kubelab.cluster.jsonpath import JsonPath
from kubelab.cluster.objects import EVENTS, Object, controller_of, key_of, uid_of
from kubelab.cluster.pods import condition_of
from kubelab.language import Text
from kubelab.lessons import compare
from kubelab.lessons.checks import aspects
from kubelab.lessons.checks.aspects import Aspect, EventsAbout, Owner
from kubelab.lessons.checks.check import Finding, Measure, Needs, Scope, check, resource_state
from kubelab.lessons.checks.kinds import KindName, Served, in_namespace, key_in
from kubelab.lessons.checks.labels import Fields, Labels
from kubelab.lessons.compare import Comparison
from kubelab.lessons.located import Node, unknown
from kubelab.lessons.observation import Observation
from kubelab.lessons.question import Question


@dataclass(frozen=True, slots=True)
class Field:
    """A JSONPath as kubectl writes it."""

    path: JsonPath

    @classmethod
    def read(cls, node: Node) -> "Field":
        try:
            return cls(JsonPath.parse(node.text()))
        except ValueError as error:
            raise node.error(
                f"no se entiende «{error}» en el JSONPath; se escribe como {{.status.phase}}.",
                f"“{error}” in the JSONPath is not understood; write it like {{.status.phase}}.",
            ) from error


@dataclass(frozen=True, slots=True)
class Status:
    """`True`, `False` or `Unknown`, with quotation marks or without."""

    text: str

    @classmethod
    def read(cls, node: Node) -> "Status":
        choices = ("True", "False", "Unknown")
        if str(node.value) not in choices:
            raise unknown(node, Text("estado", "status"), str(node.value), choices)
        return cls(str(node.value))


@check
class ObjectCheck(Comparison, Measure):
    """An API object is there, or is not; and all that is written of it holds: the values that `field` selects
    compare as the comparison's keys (below) say, a condition, an owner, events. As a value it is that of
    `field`, or the condition's status, or how many events there are."""

    object: Annotated[KindName, "The kind of object."]
    name: Annotated[str, "Its name; by default one of any name."] = ""
    labels: Annotated[Labels | None, "The labels that it has, for when its name is not known."] = None
    namespace: Annotated[
        str, "The namespace that it is in; by default `default`, if its kind has namespaces."
    ] = ""
    absent: Annotated[bool, "There must be none."] = False
    gone: Annotated[bool, "There was one since the step began, and there is none any more."] = False
    field: Annotated[
        Field | None, "The values to compare; without a comparison, there must be one at least."
    ] = None
    increased: Annotated[
        int | None, "The value of `field`, or the sum of its values, grew by this much since the step began."
    ] = None
    condition: Annotated[str | None, "The type of a condition that it has."] = None
    status: Annotated[Status | None, "The status of that condition; by default True."] = None
    reason: Annotated[str | None, "The reason of that condition; by default any."] = None
    owner: Annotated[Owner | None, "The object that it belongs to."] = None
    orphan: Annotated[bool, "No owner controls it."] = False
    events: Annotated[EventsAbout | None, "Events about it."] = None

    example = "{object: pod, name: web, field: '{.status.phase}', eq: Running}"

    def needs(self) -> Needs:
        events = frozenset({EVENTS} if self.events else ())
        return self.object.needs() | Needs(resources=events)

    def questions(self, observation: Observation, scope: Scope) -> frozenset[Question[Any]]:
        return self.object.questions()

    def amount(self, value: Any) -> Decimal | None:
        return compare.kubernetes(value)

    def expected(self, scope: Scope) -> Text:
        title = self._title()
        if self.absent:
            return Text(f"que no exista {title.es}", f"no {title.en}")
        if self.gone:
            return Text(f"que {title.es} haya existido y ya no", f"{title.en} to have been there and be gone")
        phrases = aspects.joined(self._phrases())
        if phrases.en:
            return Text(f"{title.es}: {phrases.es}", f"{title.en}: {phrases.en}")
        return Text(f"que exista {title.es}", f"{title.en} to exist")

    def evaluate(self, observation: Observation, scope: Scope) -> Finding:
        served = self.object.served(observation)
        found = self._found(served)
        look = self._look()
        if self.gone:
            return self._gone(served, found, scope, look)
        if not found:
            title = self._title()
            return self.finding(
                self.absent, scope, Text(f"no hay {title.es}", f"there is no {title.en}"), look
            )
        judged = [list(self._aspects(obj, served, observation, scope)) for obj in found]
        if self.absent or not judged[0]:
            names = ", ".join(key_of(obj).name for obj in found)
            return self.finding(not self.absent, scope, Text(f"existe `{names}`", f"`{names}` exists"), look)
        return self._told(found, judged, scope)

    def value(self, observation: Observation, scope: Scope) -> Any:
        served = self.object.served(observation)
        found = self._found(served)
        if self.field is not None:
            values = [value for obj in found[:1] for value in self.field.path.find(obj)]
            return values if len(values) > 1 else next(iter(values), None)
        if self.condition is not None:
            known = condition_of(found[0], self.condition) if found else None
            return known and known.get("status")
        if self.events is not None:
            return sum(self._events(self.events, obj, served, observation) for obj in found)
        return bool(found)

    def _status(self) -> str:
        return self.status.text if self.status else "True"

    def _title(self) -> Text:
        if self.name:
            return Text(f"`{self.object}/{self.name}`", f"`{self.object}/{self.name}`")
        which = f" con `{self.labels}`", f" with `{self.labels}`"
        es, en = which if self.labels else ("", "")
        return Text(f"`{self.object}`{es}", f"`{self.object}`{en}")

    def _look(self) -> str:
        where = f" -n {self.namespace}" if self.namespace and self.object.resource.namespaced else ""
        which = f" {self.name}" if self.name else ""
        return f"kubectl get {self.object}{which}{where}" + (self.labels.option if self.labels else "")

    def _found(self, served: Served) -> list[Object]:
        return [obj for obj in served.state.objects if self._is_meant(obj, served)]

    def _is_meant(self, obj: Object, served: Served) -> bool:
        if self.name and key_of(obj) != key_in(served.resource, self.namespace, self.name):
            return False
        labelled = self.labels is None or self.labels.match(obj)
        return labelled and in_namespace(served.resource, self.namespace, obj)

    def _gone(self, served: Served, found: list[Object], scope: Scope, look: str) -> Finding:
        was_there = (self, "was there")
        if found:
            scope.memory.note(was_there, True)
            return self.finding(False, scope, Text("está ahí", "it is there"), look)
        departed = any(self._is_meant(obj, served) for obj in served.state.departed)
        if departed or scope.memory.latest(was_there):
            return self.finding(True, scope, Text("ya no existe", "it is gone"), look)
        never = Text("no existe, ni existió en este paso", "there is none, nor was there in this step")
        return self.finding(False, scope, never, look)

    def _told(self, found: list[Object], judged: list[list[Aspect]], scope: Scope) -> Finding:
        """Return the finding about the object that comes nearest to what is expected."""
        failed = [[aspect for aspect in each if not aspect.holds] for each in judged]
        nearest = min(range(len(found)), key=lambda index: len(failed[index]))
        shown = failed[nearest] or judged[nearest]
        observed = aspects.joined(aspect.observed for aspect in shown)
        if not self.name:
            name = key_of(found[nearest]).name
            observed = Text(f"`{name}`: {observed.es}", f"`{name}`: {observed.en}")
        rest = shown[0].look
        look = rest if rest.startswith("kubectl") else f"{self._look()} {rest}"
        return self.finding(not failed[nearest], scope, observed, look)

    def _phrases(self) -> Iterator[Text]:
        if self.field is not None:
            yield self._field_phrase(self.field.path.text)
        if self.condition is not None:
            yield aspects.condition_phrase(self.condition, self._status(), self.reason)
        if self.owner is not None:
            yield self.owner.phrase()
        if self.orphan:
            yield Text("sin dueño que lo controle", "no owner that controls it")
        if self.events is not None:
            yield self.events.phrase()

    def _field_phrase(self, path: str) -> Text:
        phrase = self.phrase()
        if self.increased is not None:
            grown = f"+{self.increased}"
            rest = Text(f" y {phrase.es}", f" and {phrase.en}") if self.asked() else Text("", "")
            return Text(
                f"{path} con {grown} desde el comienzo del paso{rest.es}",
                f"{path} up by {grown} since the step began{rest.en}",
            )
        if self.asked():
            return Text(f"{path} {phrase.es}", f"{path} {phrase.en}")
        return Text(f"con {path}", f"with {path}")

    def _aspects(
        self, obj: Object, served: Served, observation: Observation, scope: Scope
    ) -> Iterator[Aspect]:
        if self.field is not None:
            yield self._field(obj, self.field.path, scope)
        if self.condition is not None:
            yield aspects.condition(obj, self.condition, self._status(), self.reason)
        if self.owner is not None:
            yield self.owner.of(obj)
        if self.orphan:
            yield Aspect(controller_of(obj) is None, aspects.owners(obj), aspects.OWNERS)
        if self.events is not None:
            yield self._events_aspect(self.events, obj, served, observation, scope)

    def _field(self, obj: Object, path: JsonPath, scope: Scope) -> Aspect:
        values, look = path.find(obj), f"-o jsonpath='{path.text}'"
        holds = bool(values)
        if self.asked():
            holds = any(self.holds(value, self.amount) for value in values)
        if self.increased is None:
            return Aspect(holds, _shown(values), look)
        total = sum(map(_number, values), Decimal(0))
        first = scope.memory.first((self, uid_of(obj)), total)
        grown = Text(f"al comienzo: {first:f}; ahora: {total:f}", f"at first: {first:f}; now: {total:f}")
        return Aspect(holds and total - first >= self.increased, grown, look)

    def _events_aspect(
        self, wanted: EventsAbout, obj: Object, served: Served, observation: Observation, scope: Scope
    ) -> Aspect:
        number = self._events(wanted, obj, served, observation)
        if wanted.new:
            number -= scope.memory.first((self, uid_of(obj), "events"), number)
        about = f"involvedObject.kind={served.resource.kind},involvedObject.name={key_of(obj).name}"
        look = f"kubectl get events --field-selector {about}"
        return Aspect(wanted.holds(number), Text(f"hubo {number}", f"there were {number}"), look)

    def _events(self, wanted: EventsAbout, obj: Object, served: Served, observation: Observation) -> int:
        events = resource_state(observation, EVENTS).objects
        return wanted.number(events, served.resource.kind, obj)


@check
class ObjectCount(Comparison, Measure):
    """As many objects of a kind are as all of these keys say of them, as the comparison's keys (below) say.
    As a value it is their number."""

    object_count: Annotated[KindName, "The kind of objects that are counted."]
    namespace: Annotated[str, "The namespace in which they are counted."] = "default"
    labels: Annotated[Labels | None, "Labels that each of them has; by default all objects count."] = None
    fields: Annotated[Fields | None, "A field selector that each of them matches."] = None

    example = "{object-count: pods, labels: {app: web}, ge: 2}"

    def needs(self) -> Needs:
        return self.object_count.needs()

    def questions(self, observation: Observation, scope: Scope) -> frozenset[Question[Any]]:
        return self.object_count.questions()

    def expected(self, scope: Scope) -> Text:
        number, phrase = self.subject(scope), self.phrase()
        return Text(f"{number.es}: {phrase.es}", f"{number.en}: {phrase.en}")

    def subject(self, scope: Scope) -> Text:
        plural = self.object_count.resource.plural
        which = ", ".join(str(selector) for selector in (self.labels, self.fields) if selector)
        labelled = Text(f" con {which}" if which else "", f" with {which}" if which else "")
        return Text(f"cantidad de {plural}{labelled.es}", f"number of {plural}{labelled.en}")

    def evaluate(self, observation: Observation, scope: Scope) -> Finding:
        count = self.value(observation, scope)
        return self.finding(
            self.holds(count), scope, Text(f"hay {count}", f"there are {count}"), self._look()
        )

    def value(self, observation: Observation, scope: Scope) -> int:
        served = self.object_count.served(observation)
        return sum(self._counts(obj, served) for obj in served.state.objects)

    def _counts(self, obj: Object, served: Served) -> bool:
        return (
            in_namespace(served.resource, self.namespace, obj)
            and (self.labels is None or self.labels.match(obj))
            and (self.fields is None or self.fields.selector.matches(obj))
        )

    def _look(self) -> str:
        where = f" -n {self.namespace}" if self.namespace != "default" else ""
        options = "".join(selector.option for selector in (self.labels, self.fields) if selector)
        return f"kubectl get {self.object_count.resource.plural}{where}{options}"


def _number(value: Any) -> Decimal:
    """Return the number that a Quantity is, 0 for what is none; `compare` counts in billionths."""
    return (compare.kubernetes(value) or Decimal(0)).normalize()


def _shown(values: list[Any]) -> Text:
    if not values:
        return Text("el campo no está", "the field is not there")
    listed = ", ".join(str(value) for value in values)
    return Text(f"vale {listed}", f"it is {listed}")
