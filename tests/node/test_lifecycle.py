"""A pod's life as values: no runtime, no API, and time as an argument."""

from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubelab.cluster.node import record as records
from kubelab.cluster.node.backoff import Backoff, grown, wait_s
from kubelab.cluster.node.lifecycle import (
    DeletePod,
    PullImage,
    RemoveSandbox,
    RunSandbox,
    StartContainer,
    StopContainers,
    decide,
    duration,
)
from kubelab.cluster.node.record import PodRecord, Running, new_record
from kubelab.cluster.node.status import pod_status
from kubelab.cluster.objects import Object
from kubelab.cluster.runtime.cri import Container, ContainerExit, Sandbox

START = datetime(2026, 1, 1, tzinfo=UTC)
HOST = IPv4Address("192.168.7.2")
ADDRESS = IPv4Address("10.244.1.2")


def make_pod(names: list[str], inits: list[str] | None = None, policy: str = "Always") -> Object:
    spec: dict[str, Any] = {"restartPolicy": policy}
    spec["containers"] = [{"name": name, "image": "i"} for name in names]
    spec["initContainers"] = [{"name": name, "image": "i"} for name in inits or []]
    return {"metadata": {"name": "web", "namespace": "default", "uid": "u"}, "spec": spec}


def after(record: PodRecord, action: object, now: datetime, *, fails: bool = False) -> PodRecord:
    """Return the record once the runtime has done, or refused, what was asked."""
    match action:
        case RunSandbox() if fails:
            return records.sandbox_failed(record, "no address", now)
        case RunSandbox():
            return records.sandbox_ran(record, Sandbox("u", 1, ADDRESS))
        case PullImage(name) if fails:
            return records.image_refused(record, name, "ErrImagePull", "not found", now)
        case PullImage(name):
            return records.image_pulled(record, name)
        case StartContainer(name) if fails:
            return records.container_not_started(record, name, "no such file", now)
        case StartContainer(name):
            count = records.next_restart_count(record.containers[name])
            return records.container_started(
                record, name, Container(f"{name}-{count}", "u", name, "i", 2, now)
            )
        case StopContainers():
            for state in record.running().values():
                record = records.container_exited(record, ContainerExit(state.id, 143, False, now))
            return record
        case RemoveSandbox():
            return records.sandbox_removed(record, now)
    raise AssertionError(action)


def settle(pod: Object, record: PodRecord, now: datetime) -> tuple[PodRecord, list[object]]:
    """Do everything that is due *now*."""
    actions: list[object] = []
    while (decision := decide(pod, record, now)).action is not None:
        if isinstance(decision.action, DeletePod):
            return decision.record, [*actions, decision.action]
        actions.append(decision.action)
        record = after(decision.record, decision.action, now)
        assert len(actions) < 100, "the pod never comes to rest"
    return decision.record, actions


def ended(record: PodRecord, name: str, exit_code: int, now: datetime) -> PodRecord:
    state = record.containers[name].state
    assert isinstance(state, Running)
    return records.container_exited(record, ContainerExit(state.id, exit_code, False, now))


def test_a_pod_starts_in_order() -> None:
    pod = make_pod(["a", "b"])
    _, actions = settle(pod, new_record(pod, START), START)
    assert actions == [
        RunSandbox(),
        PullImage("a"),
        StartContainer("a"),
        PullImage("b"),
        StartContainer("b"),
    ]


def test_a_deleted_pod_is_taken_down_in_order() -> None:
    pod = make_pod(["a", "b"])
    record, _ = settle(pod, new_record(pod, START), START)
    pod["metadata"] |= {"deletionTimestamp": "now", "deletionGracePeriodSeconds": 5}
    _, actions = settle(pod, record, START)
    assert actions == [StopContainers(5.0), RemoveSandbox(), DeletePod()]


@pytest.mark.parametrize(
    ("policy", "exit_code", "restarts", "phase"),
    [
        ("Always", 0, True, "Running"),
        ("Always", 1, True, "Running"),
        ("OnFailure", 0, False, "Succeeded"),
        ("OnFailure", 1, True, "Running"),
        ("Never", 0, False, "Succeeded"),
        ("Never", 1, False, "Failed"),
    ],
)
def test_the_restart_policy_decides(policy: str, exit_code: int, restarts: bool, phase: str) -> None:
    pod = make_pod(["a"], policy=policy)
    record, _ = settle(pod, new_record(pod, START), START)
    record, actions = settle(pod, ended(record, "a", exit_code, START), START)
    assert (StartContainer("a") in actions) is restarts
    assert pod_status(pod, record, HOST, START)["phase"] == phase


