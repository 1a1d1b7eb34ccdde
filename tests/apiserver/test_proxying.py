"""What `…/proxy/…` stands for, and what is told when nobody is there; the lab of streams has who answers."""

from typing import Any

import pytest
from api_manifests import pod
from served_cluster import Cluster, admin

from kubelab.cluster.apiserver import proxying
from kubelab.cluster.apiserver.proxying import Location, Target
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import ENDPOINTSLICES, NODES, PODS, SERVICES, Object


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("web", Target("", "web", "")),
        ("web:8000", Target("", "web", "8000")),
        ("web:http", Target("", "web", "http")),
        ("https:web:443", Target("https", "web", "443")),
        ("http:web:", Target("http", "web", "")),
    ],
)
def test_a_name_may_have_a_scheme_and_a_port(text: str, means: Target) -> None:
    assert proxying.target(text) == means


@pytest.mark.parametrize("text", ["", ":80", "ftp:web:21", "a:b:c:d"])
def test_what_is_no_such_name_is_refused(text: str) -> None:
    with pytest.raises(ApiError, match="invalid request"):
        proxying.target(text)


@pytest.mark.parametrize(
    ("path", "namespaced", "parts"),
    [
        ("/api/v1/namespaces/proxy/pods/proxy/proxy", True, ""),
        ("/api/v1/namespaces/a/pods/b/proxy/", True, "/"),
        ("/api/v1/namespaces/a/services/b:80/proxy/c/proxy/d%2Fe", True, "/c/proxy/d%2Fe"),
        ("/api/v1/nodes/minion-1/proxy/pods", False, "/pods"),
    ],
)
def test_what_follows_is_the_path_there(path: str, namespaced: bool, parts: str) -> None:
    assert proxying.split(path, namespaced=namespaced) == (path.removesuffix(parts), parts)


def running(address: str, *ports: int) -> Object:
    made = pod()
    made["spec"]["containers"][0]["ports"] = [{"containerPort": port} for port in ports]
    return made | {"status": {"podIP": address}}


@pytest.mark.parametrize(
    ("wanted", "where"),
    [
        (Target("", "web", ""), Location("http", "10.244.1.2", 8080)),
        (Target("https", "web", "8443"), Location("https", "10.244.1.2", 8443)),
    ],
)
def test_of_a_pod_the_first_port_is_meant_unless_one_is_named(wanted: Target, where: Location) -> None:
    assert proxying.of_pod(running("10.244.1.2", 8080, 9090), wanted) == where


def test_a_pod_that_declares_none_has_its_schemes_port() -> None:
    assert proxying.of_pod(running("10.244.1.2"), Target("https", "web", "")).port == 443


@pytest.mark.parametrize("address", ["", "127.0.0.1", "169.254.1.1"])
def test_the_servers_own_addresses_are_no_pods(address: str) -> None:
    with pytest.raises(ApiError, match="address not allowed"):
        proxying.of_pod(running(address, 80), Target("", "web", ""))


SERVICE: Object = {"metadata": {"name": "web"}, "spec": {"ports": [{"name": "http", "port": 80}]}}


def endpoint(address: str, *, ready: bool = True) -> dict[str, Any]:
    return {"addresses": [address], "conditions": {"ready": ready}}


SLICE: Object = {
    "metadata": {"name": "web-1", "labels": {"kubernetes.io/service-name": "web"}},
    "addressType": "IPv4",
    "ports": [{"name": "http", "port": 8080}, {"name": "metrics", "port": 9090}],
    "endpoints": [endpoint("10.244.1.2"), endpoint("10.244.1.3", ready=False)],
}


@pytest.mark.parametrize("port", ["80", "http"])
def test_a_service_stands_for_its_ready_endpoints(port: str) -> None:
    found = proxying.endpoints(SERVICE, [SLICE], Target("", "web", port))
    assert found == [Location("http", "10.244.1.2", 8080)]


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("namespaces/default/pods/nobody/proxy/", 404, 'pods "nobody" not found'),
        ("namespaces/default/pods/web/proxy/", 400, "address not allowed"),
        ("namespaces/default/services/web/proxy/", 503, 'no endpoints available for service "web"'),
        ("namespaces/default/services/web:81/proxy/", 503, 'no service port 81 found for service "web"'),
        ("nodes/here:0/proxy/", 400, "invalid port '0'"),
        ("nodes/here/proxy/metrics", 503, "error trying to reach service: dial tcp 127.0.0.1:10250: "),
    ],
)
async def test_what_nobody_answers_is_told(cluster: Cluster, path: str, status: int, message: str) -> None:
    await cluster.api.create(PODS, pod())
    await cluster.api.create(SERVICES, SERVICE | {"metadata": {"name": "web", "namespace": "default"}})
    unnamed = SLICE | {"metadata": SLICE["metadata"] | {"namespace": "default"}}
    await cluster.api.create(ENDPOINTSLICES, unnamed)
    address = {"addresses": [{"type": "InternalIP", "address": "127.0.0.1"}]}
    await cluster.api.create(NODES, {"metadata": {"name": "here"}, "status": address})
    async with admin(cluster) as session, session.get(f"/api/v1/{path}") as response:
        told = (await response.json())["message"]
        assert (response.status, told[: len(message)]) == (status, message)


async def test_who_may_read_pods_may_not_yet_ask_them(cluster: Cluster) -> None:
    told = await cluster.refused("get", "--raw", "/api/v1/namespaces/default/pods/web:80/proxy/", "--as=ana")
    assert 'cannot get resource "pods/proxy" in API group "" in the namespace "default"' in told
