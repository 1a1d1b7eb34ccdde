"""What can be so of one API object: a condition, an owner, events about it; and how that is told.

Source: kubernetes, staging/src/k8s.io/apimachinery/pkg/apis/meta/v1/types.go (Condition, OwnerReference) and
staging/src/k8s.io/api/core/v1/types.go (Event).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from kubelab.cluster.objects import Object, key_of, uid_of
from kubelab.cluster.pods import condition_of
from kubelab.language import Text
from kubelab.lessons.compare import Comparison


@dataclass(frozen=True, slots=True)
class Aspect:
    """Whether one thing that is expected of an object holds; `look` are words after `kubectl get KIND NAME`,
    or a whole command if it begins with `kubectl`."""

    holds: bool
    observed: Text
    look: str = ""


def joined(texts: Iterable[Text]) -> Text:
    listed = list(texts)
    return Text("; ".join(text.es for text in listed), "; ".join(text.en for text in listed))


def condition(obj: Object, type_: str, status: str, reason: str | None) -> Aspect:
    found = condition_of(obj, type_)
    if found is None:
        observed = Text(f"no hay condición {type_}", f"there is no condition {type_}")
        return Aspect(False, observed, "-o yaml")
    says, why = str(found.get("status")), str(found.get("reason") or "")
    holds = says == status and reason in (None, why)
    told = f"{type_}={says}" + (f" ({why})" if why else "")
    return Aspect(holds, Text(told, told), "-o yaml")


def condition_phrase(type_: str, status: str, reason: str | None) -> Text:
    told = f"{type_}={status}" + (f" ({reason})" if reason else "")
    return Text(f"condición {told}", f"condition {told}")


@dataclass(frozen=True, slots=True)
class Owner:
    """The object that another one belongs to (`metadata.ownerReferences`)."""

    kind: Annotated[str, "Its kind, as `ReplicaSet`."]
    name: Annotated[str | None, "Its name; by default any."] = None
    controller: Annotated[bool, "It must be the owner that controls the object."] = True

    def phrase(self) -> Text:
        title = self.kind + (f"/{self.name}" if self.name else "")
        return Text(f"dueño `{title}`", f"owner `{title}`")

    def of(self, obj: Object) -> Aspect:
        references = obj["metadata"].get("ownerReferences") or ()
        return Aspect(any(map(self._is, references)), owners(obj), OWNERS)

    def _is(self, reference: Object) -> bool:
        if self.controller and not reference.get("controller"):
            return False
        same_kind = str(reference.get("kind")).lower() == self.kind.lower()
        return same_kind and self.name in (None, reference.get("name"))


OWNERS = "-o jsonpath='{.metadata.ownerReferences}'"


def owners(obj: Object) -> Text:
    references = obj["metadata"].get("ownerReferences") or ()
    if not references:
        return Text("no tiene dueño", "it has no owner")
    names = ", ".join(
        f"{reference.get('kind')}/{reference.get('name')}"
        + ("" if reference.get("controller") else " (no controller)")
        for reference in references
    )
    return Text(f"su dueño es {names}", f"its owner is {names}")


@dataclass(frozen=True, slots=True)
class EventsAbout:
    """Events about an object; they are counted as often as they happened."""

    reason: Annotated[str | None, "Their reason, as `FailedScheduling`; by default any."] = None
    type: Annotated[str | None, "Their type: `Normal` or `Warning`; by default any."] = None
    contains: Annotated[str | None, "A part of their message."] = None
    count: Annotated[Comparison | None, "How often they happened; by default once at least."] = None
    new: Annotated[bool, "Only those count that happened since the step began."] = False

    def phrase(self) -> Text:
        name = " ".join(filter(None, (self.type, self.reason)))
        told = f" {name}" if name else ""
        told += f" «{self.contains}»" if self.contains else ""
        count = self._count().phrase()
        return Text(f"eventos{told} sobre él: {count.es}", f"events{told} about it: {count.en}")

    def holds(self, number: int) -> bool:
        return self._count().holds(number)

    def number(self, events: Iterable[Object], kind: str, obj: Object) -> int:
        """Return how often they happened."""
        return sum(_times(event) for event in events if self._matches(event) and _about(event, kind, obj))

    def _count(self) -> Comparison:
        return self.count or Comparison(ge=1)

    def _matches(self, event: Object) -> bool:
        return (
            self.reason in (None, event.get("reason"))
            and self.type in (None, event.get("type"))
            and (self.contains or "") in str(event.get("message") or "")
        )


def _times(event: Object) -> int:
    series = event.get("series") or {}
    return int(series.get("count") or event.get("count") or 1)


def _about(event: Object, kind: str, obj: Object) -> bool:
    """A kubelet's events about its Node have the name of that for its uid."""
    about = event.get("involvedObject") or {}
    namespace, name = key_of(obj)
    if (about.get("kind"), about.get("namespace") or "", about.get("name")) != (kind, namespace, name):
        return False
    return about.get("uid") in (None, "", name, uid_of(obj))