def test_a_failed_init_container_fails_a_pod_that_never_restarts() -> None:
    pod = make_pod(["a"], inits=["init"], policy="Never")
    record, _ = settle(pod, new_record(pod, START), START)
    record, actions = settle(pod, ended(record, "init", 1, START), START)
    status = pod_status(pod, record, HOST, START)
    assert actions == [RemoveSandbox()]
    assert status["phase"] == "Failed"
    assert status["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 1


def test_conditions_say_what_is_missing() -> None:
    pod = make_pod(["a"], inits=["init"])
    record, _ = settle(pod, new_record(pod, START), START)
    status = pod_status(pod, record, HOST, START)
    found = {c["type"]: (c["status"], c.get("message")) for c in status["conditions"]}
    assert found["Initialized"] == ("False", "containers with incomplete status: [init]")
    assert found["Ready"] == ("False", "containers with unready status: [a]")
    assert found["PodReadyToStartContainers"] == ("True", None)


def test_a_sandbox_that_failed_is_tried_again_after_a_while() -> None:
    pod = make_pod(["a"])
    record = after(new_record(pod, START), RunSandbox(), START, fails=True)
    decision = decide(pod, record, START + timedelta(seconds=4))
    assert (decision.action, decision.wait_s) == (None, 6.0)
    assert decide(pod, record, START + timedelta(seconds=10)).action == RunSandbox()


def test_the_back_off_is_forgotten_after_ten_minutes_of_health() -> None:
    backoff = Backoff(160.0, START)
    later = START + timedelta(seconds=601)
    assert wait_s(backoff, later, later) == 0.0
    assert grown(backoff, later, later).delay_s == 10.0


@given(st.lists(st.floats(0, 400), min_size=1, max_size=30))
def test_a_back_off_never_shrinks_in_a_crash_loop_nor_exceeds_five_minutes(
    lives_s: list[float],
) -> None:
    backoff, now, delays = None, START, []
    for life_s in lives_s:
        now += timedelta(seconds=life_s)
        end = now
        now += timedelta(seconds=wait_s(backoff, end, now))
        backoff = grown(backoff, end, now)
        delays.append(backoff.delay_s)
    assert delays == sorted(delays)
    assert delays[-1] <= 300


@given(
    policy=st.sampled_from(["Always", "OnFailure", "Never"]),
    names=st.integers(1, 3),
    inits=st.integers(0, 2),
    data=st.data(),
)
def test_whatever_happens_a_pod_keeps_its_rules(
    policy: str, names: int, inits: int, data: st.DataObject
) -> None:
    """Containers start only in a sandbox, after all init containers, each once at a time; counts only grow;
    every state has a status; and a deletion always ends in the pod's removal."""
    pod = make_pod([f"c{i}" for i in range(names)], [f"i{i}" for i in range(inits)], policy)
    record, now = new_record(pod, START), START
    for _ in range(data.draw(st.integers(1, 25))):
        decision = decide(pod, record, now)
        before, record = record, decision.record
        if isinstance(decision.action, StartContainer):
            name = decision.action.container
            assert record.sandbox is not None
            assert not isinstance(record.containers[name].state, Running)
            if name.startswith("c"):
                done = [records.Terminated] * inits
                assert [type(record.containers[f"i{i}"].state) for i in range(inits)] == done
        if decision.action is not None:
            record = after(record, decision.action, now, fails=data.draw(st.booleans()))
        elif record.running() and data.draw(st.booleans()):
            name = data.draw(st.sampled_from(sorted(record.running())))
            record = ended(record, name, data.draw(st.sampled_from([0, 1, 137])), now)
        now += timedelta(seconds=data.draw(st.floats(0, 400)))
        for name, container in record.containers.items():
            assert container.restart_count >= before.containers[name].restart_count
        status = pod_status(pod, record, HOST, now)
        assert status["phase"] in ("Pending", "Running", "Succeeded", "Failed")
    pod["metadata"] |= {"deletionTimestamp": "now", "deletionGracePeriodSeconds": 0}
    _, actions = settle(pod, record, now)
    assert actions[-1] == DeletePod()


@given(names=st.integers(1, 3), exits=st.lists(st.integers(0, 2), max_size=6))
def test_a_record_read_back_from_its_status_goes_on_from_there(names: int, exits: list[int]) -> None:
    """As a restarted kubelet does: counts and last states survive, and what ran is taken as killed."""
    pod = make_pod([f"c{i}" for i in range(names)])
    record, _ = settle(pod, new_record(pod, START), START)
    for index in exits:
        name = f"c{index % names}"
        if name in record.running():
            record, _ = settle(pod, ended(record, name, 1, START), START)
    read = new_record(pod | {"status": pod_status(pod, record, HOST, START)}, START)
    assert read.running() == {}
    for name, container in record.containers.items():
        assert read.containers[name].restart_count == container.restart_count
        assert records.next_restart_count(read.containers[name]) == container.restart_count + 1


@pytest.mark.parametrize(("seconds", "text"), [(10, "10s"), (80, "1m20s"), (160, "2m40s"), (300, "5m0s")])
def test_durations_read_as_go_prints_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text
