"""What is shown of a status though its writer left it out: Go writes it, and so do all API servers.

Source: Go, encoding/json; the Go types of the API.
"""

import copy

import pytest
from api_manifests import node
from creations import created, updated
from kind_manifests import autoscaler, budget, cronjob, named, workload

from kubelab.cluster.objects import (
    CRONJOBS,
    DAEMONSETS,
    EVENTS,
    HORIZONTALPODAUTOSCALERS,
    NODES,
    PODDISRUPTIONBUDGETS,
    PODS,
    SERVICES,
    STATEFULSETS,
    Object,
    Resource,
)

POD: Object = named(spec={"containers": [{"name": "main", "image": "kubelab/shell"}]})
CONDITION = {"type": "Ready", "status": "True"}


@pytest.mark.parametrize(
    ("resource", "obj", "written", "shown"),
    [
        (
            HORIZONTALPODAUTOSCALERS,
            autoscaler(),
            {"currentReplicas": 2},
            {"currentReplicas": 2, "desiredReplicas": 0, "currentMetrics": None},
        ),
        (STATEFULSETS, workload(serviceName="shop"), {}, {"replicas": 0, "availableReplicas": 0}),
        (
            DAEMONSETS,
            workload(),
            {"numberReady": 1},
            {
                "currentNumberScheduled": 0,
                "desiredNumberScheduled": 0,
                "numberMisscheduled": 0,
                "numberReady": 1,
            },
        ),
        (
            PODDISRUPTIONBUDGETS,
            budget(),
            {},
            {"currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0},
        ),
        (SERVICES, named(spec={"ports": [{"port": 80}]}), {}, {"loadBalancer": {}}),
        (
            PODS,
            POD,
            {"conditions": [CONDITION], "containerStatuses": [{"name": "main", "ready": True}]},
            {
                "qosClass": "BestEffort",
                "conditions": [CONDITION | {"lastProbeTime": None, "lastTransitionTime": None}],
                "containerStatuses": [
                    {
                        "name": "main",
                        "ready": True,
                        "restartCount": 0,
                        "image": "",
                        "imageID": "",
                        "state": {},
                        "lastState": {},
                    }
                ],
            },
        ),
    ],
    ids=lambda value: value.plural if isinstance(value, Resource) else "",
)
def test_a_status_has_what_go_always_writes(
    resource: Resource, obj: Object, written: Object, shown: Object
) -> None:
    old = created(resource, obj)
    sent = copy.deepcopy(written)
    assert updated(resource, old | {"status": sent}, old, "status")["status"] == shown
    assert sent == written


def test_a_node_has_a_status_from_the_start() -> None:
    bare = {key: value for key, value in node().items() if key != "status"}
    status = created(NODES, bare)["status"]
    assert status["daemonEndpoints"] == {"kubeletEndpoint": {"Port": 0}}
    assert set(status["nodeInfo"].values()) == {""}


def test_what_was_not_set_is_nobodys() -> None:
    """A zero that Go writes is no field that its writer owns; one that replaces another value is."""
    old = created(HORIZONTALPODAUTOSCALERS, autoscaler())
    first = updated(HORIZONTALPODAUTOSCALERS, old | {"status": {"desiredReplicas": 3}}, old, "status")
    then = updated(HORIZONTALPODAUTOSCALERS, first | {"status": {"currentReplicas": 1}}, first, "status")
    of_status = [
        each["fieldsV1"]["f:status"]
        for obj in (first, then)
        for each in obj["metadata"]["managedFields"]
        if each.get("subresource") == "status"
    ]
    assert of_status == [{"f:desiredReplicas": {}}, {"f:currentReplicas": {}, "f:desiredReplicas": {}}]


def test_events_and_templates_of_jobs_have_what_go_always_writes() -> None:
    about = {"kind": "Pod", "name": "shop", "namespace": "default"}
    event = created(EVENTS, named(involvedObject=about, lastTimestamp="2026-01-01T00:00:00Z"))
    written = ("source", "firstTimestamp", "lastTimestamp", "eventTime", "reportingComponent")
    assert [event[name] for name in written] == [{}, None, "2026-01-01T00:00:00Z", None, ""]
    assert created(CRONJOBS, cronjob())["spec"]["jobTemplate"]["metadata"] == {}
