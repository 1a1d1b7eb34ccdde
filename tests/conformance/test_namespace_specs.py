"""Namespaces: their status, their finalizers, and in which order they are emptied.

Source: kubernetes, test/e2e/apimachinery/namespace.go.
"""

import asyncio

import pytest
from spec_client import Client

from kubelab.cluster.objects import Object

NAMESPACE = "/api/v1/namespaces/nsdeletetest"
FINALIZER = "e2e.example.com/fakeFinalizer"


@pytest.fixture
async def namespace(client: Client) -> Object:
    metadata = {"name": "nsdeletetest", "creationTimestamp": None, "labels": {"e2e-framework": "namespaces"}}
    made = {"kind": "Namespace", "apiVersion": "v1", "metadata": metadata, "spec": {}, "status": {}}
    return await client.create("/api/v1/namespaces", made)


def named(kind: str, name: str, **parts: object) -> Object:
    return {"kind": kind, "apiVersion": "v1", "metadata": {"name": name, "creationTimestamp": None}} | parts


async def test_a_status_takes_conditions(client: Client, namespace: Object) -> None:
    """Namespaces should apply changes to a namespace status."""
    assert (await client.get(f"{NAMESPACE}/status"))["status"]["phase"] == "Active"
    condition = {
        "type": "StatusPatch",
        "status": "True",
        "lastTransitionTime": None,
        "reason": "E2E",
        "message": "Patched by an e2e test",
    }
    patch = {
        "metadata": {"annotations": {"e2e-patched-ns-status": "nsdeletetest"}},
        "status": {"conditions": [condition]},
    }
    patched = await client.patch(f"{NAMESPACE}/status", patch)
    assert patched["metadata"]["annotations"] == {"e2e-patched-ns-status": "nsdeletetest"}
    assert patched["status"]["conditions"][-1]["reason"] == "E2E"
    assert patched["status"]["conditions"][-1]["message"] == "Patched by an e2e test"
    current = await client.get(f"{NAMESPACE}/status")
    added = condition | {"type": "StatusUpdate", "message": "Updated by an e2e test"}
    status = current["status"] | {"conditions": [*current["status"]["conditions"], added]}
    updated = await client.update(f"{NAMESPACE}/status", current | {"status": status})
    assert [each["type"] for each in updated["status"]["conditions"]] == ["StatusPatch", "StatusUpdate"]
    assert updated["status"]["conditions"][-1]["message"] == "Updated by an e2e test"


async def test_a_namespace_is_updated(client: Client, namespace: Object) -> None:
    """Namespaces should apply an update to a Namespace."""
    current = await client.get(NAMESPACE)
    labels = current["metadata"]["labels"] | {"nsdeletetest": "updated"}
    updated = await client.update(NAMESPACE, current | {"metadata": current["metadata"] | {"labels": labels}})
    assert updated["metadata"]["labels"]["nsdeletetest"] == "updated"


async def test_a_finalizer_comes_and_goes(client: Client, namespace: Object) -> None:
    """Namespaces should apply a finalizer to a Namespace."""
    current = await client.get(NAMESPACE)
    finalizers = [*current["spec"]["finalizers"], FINALIZER]
    kept = await client.update(f"{NAMESPACE}/finalize", current | {"spec": {"finalizers": finalizers}})
    assert FINALIZER in kept["spec"]["finalizers"]
    freed = await client.update(f"{NAMESPACE}/finalize", kept | {"spec": {"finalizers": ["kubernetes"]}})
    assert freed["spec"]["finalizers"] == ["kubernetes"]


@pytest.mark.usefixtures("controllers")
async def test_pods_go_before_all_else(client: Client, namespace: Object) -> None:
    """OrderedNamespaceDeletion namespace deletion should delete pod first."""
    pod, configmap = f"{NAMESPACE}/pods/test-pod", f"{NAMESPACE}/configmaps/test-configmap"
    spec = {"containers": [{"name": "nginx", "image": "kubelab/shell", "resources": {}}]}
    made = named("Pod", "test-pod", spec=spec, status={})
    made["metadata"]["finalizers"] = ["e2e.example.com/finalizer"]
    await client.create(f"{NAMESPACE}/pods", made)
    await client.create(
        f"{NAMESPACE}/configmaps", named("ConfigMap", "test-configmap", data={"key": "value"})
    )
    await client.delete(NAMESPACE)
    await client.until(
        NAMESPACE,
        lambda answer: (
            "NamespaceDeletionContentFailure"
            in {each["type"] for each in answer.body["status"].get("conditions") or ()}
        ),
    )
    assert "deletionTimestamp" not in (await client.get(configmap))["metadata"]
    current = await client.get(pod)
    assert "deletionTimestamp" in current["metadata"]
    await client.update(pod, current | {"metadata": current["metadata"] | {"finalizers": []}})
    await client.until(NAMESPACE, lambda answer: answer.status == 404)


@pytest.mark.usefixtures("controllers")
async def test_twenty_namespaces_go_at_once(client: Client) -> None:
    """Namespaces should always delete fast."""
    paths = [f"/api/v1/namespaces/nslifetest-{number}" for number in range(20)]
    for path in paths:
        await client.create(
            "/api/v1/namespaces", named("Namespace", path.rpartition("/")[2], spec={}, status={})
        )
    for path in paths:
        await client.delete(path)
    async with asyncio.timeout(20):
        for path in paths:
            await client.until(path, lambda answer: answer.status == 404)
