"""`object`: an API object exists, is absent, has a field that compares so, or a condition; `object-count`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from kubelab.cluster.objects import Key, Object, key_of, labels_of
from kubelab.language import Text
from kubelab.lessons.checks.check import Check, Finding, Needs, Scope, check, resource_state
from kubelab.lessons.checks.kinds import KindName
from kubelab.lessons.compare import Comparison
from kubelab.lessons.jsonpath import JsonPath
from kubelab.lessons.located import Node
from kubelab.lessons.observation import Observation


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


@check
class ObjectCheck(Comparison, Check):
    """An API object is there, or is not; has a condition; or one of the values that `field` selects compares
    as the comparison's keys (below) say."""

    object: Annotated[KindName, "The kind of object."]
    name: Annotated[str, "Its name."]
    namespace: Annotated[
        str, "The namespace that it is in; by default `default`, if its kind has namespaces."
    ] = ""
    absent: Annotated[bool, "There must be none of that name."] = False
    field: Annotated[
        Field | None, "The values to compare; without a comparison, there must be one at least."
    ] = None
    condition: Annotated[str | None, "The type of a condition whose status must be True."] = None

    example = "{object: pod, name: web, field: '{.status.phase}', eq: Running}"

    def needs(self) -> Needs:
        return Needs(resources=frozenset({self.object.resource}))

    def expected(self, scope: Scope) -> Text:
        title = f"{self.object}/{self.name}"
        if self.absent:
            return Text(f"que no exista `{title}`", f"no `{title}`")
        if self.condition is not None:
            return Text(
                f"`{title}` con la condición {self.condition}", f"`{title}` with condition {self.condition}"
            )
        if self.field is not None and self.asked():
            path, phrase = self.field.path.text, self.phrase()
            return Text(f"`{title}`: {path} {phrase.es}", f"`{title}`: {path} {phrase.en}")
        return Text(f"que exista `{title}`", f"`{title}` to exist")

    def evaluate(self, observation: Observation, scope: Scope) -> Finding:
        key = self._key()
        found = next(
            (o for o in resource_state(observation, self.object.resource).objects if key_of(o) == key), None
        )
        look = f"kubectl get {self.object} {self.name}"
        if found is None:
            missing = Text(f"no hay `{self.object}/{self.name}`", f"there is no `{self.object}/{self.name}`")
            return self.finding(self.absent, scope, missing, look)
        if self.absent or (self.field is None and self.condition is None):
            return self.finding(not self.absent, scope, Text("existe", "it exists"), look)
        if self.condition is not None:
            return self._condition(found, self.condition, scope, look)
        return self._field(found, scope, look)

    def _key(self) -> Key:
        return Key((self.namespace or "default") if self.object.resource.namespaced else "", self.name)

    def _condition(self, obj: Object, type_: str, scope: Scope, look: str) -> Finding:
        conditions = (obj.get("status") or {}).get("conditions") or ()
        status = next((str(c.get("status")) for c in conditions if c.get("type") == type_), None)
        observed = Text(f"{type_}={status or 'ausente'}", f"{type_}={status or 'absent'}")
        return self.finding(status == "True", scope, observed, f"{look} -o yaml")

    def _field(self, obj: Object, scope: Scope, look: str) -> Finding:
        assert self.field is not None
        values = self.field.path.find(obj)
        passed = any(map(self.holds, values)) if self.asked() else bool(values)
        return self.finding(passed, scope, _shown(values), f"{look} -o jsonpath='{self.field.path.text}'")


@check
class ObjectCount(Comparison, Check):
    """As many objects of a kind have all these labels as the comparison's keys (below) say."""

    object_count: Annotated[KindName, "The kind of objects that are counted."]
    namespace: Annotated[str, "The namespace in which they are counted."] = "default"
    labels: Annotated[
        Mapping[str, str] | None, "Labels that each of them has; by default all objects count."
    ] = None

    example = "{object-count: pods, labels: {app: web}, ge: 2}"

    def needs(self) -> Needs:
        return Needs(resources=frozenset({self.object_count.resource}))

    def expected(self, scope: Scope) -> Text:
        plural, selector, phrase = self.object_count.resource.plural, self._selector(), self.phrase()
        labelled = Text(f" con {selector}" if selector else "", f" with {selector}" if selector else "")
        return Text(
            f"cantidad de {plural}{labelled.es}: {phrase.es}", f"number of {plural}{labelled.en}: {phrase.en}"
        )

    def evaluate(self, observation: Observation, scope: Scope) -> Finding:
        objects = resource_state(observation, self.object_count.resource).objects
        count = sum(self._counts(obj) for obj in objects)
        selector = self._selector()
        look = f"kubectl get {self.object_count.resource.plural}" + (f" -l {selector}" if selector else "")
        return self.finding(self.holds(count), scope, Text(f"hay {count}", f"there are {count}"), look)

    def _counts(self, obj: Object) -> bool:
        in_namespace = not self.object_count.resource.namespaced or key_of(obj).namespace == self.namespace
        return in_namespace and (self.labels or {}).items() <= labels_of(obj).items()

    def _selector(self) -> str:
        return ",".join(f"{name}={value}" for name, value in (self.labels or {}).items())


def _shown(values: list[Any]) -> Text:
    if not values:
        return Text("el campo no está", "the field is not there")
    listed = ", ".join(str(value) for value in values)
    return Text(f"vale {listed}", f"it is {listed}")
