"""The cluster's part of the sample: nodes, what answers over the network, the store. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from kubelab.cluster.apiserver.request_log import RequestRecord
from kubelab.cluster.objects import CONFIGMAPS, NODES, Object, Resource
from kubelab.cluster.store.state import StoreState
from kubelab.lessons.checks.api_request import ApiRequests
from kubelab.lessons.checks.places import Place
from kubelab.lessons.checks.reach import Probe, Reach, Reply
from kubelab.lessons.checks.service import Requests, Tally
from kubelab.lessons.checks.store import StoreQuestion
from kubelab.lessons.checks.store_key import KeyIn, StoredKey
from kubelab.lessons.observation import ResourceState
from kubelab.lessons.question import Question

_IP, _VIP = "10.244.0.2", "10.96.0.10"
_CONNECT = Probe(Place("minion-2"), _IP, "tcp", 8080)
_UPDATES = ApiRequests("update", "configmaps")
_REQUESTS = Requests(Place("minion-1"), _VIP, 80, "/", 20, 0)


def _refused_update() -> RequestRecord:
    return RequestRecord(
        id="0b6e",
        stage="ResponseComplete",
        received=datetime(2026, 1, 2, tzinfo=UTC),
        duration_s=0.004,
        verb="update",
        uri="/api/v1/namespaces/default/configmaps/one",
        group="",
        version="v1",
        resource="configmaps",
        subresource="",
        namespace="default",
        name="one",
        user="kubernetes-admin",
        groups=("system:masters",),
        impersonated="",
        user_agent="kubectl",
        source="10.89.0.1",
        code=409,
        reason="Conflict",
        revision=57,
    )


def _node(name: str, ready: str, *taints: str) -> Object:
    return {
        "metadata": {"name": name, "uid": f"uid-of-{name}"},
        "spec": {"taints": [{"key": taint, "effect": "NoExecute"} for taint in taints]},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }


def _configmap(name: str) -> Object:
    return {"metadata": {"name": name, "namespace": "default", "uid": f"uid-of-{name}"}, "data": {}}


IDLE_RESOURCES: Mapping[Resource, ResourceState] = {
    NODES: ResourceState((_node("minion-1", "True"), _node("minion-2", "True"))),
    CONFIGMAPS: ResourceState(),
}
REACHED_RESOURCES: Mapping[Resource, ResourceState] = {
    NODES: ResourceState(
        (_node("minion-1", "True"), _node("minion-2", "Unknown", "node.kubernetes.io/unreachable"))
    ),
    CONFIGMAPS: ResourceState((_configmap("one"), _configmap("two"))),
}

IDLE_ANSWERS: Mapping[Question[Any], Any] = {
    _CONNECT: Reply("refused"),
    _REQUESTS: Tally(1, errors=1, error="Connection refused"),
    StoreQuestion(): StoreState(("master-1",), 40),
    KeyIn("/course/luna"): StoredKey(),
    _UPDATES: (),
}
REACHED_ANSWERS: Mapping[Question[Any], Any] = {
    **{Reach(machine, _IP): True for machine in ("minion-1", "minion-2")},
    _CONNECT: Reply("open"),
    _REQUESTS: Tally(20, (("web-7d9f", 11), ("web-c2k4", 9))),
    StoreQuestion(): StoreState(("master-1",), 57),
    KeyIn("/course/luna"): StoredKey("llena", 2, 41, 57, 0),
    _UPDATES: (_refused_update(),),
}
