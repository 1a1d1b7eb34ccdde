from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from objects_for_tests import make_deployment, make_set

from kubelab.cluster.controllers.rollout import (
    Bounds,
    bounds_of,
    new_replicas,
    recreate_steps,
    rolling_steps,
    surplus_history,
)
from kubelab.cluster.objects import Object


def rolling(replicas: int, surge: int | str, unavailable: int | str) -> Object:
    rolling_update = {"maxSurge": surge, "maxUnavailable": unavailable}
    strategy = {"type": "RollingUpdate", "rollingUpdate": rolling_update}
    return make_deployment(replicas=replicas, strategy=strategy)


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "bounds"),
    [
        (3, "25%", "25%", Bounds(1, 0)),
        (10, "25%", "25%", Bounds(3, 2)),
        (1, "25%", "25%", Bounds(1, 0)),
        (4, 0, 0, Bounds(0, 1)),
        (2, 1, 5, Bounds(1, 2)),
    ],
)
def test_surge_rounds_up_and_unavailable_rounds_down(
    replicas: int, surge: int | str, unavailable: int | str, bounds: Bounds
) -> None:
    assert bounds_of(rolling(replicas, surge, unavailable)) == bounds


@given(
    replicas=st.integers(1, 12),
    surge=st.integers(0, 4),
    unavailable=st.integers(0, 4),
    old=st.lists(st.integers(0, 8), min_size=1, max_size=3),
    luck=st.randoms(use_true_random=False),
)
def test_a_rolling_update_keeps_its_bounds_and_ends(
    replicas: int, surge: int, unavailable: int, old: list[int], luck: Random
) -> None:
    """Pods become available one by one, in any order; never too many pods, never too few available."""
    deployment = rolling(replicas, surge, unavailable)
    bounds = bounds_of(deployment)
    sets = [make_set(f"old-{i}", count) for i, count in enumerate(old)]
    sets.append(make_set("new", new_replicas(deployment, sets), available=0))
    least = min(replicas - bounds.max_unavailable, sum(old))
    most = max(replicas + bounds.max_surge, sum(old))
    for _ in range(200):
        *olds, new = sets
        steps = rolling_steps(deployment, new, olds)
        for step in steps:
            target = next(each for each in sets if each["metadata"]["name"] == step.name)
            target["spec"]["replicas"] = step.after
            status = target["status"]
            status["availableReplicas"] = min(status["availableReplicas"], step.after)
        assert sum(each["spec"]["replicas"] for each in sets) <= most
        assert sum(each["status"]["availableReplicas"] for each in sets) >= least
        late = [each for each in sets if each["status"]["availableReplicas"] < each["spec"]["replicas"]]
        if late:
            luck.choice(late)["status"]["availableReplicas"] += 1
        elif not steps:
            break
    assert [each["spec"]["replicas"] for each in sets] == [0] * len(old) + [replicas]


def test_unhealthy_old_replicas_go_first() -> None:
    deployment = rolling(4, 1, 1)
    sick, healthy = make_set("sick", 2, available=0), make_set("healthy", 3)
    steps = rolling_steps(deployment, make_set("new", 0), [healthy, sick])
    assert {(step.name, step.after) for step in steps} == {("sick", 0)}


def test_recreate_waits_until_the_old_pods_are_gone() -> None:
    deployment = make_deployment(strategy={"type": "Recreate"})
    old, new = make_set("old", 3), make_set("new", 0)
    assert [(s.name, s.after) for s in recreate_steps(deployment, new, [old], old_pods=True)] == [("old", 0)]
    old["spec"]["replicas"] = 0
    assert recreate_steps(deployment, new, [old], old_pods=True) == ()
    assert [s.after for s in recreate_steps(deployment, new, [old], old_pods=False)] == [3]


def test_the_oldest_revisions_beyond_the_limit_are_forgotten() -> None:
    revision = "deployment.kubernetes.io/revision"
    old = [make_set(f"rs-{n}", 0, annotations={revision: str(n)}) for n in (3, 1, 2)]
    gone = surplus_history(make_deployment(revisionHistoryLimit=1), old)
    assert [each["metadata"]["name"] for each in gone] == ["rs-1", "rs-2"]
