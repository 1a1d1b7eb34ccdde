"""A Deployment that is scaled in the midst of a rollout: the ReplicaSets share the change.

Source: https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#proportional-scaling.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from objects_for_tests import make_deployment, make_set

from kubelab.cluster.controllers.proportional_scaling import (
    DESIRED,
    MAX,
    is_resized,
    resizing_steps,
    size_annotations,
)
from kubelab.cluster.controllers.rollout import bounds_of
from kubelab.cluster.objects import Object


def deployment(replicas: int, *, surge: int = 3, kind: str = "RollingUpdate") -> Object:
    strategy: Object = {"type": kind}
    if kind == "RollingUpdate":
        strategy["rollingUpdate"] = {"maxSurge": surge, "maxUnavailable": 2}
    return make_deployment(replicas=replicas, strategy=strategy)


def replica_set(name: str, replicas: int, *, of: int, surge: int = 3, available: int | None = None) -> Object:
    """A ReplicaSet that was scaled when its Deployment had *of* replicas."""
    annotations = {DESIRED: str(of), MAX: str(of + surge)}
    return make_set(name, replicas, available, annotations=annotations, creationTimestamp=name)


def sizes(after: int, *sets: Object, surge: int = 3) -> dict[str, int]:
    """Return what becomes of *sets*, of which the last is the newest."""
    *old, newest = sets
    steps = resizing_steps(deployment(after, surge=surge), newest, old)
    return {each["metadata"]["name"]: each["spec"]["replicas"] for each in sets} | {
        step.name: step.after for step in steps
    }


@pytest.mark.parametrize(
    ("after", "old", "new"),
    [(15, 11, 7), (30, 20, 13), (5, 5, 3), (1, 2, 2), (0, 0, 0)],
)
def test_each_replica_set_keeps_its_part(after: int, old: int, new: int) -> None:
    """A rollout of ten with a surge of three stands at eight old and five new ones."""
    sets = replica_set("1", 8, of=10), replica_set("2", 5, of=10)
    assert sizes(after, *sets) == {"1": old, "2": new}


def test_of_the_same_size_the_newest_grows_first_and_the_oldest_shrinks_first() -> None:
    sets = replica_set("1", 5, of=7), replica_set("2", 5, of=7)
    assert sizes(8, *sets) == {"1": 5, "2": 6}
    assert sizes(6, *sets) == {"1": 4, "2": 5}


def test_one_that_is_alone_gets_all() -> None:
    assert sizes(7, replica_set("1", 0, of=3), replica_set("2", 3, of=3)) == {"1": 0, "2": 7}
    assert sizes(7, replica_set("1", 3, of=3), replica_set("2", 0, of=3)) == {"1": 7, "2": 0}


def test_where_none_has_pods_the_latest_gets_them() -> None:
    """A paused Deployment has no ReplicaSet of its template before it goes on."""
    old = replica_set("1", 0, of=3), replica_set("2", 0, of=3)
    assert [(step.name, step.after) for step in resizing_steps(deployment(4), None, old)] == [("2", 4)]


def test_once_the_newest_has_all_the_others_end() -> None:
    sets = replica_set("1", 2, of=4), replica_set("2", 5, of=5)
    assert sizes(5, *sets) == {"1": 0, "2": 5}


def test_a_change_is_noticed_by_the_annotations_of_who_has_pods() -> None:
    assert is_resized(deployment(5), [replica_set("1", 3, of=3)])
    assert not is_resized(deployment(3), [replica_set("1", 3, of=3)])
    assert not is_resized(deployment(5), [replica_set("1", 0, of=3)])
    assert not is_resized(deployment(5), [make_set("1", 3)])


def test_who_was_scaled_by_hand_to_what_is_wanted_is_only_told_so() -> None:
    """Otherwise it would count as resized for ever, and no rollout would begin."""
    (step,) = resizing_steps(deployment(4), replica_set("1", 4, of=3), [])
    assert (step.before, step.after) == (4, 4)


def test_recreate_has_no_shares() -> None:
    sets = replica_set("1", 2, of=4), replica_set("2", 2, of=4)
    assert resizing_steps(deployment(6, kind="Recreate"), sets[1], [sets[0]]) == ()


@given(
    after=st.integers(0, 40),
    surge=st.integers(0, 10),
    parts=st.lists(st.integers(1, 20), min_size=2, max_size=5),
    missing=st.integers(0, 10),
)
def test_together_they_fill_what_is_allowed(after: int, surge: int, parts: list[int], missing: int) -> None:
    """What rounding leaves is the largest's, which cannot have less than none."""
    before = max(1, sum(parts) + missing - surge)
    sets = [replica_set(str(i), size, of=before, surge=surge, available=0) for i, size in enumerate(parts)]
    found = sizes(after, *sets, surge=surge)
    allowed = after + bounds_of(deployment(after, surge=surge)).max_surge if after else 0
    assert allowed <= sum(found.values()) < allowed + len(parts)
    assert min(found.values()) >= 0


def test_a_step_is_noted_where_the_next_change_is_seen_by_it() -> None:
    assert size_annotations(deployment(10)) == {DESIRED: "10", MAX: "13"}
    assert size_annotations(deployment(10, kind="Recreate")) == {DESIRED: "10", MAX: "10"}
