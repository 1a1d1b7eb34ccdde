"""What `kubectl get` prints of objects in every state, as upstream's printers have it."""

from datetime import UTC, datetime
from typing import Any

import pytest
from api_manifests import deployment, node, pod

from kubelab.cluster.apiserver import columns, deployments
from kubelab.cluster.apiserver.durations import human_duration
from kubelab.cluster.objects import Object

NOW = datetime(2026, 1, 1, 1, 0, 0, tzinfo=UTC)
CREATED = "2026-01-01T00:55:00Z"


def seen(status: Object, **metadata: Any) -> tuple[str, str, str]:
    """Return READY, STATUS and RESTARTS of a pod with *status*."""
    obj = pod() | {"status": status}
    obj["metadata"] = obj["metadata"] | {"creationTimestamp": CREATED} | metadata
    _, ready, word, restarts, *_ = columns.pod(obj, NOW)
    return ready, word, restarts


def container(state: str, ready: bool = False, restarts: int = 0, **details: Any) -> Object:
    return {"name": "shell", "ready": ready, "restartCount": restarts, "state": {state: details}}


def of(*containers: Object, phase: str = "Running") -> Object:
    return {"phase": phase, "containerStatuses": list(containers)}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({"phase": "Pending"}, ("0/1", "Pending", "0")),
        (of(container("running", ready=True)), ("1/1", "Running", "0")),
        (of(container("waiting", reason="ErrImagePull"), phase="Pending"), ("0/1", "ErrImagePull", "0")),
        (of(container("waiting", restarts=3, reason="CrashLoopBackOff")), ("0/1", "CrashLoopBackOff", "3")),
        (of(container("terminated", reason="Completed"), phase="Succeeded"), ("0/1", "Completed", "0")),
        (of(container("terminated", exitCode=2), phase="Failed"), ("0/1", "ExitCode:2", "0")),
        (of(container("terminated", signal=9), phase="Failed"), ("0/1", "Signal:9", "0")),
        ({"phase": "Failed", "reason": "Evicted"}, ("0/1", "Evicted", "0")),
    ],
)
def test_a_pods_status_is_that_of_its_containers(status: Object, expected: tuple[str, str, str]) -> None:
    assert seen(status) == expected


def test_a_deleted_pod_is_terminating_until_its_processes_have_ended() -> None:
    deleted = {"deletionTimestamp": CREATED}
    assert seen(of(container("running", ready=True)), **deleted)[1] == "Terminating"
    assert (
        seen(of(container("terminated", reason="Completed"), phase="Succeeded"), **deleted)[1] == "Completed"
    )


def test_a_restart_says_how_long_ago_it_was() -> None:
    crashed = container("running", ready=True, restarts=2)
    crashed["lastState"] = {"terminated": {"finishedAt": "2026-01-01T00:59:00Z"}}
    assert seen(of(crashed)) == ("1/1", "Running", "2 (60s ago)")


def test_an_init_container_that_fails_shows_through() -> None:
    status = {
        "phase": "Pending",
        "initContainerStatuses": [container("terminated", exitCode=1, reason="Error")],
    }
    assert seen(status)[1] == "Init:Error"


def test_a_node_shows_readiness_roles_and_address() -> None:
    obj = node()
    obj["metadata"] |= {"creationTimestamp": CREATED, "labels": {"node-role.kubernetes.io/control-plane": ""}}
    name, status, roles, age, version, address, *_ = columns.node(obj, NOW)
    assert (name, status, roles, age, version, address) == (
        "minion-1",
        "Ready",
        "control-plane",
        "5m",
        "v1.37.1",
        "127.0.0.1",
    )
    cordoned = obj | {"spec": {"unschedulable": True}}
    assert columns.node_status(cordoned) == "Ready,SchedulingDisabled"
    assert (
        columns.node_status({"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}})
        == "NotReady"
    )
    assert columns.node_status({}) == "Unknown"


def test_a_deployment_shows_ready_of_wanted() -> None:
    obj = deployment(replicas=3) | {
        "status": {"readyReplicas": 2, "updatedReplicas": 3, "availableReplicas": 2}
    }
    assert deployments.cells(obj, NOW) == [
        "web",
        "2/3",
        3,
        2,
        "<unknown>",
        "shell",
        "kubelab/shell",
        "app=web",
    ]


def test_an_event_shows_what_it_is_about() -> None:
    event = {
        "metadata": {"name": "web.1"},
        "involvedObject": {"kind": "Pod", "name": "web"},
        "type": "Normal",
        "reason": "Scheduled",
        "message": "assigned\n",
        "source": {"component": "scheduler"},
        "firstTimestamp": CREATED,
        "lastTimestamp": "2026-01-01T00:59:30Z",
        "count": 4,
    }
    row = columns.event(event, NOW)
    assert row == ["30s", "Normal", "Scheduled", "pod/web", "", "scheduler", "assigned", "5m", 4, "web.1"]


@pytest.mark.parametrize(
    ("duration_s", "text"),
    [
        (-2, "<invalid>"),
        (-0.5, "0s"),
        (119, "119s"),
        (120, "2m"),
        (545, "9m5s"),
        (3600, "60m"),
        (3 * 3600, "3h"),
        (7.5 * 3600, "7h30m"),
        (47 * 3600, "47h"),
        (50 * 3600, "2d2h"),
        (8 * 86400, "8d"),
        (3 * 365 * 86400 + 20 * 86400, "3y20d"),
        (9 * 365 * 86400, "9y"),
    ],
)
def test_durations_have_at_most_two_units(duration_s: float, text: str) -> None:
    assert human_duration(duration_s) == text
