from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from objects_for_tests import START, make_pod, make_set

from kubelab.cluster.controllers.replicas import plan, status_of
from kubelab.cluster.objects import Object

NOW = START + timedelta(hours=1)


def running(name: str, **more: Any) -> Object:
    more = {"node": "n1", "phase": "Running", "ready_since_s": 10} | more
    return make_pod(name, **more)


@pytest.mark.parametrize(
    ("goes", "stays"),
    [
        (make_pod("goes"), make_pod("stays", node="n1")),
        (make_pod("goes", node="n1"), make_pod("stays", node="n1", phase="Running")),
        (make_pod("goes", node="n1", phase="Running"), running("stays")),
        (running("goes", cost="-5"), running("stays")),
        (running("goes", ready_since_s=50), running("stays")),
        (running("goes", restarts=2), running("stays")),
        (running("goes", created_s=5), running("stays")),
    ],
    ids=["unscheduled", "pending", "unready", "cheap", "ready for less long", "restarted", "younger"],
)
def test_of_a_surplus_the_pod_that_loses_least_goes_first(goes: Object, stays: Object) -> None:
    for pods in ([goes, stays], [stays, goes]):
        assert [pod["metadata"]["name"] for pod in plan(1, pods, NOW).delete] == ["goes"]


def test_a_crowded_node_gives_first() -> None:
    pods = [running("a", node="n1"), running("b", node="n2"), running("c", node="n2")]
    assert plan(2, pods, NOW).delete[0]["metadata"]["name"] in ("b", "c")


@given(
    replicas=st.integers(0, 20),
    phases=st.lists(st.sampled_from(["Pending", "Running", "Succeeded", "Failed"]), max_size=20),
    deleting=st.sets(st.integers(0, 19)),
)
def test_a_plan_brings_the_active_pods_to_the_wanted_number(
    replicas: int, phases: list[str], deleting: set[int]
) -> None:
    pods = [make_pod(f"p{i}", phase=phase, deleting=i in deleting) for i, phase in enumerate(phases)]
    active = [p for i, p in enumerate(pods) if phases[i] in ("Pending", "Running") and i not in deleting]
    todo = plan(replicas, pods, NOW)
    assert len(active) + todo.create - len(todo.delete) == replicas
    assert not (todo.create and todo.delete)
    assert all(pod in active for pod in todo.delete)


def test_a_ready_pod_becomes_available_after_min_ready_seconds() -> None:
    replica_set = make_set("web", 1)
    replica_set["spec"]["minReadySeconds"] = 10
    pods = [running("web-1", ready_since_s=0)]
    for after_s, available in ((9, 0), (10, 1)):
        status = status_of(replica_set, pods, None, START + timedelta(seconds=after_s))
        assert (status["readyReplicas"], status["availableReplicas"]) == (1, available)
