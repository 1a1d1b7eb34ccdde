"""What a namespace that is going tells of what keeps it: its conditions. Pure.

Source: kubernetes, pkg/controller/namespace/deletion/status_condition_utils.go.
Left out: failures of discovery (all is tried again) and of parsing the names of groups (nothing is parsed).
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from kubelab.cluster.clock import rfc3339
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import Object, Resource

_FINE = {
    "NamespaceDeletionDiscoveryFailure": ("ResourcesDiscovered", "All resources successfully discovered"),
    "NamespaceDeletionGroupVersionParsingFailure": (
        "ParsedGroupVersions",
        "All legacy kube types successfully parsed",
    ),
    "NamespaceDeletionContentFailure": (
        "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization",
    ),
    "NamespaceContentRemaining": ("ContentRemoved", "All content successfully removed"),
    "NamespaceFinalizersRemaining": ("ContentHasNoFinalizers", "All content-preserving finalizers finished"),
}


@dataclass(slots=True)
class Remaining:
    """What is left after a pass: how many objects of which resource, with which finalizers, and refusals."""

    resources: Counter[str] = field(default_factory=Counter)
    finalizers: Counter[str] = field(default_factory=Counter)
    refusals: list[ApiError] = field(default_factory=list)

    def add(self, resource: Resource, objects: Sequence[Object]) -> None:
        if objects:
            self.resources[f"{resource.plural}.{resource.group}"] += len(objects)
        for obj in objects:
            self.finalizers.update(obj["metadata"].get("finalizers") or ())


def conditions(known: Sequence[Object], left: Remaining, now: datetime) -> list[Object]:
    """Return the conditions of a namespace that had the *known* ones, and of which so much is *left*."""
    failing, old = dict(_failing(left)), {each["type"]: each for each in known}
    new: dict[str, Object] = {}
    for type_, fine in _FINE.items():
        reason, message = failing.get(type_, fine)
        status, before = "True" if type_ in failing else "False", old.get(type_, {})
        since = before.get("lastTransitionTime") if before.get("status") == status else None
        told = {
            "status": status,
            "lastTransitionTime": since or rfc3339(now),
            "reason": reason,
            "message": message,
        }
        new[type_] = {"type": type_} | told
    return [*(old | new).values()]


def _failing(left: Remaining) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield the conditions that are true, each with its reason and message."""
    if left.refusals:
        said = ", ".join(sorted(each.message for each in left.refusals))
        message = f"Failed to delete all resource types, {len(left.refusals)} remaining: {said}"
        yield "NamespaceDeletionContentFailure", ("ContentDeletionFailed", message)
    if left.resources:
        counted = ", ".join(
            f"{name} has {count} resource instances" for name, count in _sorted(left.resources)
        )
        message = f"Some resources are remaining: {counted}"
        yield "NamespaceContentRemaining", ("SomeResourcesRemain", message)
    if left.finalizers:
        counted = ", ".join(
            f"{name} in {count} resource instances" for name, count in _sorted(left.finalizers)
        )
        message = f"Some content in the namespace has finalizers remaining: {counted}"
        yield "NamespaceFinalizersRemaining", ("SomeFinalizersRemain", message)


def _sorted(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items())
