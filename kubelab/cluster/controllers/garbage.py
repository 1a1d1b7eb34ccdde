"""What is to become of one object, given its owners and dependents: the garbage collector's decision.

Source: kubernetes, pkg/controller/garbagecollector/garbagecollector.go (attemptToDeleteItem,
processDeletingDependentsItem, attemptToOrphan).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from kubelab.cluster.objects import Object, is_deleting, uid_of

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"

Propagation = Literal["Background", "Foreground", "Orphan"]


class Owner(Enum):
    """How an owner reference stands: its owner is there, gone, or waits for its dependents' end."""

    SOLID = "solid"
    DANGLING = "dangling"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class Delete:
    propagation: Propagation


@dataclass(frozen=True, slots=True)
class SetOwners:
    """Have these owner references only: the others' owners are gone or going, or it must not hold them up."""

    references: tuple[Object, ...]


@dataclass(frozen=True, slots=True)
class RemoveFinalizer:
    finalizer: str


@dataclass(frozen=True, slots=True)
class Orphan:
    """Take the object out of these dependents' references, then remove its finalizer."""

    dependents: tuple[Object, ...]


Step = Delete | SetOwners | RemoveFinalizer | Orphan


def owners_of(obj: Object) -> list[Object]:
    return obj["metadata"].get("ownerReferences") or []


def finalizers_of(obj: Object) -> list[str]:
    return obj["metadata"].get("finalizers") or []


def stands(owner: Object | None) -> Owner:
    if owner is None:
        return Owner.DANGLING
    return Owner.WAITING if is_deleting(owner) and FOREGROUND in finalizers_of(owner) else Owner.SOLID


def next_step(obj: Object, owners: Mapping[str, Owner], dependents: Sequence[Object]) -> Step | None:
    """Return the one thing to do about *obj*; *owners* by uid, *dependents* as far as known."""
    if is_deleting(obj):
        return _finish(obj, dependents)
    references = owners_of(obj)
    states = [owners[reference["uid"]] for reference in references]
    if not states or all(state is Owner.SOLID for state in states):
        return None
    if Owner.SOLID in states:
        solid = (r for r, state in zip(references, states, strict=True) if state is Owner.SOLID)
        return SetOwners(tuple(solid))
    if Owner.WAITING in states and dependents:
        if _is_in_circle(obj, dependents):  # Each would wait for the next, for ever.
            return SetOwners(tuple(each | {"blockOwnerDeletion": False} for each in references))
        return Delete("Foreground")  # So that what hangs on this one goes before it, too.
    return Delete(_own_wish(obj))


def _is_in_circle(obj: Object, dependents: Sequence[Object]) -> bool:
    """Whether it holds up its owners, and one that hangs on it waits as they do; as upstream's, this may take
    a line for a circle: then owners go a little earlier."""
    holds_up = any(reference.get("blockOwnerDeletion") for reference in owners_of(obj))
    return holds_up and any(stands(each) is Owner.WAITING for each in dependents)


def _finish(obj: Object, dependents: Sequence[Object]) -> Step | None:
    """Do what a finalizer of ours on an object that is being deleted waits for."""
    if ORPHAN in finalizers_of(obj):
        return Orphan(tuple(dependents))
    if FOREGROUND in finalizers_of(obj) and not any(_blocks(each, uid_of(obj)) for each in dependents):
        return RemoveFinalizer(FOREGROUND)
    return None


def _blocks(dependent: Object, owner_uid: str) -> bool:
    return any(ref["uid"] == owner_uid and ref.get("blockOwnerDeletion") for ref in owners_of(dependent))


def _own_wish(obj: Object) -> Propagation:
    if ORPHAN in finalizers_of(obj):
        return "Orphan"
    return "Foreground" if FOREGROUND in finalizers_of(obj) else "Background"
