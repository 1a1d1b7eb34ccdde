"""The numbers in the status of what keeps replicas: none negative, no part greater than the whole.

Source: kubernetes, pkg/apis/apps/validation/validation.go (ValidateDeploymentStatus and its siblings).
"""

from collections.abc import Iterable, Iterator

from kubelab.cluster.apiserver.fields import FieldError, invalid_value, not_negative
from kubelab.cluster.objects import Object


def not_negatives(status: Object, names: Iterable[str]) -> Iterator[FieldError]:
    for name in names:
        yield from not_negative(status.get(name), f"status.{name}")


def at_most_replicas(status: Object, names: Iterable[str]) -> Iterator[FieldError]:
    for name in names:
        if (count := status.get(name, 0)) > status.get("replicas", 0):
            yield invalid_value(f"status.{name}", count, "cannot be greater than status.replicas")


def available_at_most_ready(status: Object, detail: str) -> Iterator[FieldError]:
    available = status.get("availableReplicas", 0)
    if available > status.get("readyReplicas", 0):
        yield invalid_value("status.availableReplicas", available, detail)


def collisions_only_grow(new: Object, old: Object) -> Iterator[FieldError]:
    """Yield an error if the count of name collisions falls: names would come again."""
    count, before = _collisions(new), _collisions(old)
    if before is not None and (count is None or count < before):
        yield invalid_value("status.collisionCount", count or 0, "cannot be decremented")


def _collisions(obj: Object) -> int | None:
    count: int | None = (obj.get("status") or {}).get("collisionCount")
    return count
