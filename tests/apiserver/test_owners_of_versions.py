"""Objects that are served in several versions: who owns what is noted in the version of each write.

Source: https://kubernetes.io/docs/reference/using-api/server-side-apply/ (API version); kubernetes,
test/integration/apiserver/apply/apply_test.go.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest
from served_cluster import Cluster

from kubelab.cluster.apiserver import pki
from kubelab.cluster.objects import Object

Send = Callable[..., Awaitable[tuple[int, Object]]]
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"


@pytest.fixture
async def patch(cluster: Cluster) -> AsyncIterator[Send]:
    """Send a patch as a manager; return the answer's status and body."""
    tls = pki.client_context(cluster.authority.certificate_path, cluster.authority.admin())
    connector, base = aiohttp.TCPConnector(ssl=tls), f"https://127.0.0.1:{cluster.port}"
    async with aiohttp.ClientSession(base, connector=connector) as session:

        async def send(path: str, body: Object, manager: str, kind: str = APPLY) -> tuple[int, Object]:
            headers, query = {"Content-Type": kind}, {"fieldManager": manager}
            async with session.patch(path, params=query, data=json.dumps(body), headers=headers) as response:
                return response.status, await response.json()

        yield send


def owned(obj: Object, manager: str) -> dict[str, Object]:
    """Return what *manager* owns beside the metadata, by the version in which."""
    entries = [each for each in obj["metadata"]["managedFields"] if each["manager"] == manager]
    return {
        each["apiVersion"]: {key: below for key, below in each["fieldsV1"].items() if key != "f:metadata"}
        for each in entries
    }


def _autoscaler(version: str, **spec: object) -> Object:
    return {"apiVersion": f"autoscaling/{version}", "kind": "HorizontalPodAutoscaler", "spec": spec}


def _path(version: str) -> str:
    return f"/apis/autoscaling/{version}/namespaces/default/horizontalpodautoscalers/shop"


TARGET = {"kind": "Deployment", "name": "shop"}


async def test_an_autoscaler_is_applied_in_two_versions(patch: Send) -> None:
    """v1's percentage is in v2 a part of the atomic list of metrics: one field, under two names."""
    spec = {"scaleTargetRef": TARGET, "maxReplicas": 5, "targetCPUUtilizationPercentage": 70}
    status, made = await patch(_path("v1"), _autoscaler("v1", **spec), "older")
    assert (status, list(owned(made, "older"))) == (201, ["autoscaling/v1"])

    resource = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}
    metrics = [{"type": "Resource", "resource": resource}]
    status, refusal = await patch(_path("v2"), _autoscaler("v2", metrics=metrics), "newer")
    assert status == 409
    assert refusal["message"] == (
        'Apply failed with 1 conflict: conflict with "older": .spec.targetCPUUtilizationPercentage'
    )
    resource["target"]["averageUtilization"] = 70
    status, shared = await patch(_path("v2"), _autoscaler("v2", metrics=metrics, minReplicas=2), "newer")
    assert (status, shared["spec"]["minReplicas"]) == (200, 2)
    assert owned(shared, "newer") == {"autoscaling/v2": {"f:spec": {"f:metrics": {}, "f:minReplicas": {}}}}
    assert "f:targetCPUUtilizationPercentage" in owned(shared, "older")["autoscaling/v1"]["f:spec"]


async def test_an_update_is_noted_in_the_version_in_which_it_came(patch: Send) -> None:
    spec = {"scaleTargetRef": TARGET, "maxReplicas": 5, "minReplicas": 1}
    await patch(_path("v2"), _autoscaler("v2", **spec), "founder")
    changed = {"spec": {"maxReplicas": 7, "targetCPUUtilizationPercentage": 60}}
    status, updated = await patch(_path("v1"), changed, "older", MERGE)
    assert status == 200
    assert owned(updated, "older") == {
        "autoscaling/v1": {"f:spec": {"f:maxReplicas": {}, "f:targetCPUUtilizationPercentage": {}}}
    }
    assert "f:maxReplicas" not in owned(updated, "founder")["autoscaling/v2"]["f:spec"]


async def test_events_are_owned_as_core_and_as_events_v1_call_their_fields(patch: Send) -> None:
    about = {"kind": "Pod", "name": "a", "namespace": "default"}
    event = {"apiVersion": "v1", "kind": "Event", "involvedObject": about, "message": "first", "reason": "A"}
    path = "namespaces/default/events/a.1"
    await patch(f"/api/v1/{path}", event, "core")
    newer = {"apiVersion": "events.k8s.io/v1", "kind": "Event", "note": "second"}
    status, refusal = await patch(f"/apis/events.k8s.io/v1/{path}", newer, "newer")
    assert status == 409
    assert refusal["message"] == 'Apply failed with 1 conflict: conflict with "core": .message'
    status, changed = await patch(f"/apis/events.k8s.io/v1/{path}", {"note": "second"}, "newer", MERGE)
    assert status == 200
    assert owned(changed, "newer") == {"events.k8s.io/v1": {"f:note": {}}}
    assert "f:message" not in owned(changed, "core")["v1"]


def _version(name: str, *, served: bool = True, stored: bool = False) -> Object:
    spec = {"type": "object", "properties": {"count": {"type": "integer"}, "colour": {"type": "string"}}}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}
    return {"name": name, "served": served, "storage": stored, "schema": schema}


NAMES = {"plural": "gauges", "singular": "gauge", "kind": "Gauge"}
CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "gauges.example.org"},
    "spec": {"group": "example.org", "scope": "Namespaced", "names": NAMES},
}


async def test_custom_resources_are_owned_in_the_versions_of_their_definition(
    cluster: Cluster, patch: Send
) -> None:
    definition = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/gauges.example.org"

    async def define(*versions: Object) -> None:
        status, _ = await patch(definition, CRD | {"spec": CRD["spec"] | {"versions": versions}}, "author")
        assert status in {200, 201}

    async def apply(version: str, manager: str, **spec: object) -> tuple[int, Object]:
        body = {"apiVersion": f"example.org/{version}", "kind": "Gauge", "spec": spec}
        return await patch(f"/apis/example.org/{version}/namespaces/default/gauges/a", body, manager)

    await define(_version("v1", stored=True), _version("v1beta1"))
    await cluster.ok("wait", "--for=condition=Established", "crd/gauges.example.org", "--timeout=40s")
    await apply("v1beta1", "older", count=1)
    status, shared = await apply("v1", "newer", count=1, colour="red")
    assert status == 200
    assert owned(shared, "older") == {"example.org/v1beta1": {"f:spec": {"f:count": {}}}}
    assert owned(shared, "newer") == {"example.org/v1": {"f:spec": {"f:colour": {}, "f:count": {}}}}
    status, refusal = await apply("v1", "newer", count=2, colour="red")
    assert (status, refusal["details"]["causes"][0]["message"]) == (409, 'conflict with "older"')
