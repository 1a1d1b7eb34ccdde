"""Ephemeral containers as values: started whenever they come, never again, and nobody's phase."""

from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from typing import Any

from kubelab.cluster.node import record as records
from kubelab.cluster.node.lifecycle import PullImage, RemoveSandbox, StartContainer, decide
from kubelab.cluster.node.record import PodRecord, new_record
from kubelab.cluster.node.status import phase_of, pod_status
from kubelab.cluster.objects import Object
from kubelab.cluster.runtime.cri import Container, ContainerExit, Sandbox

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOST = IPv4Address("192.168.7.2")


def make_pod(*extra: str, inits: tuple[str, ...] = (), policy: str = "Always") -> Object:
    spec: dict[str, Any] = {"restartPolicy": policy, "containers": [{"name": "app", "image": "i"}]}
    spec["initContainers"] = [{"name": name, "image": "i"} for name in inits]
    spec["ephemeralContainers"] = [{"name": name, "image": "i"} for name in extra]
    return {"metadata": {"name": "web", "namespace": "default", "uid": "u"}, "spec": spec}


def sandboxed(pod: Object) -> PodRecord:
    return records.sandbox_ran(new_record(pod, NOW), Sandbox("u", 1, IPv4Address("10.244.1.2")))


def started(record: PodRecord, name: str) -> PodRecord:
    record = records.image_pulled(record, name)
    return records.container_started(record, name, Container(f"{name}-0", "u", name, "i", 2, NOW))


def ended(record: PodRecord, name: str, code: int = 0) -> PodRecord:
    return records.container_exited(record, ContainerExit(f"{name}-0", code, False, NOW))


def test_one_that_is_added_to_a_running_pod_is_started() -> None:
    record = started(sandboxed(make_pod()), "app")
    pod = make_pod("debugger")
    record = records.pod_updated(record, pod)
    assert decide(pod, record, NOW).action == PullImage("debugger")
    record = records.image_pulled(record, "debugger")
    assert decide(pod, record, NOW).action == StartContainer("debugger")


def test_one_that_has_ended_is_not_started_again_whatever_the_policy() -> None:
    pod = make_pod("debugger", policy="Always")
    record = ended(started(started(sandboxed(pod), "app"), "debugger"), "debugger", code=1)
    assert decide(pod, record, NOW + timedelta(hours=1)).action is None


def test_one_may_look_at_a_pod_whose_init_containers_are_not_done() -> None:
    pod = make_pod("debugger", inits=("wait",))
    record = started(sandboxed(pod), "wait")
    assert decide(pod, record, NOW).action == PullImage("debugger")


def test_one_that_cannot_be_pulled_does_not_hold_the_others_back() -> None:
    pod = make_pod("debugger")
    record = records.image_refused(sandboxed(pod), "debugger", "ErrImagePull", "not found", NOW)
    decision = decide(pod, record, NOW)
    assert decision.action == PullImage("app")
    later = decide(pod, started(record, "app"), NOW)
    assert (later.action, later.wait_s) == (None, 2.0)


def test_it_neither_keeps_a_pod_running_nor_makes_it_fail() -> None:
    pod = make_pod("debugger", policy="Never")
    record = ended(started(started(sandboxed(pod), "app"), "debugger"), "app")
    assert phase_of(pod, record) == "Succeeded"
    assert decide(pod, record, NOW).action == RemoveSandbox()


def test_its_status_is_beside_the_others_and_never_ready() -> None:
    pod = make_pod("second", "first")
    record = started(started(sandboxed(pod), "app"), "first")
    status = pod_status(pod, record, HOST, NOW)
    first, second = status["ephemeralContainerStatuses"]
    assert (first["name"], first["ready"], list(first["state"])) == ("first", False, ["running"])
    assert (second["name"], second["state"]["waiting"]["reason"]) == ("second", "ContainerCreating")
    assert "started" not in first
    assert [each["name"] for each in status["containerStatuses"]] == ["app"]


def test_a_restarted_kubelet_does_not_start_it_anew() -> None:
    pod = make_pod("debugger")
    pod["status"] = pod_status(pod, started(started(sandboxed(pod), "app"), "debugger"), HOST, NOW)
    record = records.sandbox_ran(new_record(pod, NOW), Sandbox("u", 1, IPv4Address("10.244.1.2")))
    assert decide(pod, record, NOW + timedelta(hours=1)).action == PullImage("app")
