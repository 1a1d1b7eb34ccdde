from typing import Any

import pytest

from kubelab.cluster.controllers.garbage import (
    Delete,
    Orphan,
    Owner,
    RemoveFinalizer,
    SetOwners,
    next_step,
)
from kubelab.cluster.objects import Object


def make(uid: str, *owners: str, finalizers: tuple[str, ...] = (), deleting: bool = False) -> Object:
    references = [{"uid": owner, "name": owner, "blockOwnerDeletion": True} for owner in owners]
    metadata: dict[str, Any] = {"uid": uid, "name": uid, "ownerReferences": references}
    metadata["finalizers"] = list(finalizers)
    return {"metadata": metadata | ({"deletionTimestamp": "now"} if deleting else {})}


CHILD = make("child", "rs")


@pytest.mark.parametrize(
    ("obj", "owners", "dependents", "step"),
    [
        (make("pod"), {}, [], None),
        (make("pod", "rs"), {"rs": Owner.SOLID}, [], None),
        (make("pod", "rs"), {"rs": Owner.DANGLING}, [], Delete("Background")),
        (make("pod", "rs"), {"rs": Owner.WAITING}, [], Delete("Background")),
        (make("rs", "d"), {"d": Owner.WAITING}, [CHILD], Delete("Foreground")),
        (make("rs", "d", finalizers=("orphan",)), {"d": Owner.DANGLING}, [], Delete("Orphan")),
        (make("rs", finalizers=("orphan",), deleting=True), {}, [CHILD], Orphan((CHILD,))),
        (make("rs", finalizers=("foregroundDeletion",), deleting=True), {}, [CHILD], None),
        (
            make("rs", finalizers=("foregroundDeletion",), deleting=True),
            {},
            [],
            RemoveFinalizer("foregroundDeletion"),
        ),
    ],
)
def test_the_next_step(obj: Object, owners: dict[str, Owner], dependents: list[Object], step: object) -> None:
    assert next_step(obj, owners, dependents) == step


def test_who_closes_a_circle_holds_nobody_up() -> None:
    waiting = make("a", "c", finalizers=("foregroundDeletion",), deleting=True)
    step = next_step(make("c", "b"), {"b": Owner.WAITING}, [waiting])
    assert isinstance(step, SetOwners)
    [reference] = step.references
    assert (reference["uid"], reference["blockOwnerDeletion"]) == ("b", False)
    freed = {"metadata": {"uid": "c", "ownerReferences": [reference]}}
    assert next_step(freed, {"b": Owner.WAITING}, [waiting]) == Delete("Foreground")


def test_an_object_with_one_owner_left_only_loses_the_others() -> None:
    step = next_step(make("pod", "gone", "there"), {"gone": Owner.DANGLING, "there": Owner.SOLID}, [])
    assert isinstance(step, SetOwners)
    assert [reference["uid"] for reference in step.references] == ["there"]
