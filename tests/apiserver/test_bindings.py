"""Pods are bound by their subresource, and by the older collection of bindings, which discovery tells of."""

from api_manifests import node, on, pod
from served_cluster import Cluster, admin

from kubelab.cluster.objects import LEASES, NODES, PODS

BINDINGS = "/api/v1/namespaces/default/bindings"


async def test_a_binding_that_is_created_binds_its_pod_once(cluster: Cluster) -> None:
    await cluster.api.create(NODES, node())
    await cluster.api.create(PODS, pod())
    binding = on("minion-1")
    async with admin(cluster) as session:
        async with session.post(f"{BINDINGS}?dryRun=All", json=binding) as response:
            assert response.status == 201
        assert "nodeName" not in (await cluster.api.get(PODS, "default", "web"))["spec"]
        async with session.post(BINDINGS, json=binding) as response:
            assert (response.status, (await response.json())["status"]) == (201, "Success")
        assert (await cluster.api.get(PODS, "default", "web"))["spec"]["nodeName"] == "minion-1"
        async with session.post(BINDINGS, json=binding) as response:
            assert response.status == 409
            assert "already assigned" in (await response.json())["message"]


async def test_a_binding_is_of_a_pod_in_its_namespace(cluster: Cluster) -> None:
    async with admin(cluster) as session:
        async with session.post(BINDINGS, json=on("minion-1", "nobody")) as response:
            assert response.status == 404
        elsewhere = on("minion-1")
        elsewhere["metadata"]["namespace"] = "other"
        async with session.post(BINDINGS, json=elsewhere) as response:
            assert response.status == 400
        async with session.get(BINDINGS) as response:
            assert response.status == 405


async def test_discovery_tells_of_bindings(cluster: Cluster) -> None:
    async with admin(cluster) as session, session.get("/api/v1") as response:
        resources = {each["name"]: each for each in (await response.json())["resources"]}
    assert resources["bindings"] == {
        "name": "bindings",
        "singularName": "binding",
        "namespaced": True,
        "kind": "Binding",
        "verbs": ["create"],
    }
    assert resources["pods"]["storageVersionHash"] == "xPOwRZ+Yhw8="  # As every real cluster says.


async def test_in_process_a_put_creates_what_it_creates_over_the_wire(cluster: Cluster) -> None:
    lease = {"metadata": {"name": "mine", "namespace": "default"}, "spec": {"holderIdentity": "me"}}
    made = await cluster.api.update(LEASES, lease)
    assert (await cluster.api.get(LEASES, "default", "mine"))["metadata"]["uid"] == made["metadata"]["uid"]
