"""The core group's kinds as the genuine kubectl uses them."""

from api_manifests import pod
from served_cluster import Cluster

from kubelab.cluster.objects import PODS

RC = """
apiVersion: v1
kind: ReplicationController
metadata: {name: old}
spec: {template: {metadata: {labels: {app: old}}, spec: {containers: [{name: c, image: i}]}}}
"""
SECRET = """
apiVersion: v1
kind: Secret
metadata: {name: bad}
data: {a: YQ}
"""
EVICTION = '{"apiVersion": "policy/v1beta1", "kind": "Eviction", "metadata": {"name": "web"}}'


def columns(table: str) -> list[list[str]]:
    return [line.split() for line in table.splitlines()]


async def test_services_are_made_shown_and_exposed(cluster: Cluster) -> None:
    await cluster.ok("create", "service", "nodeport", "web", "--tcp=80:8080", "--node-port=30080")
    await cluster.api.create(PODS, pod("shop"))
    await cluster.ok("expose", "pod", "shop", "--port=80")
    shop, web = columns(await cluster.ok("get", "service", "shop", "web", "-o", "wide", "--no-headers"))
    assert (shop[1], shop[3:5], shop[-1]) == ("ClusterIP", ["<none>", "80/TCP"], "app=shop")
    assert (web[1], web[4]) == ("NodePort", "80:30080/TCP")
    refusal = await cluster.refused("create", "service", "nodeport", "b", "--tcp=1", "--node-port=30080")
    assert refusal.endswith("Invalid value: 30080: provided port is already allocated")


async def test_a_replication_controller_is_scaled(cluster: Cluster) -> None:
    await cluster.ok("create", "-f", "-", stdin=RC)
    assert await cluster.ok("scale", "rc", "old", "--replicas=3") == "replicationcontroller/old scaled\n"
    assert columns(await cluster.ok("get", "rc"))[1][:2] == ["old", "3"]


async def test_older_words_are_understood_and_warned_of(cluster: Cluster) -> None:
    await cluster.api.create(PODS, pod())
    path = "/api/v1/namespaces/default/pods/web/eviction"
    assert '"Success"' in await cluster.ok("create", "--raw", path, "-f", "-", stdin=EVICTION)
    warned = (await cluster.kubectl("get", "endpoints")).err
    assert "Warning: v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice" in warned
    assert (await cluster.refused("create", "-f", "-", stdin=SECRET)).endswith(
        'Secret in version "v1" cannot be handled as a Secret: illegal base64 data at input byte 0'
    )
