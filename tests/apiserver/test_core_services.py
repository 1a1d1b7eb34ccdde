"""Services: what they get, what they keep, and what they may not be.

Source: kubernetes, pkg/registry/core/service/storage/storage_test.go,
pkg/apis/core/validation/validation_test.go (TestValidateServiceCreate).
"""

import asyncio
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any

import pytest
from bare_cluster import bare_api, refusal_of

from kubelab.cluster.apiserver import services
from kubelab.cluster.apiserver.kinds import BY_RESOURCE
from kubelab.cluster.apiserver.local import LocalApi
from kubelab.cluster.apiserver.registry import Registry
from kubelab.cluster.apiserver.service_allocation import CLUSTER_IPS, NODE_PORTS, Band
from kubelab.cluster.clock import VirtualClock
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import NAMESPACES, SERVICES, Object
from kubelab.cluster.store.memory import MemoryStore

_CLAIMS = b"/registry/ranges/"


def service(name: str = "web", **spec: Any) -> Object:
    ports = [{"port": 80}]
    return {"metadata": {"name": name, "namespace": "default"}, "spec": {"ports": ports} | spec}


@pytest.fixture
async def api(clock: VirtualClock) -> LocalApi:
    return await bare_api(clock)


async def patch(api: LocalApi, **spec: Any) -> Object:
    changed: Object = (await api.patch(SERVICES, "default", "web", {"spec": spec}))["spec"]
    return changed


async def test_a_service_has_an_address_and_all_that_goes_without_saying(api: LocalApi) -> None:
    spec = (await api.create(SERVICES, service(selector={"app": "web"})))["spec"]
    assert ip_address(spec["clusterIP"]) in CLUSTER_IPS
    assert spec["clusterIPs"] == [spec["clusterIP"]]
    assert spec["ports"] == [{"port": 80, "protocol": "TCP", "targetPort": 80}]
    assert (spec["type"], spec["sessionAffinity"], spec["internalTrafficPolicy"]) == (
        "ClusterIP",
        "None",
        "Cluster",
    )
    assert (spec["ipFamilies"], spec["ipFamilyPolicy"]) == (["IPv4"], "SingleStack")
    assert "externalTrafficPolicy" not in spec


async def test_sessions_stay_three_hours_where_they_are(api: LocalApi) -> None:
    spec = (await api.create(SERVICES, service(sessionAffinity="ClientIP")))["spec"]
    assert spec["sessionAffinityConfig"] == {"clientIP": {"timeoutSeconds": 10800}}


async def test_headless_services_have_no_address(api: LocalApi) -> None:
    chosen = (await api.create(SERVICES, service("a", clusterIP="None", selector={"a": "b"})))["spec"]
    assert (chosen["clusterIPs"], chosen["ipFamilies"]) == (["None"], ["IPv4"])
    unselective = (await api.create(SERVICES, service("b", clusterIP="None", ports=[])))["spec"]
    assert (unselective["ipFamilyPolicy"], unselective["ipFamilies"]) == (
        "RequireDualStack",
        ["IPv4", "IPv6"],
    )


async def test_an_external_name_has_nothing_of_the_cluster(api: LocalApi) -> None:
    spec = (await api.create(SERVICES, service(type="ExternalName", externalName="example.com.")))["spec"]
    assert not spec.keys() & {"clusterIP", "clusterIPs", "ipFamilies", "internalTrafficPolicy"}


async def test_tcp_and_udp_of_one_number_share_a_node_port(api: LocalApi) -> None:
    ports = [
        {"name": "a", "port": 53, "protocol": "UDP"},
        {"name": "b", "port": 53},
        {"name": "c", "port": 80},
    ]
    spec = (await api.create(SERVICES, service(type="NodePort", ports=ports)))["spec"]
    first, second, third = [port["nodePort"] for port in spec["ports"]]
    assert first == second != third
    assert {first, third} <= set(NODE_PORTS)
    assert spec["externalTrafficPolicy"] == "Cluster"


async def test_a_balancer_that_asks_nodes_gets_a_port_to_ask_at(api: LocalApi) -> None:
    spec = (await api.create(SERVICES, service(type="LoadBalancer", externalTrafficPolicy="Local")))["spec"]
    assert spec["healthCheckNodePort"] in NODE_PORTS
    assert spec["allocateLoadBalancerNodePorts"] is True
    bare = service("b", type="LoadBalancer", allocateLoadBalancerNodePorts=False)
    assert "nodePort" not in (await api.create(SERVICES, bare))["spec"]["ports"][0]


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        (
            {"clusterIP": "10.96.0.10"},
            "failed to allocate IP 10.96.0.10: provided IP is already allocated",
        ),
        (
            {"clusterIP": "10.0.0.1"},
            (
                'spec.clusterIPs: Invalid value: ["10.0.0.1"]: failed to allocate IP 10.0.0.1: the provided '
                "network does not match the current range"
            ),
        ),
        (
            {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}]},
            "spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated",
        ),
        (
            {"type": "NodePort", "ports": [{"port": 80, "nodePort": 80}]},
            (
                "Invalid value: 80: provided port is not in the valid range. The range of valid ports is "
                "30000-32767"
            ),
        ),
    ],
)
async def test_what_another_service_has_is_taken(api: LocalApi, spec: Object, sentence: str) -> None:
    first = service("first", clusterIP="10.96.0.10", type="NodePort", ports=[{"port": 1, "nodePort": 30080}])
    await api.create(SERVICES, first)
    with pytest.raises(ApiError) as refusal:
        await api.create(SERVICES, service(**spec))
    assert (refusal.value.code, sentence in str(refusal.value)) == (422, True)


async def test_what_a_service_had_is_free_when_it_has_gone(clock: VirtualClock) -> None:
    registry = Registry(MemoryStore(), clock)
    api, wanted = LocalApi(registry), service(clusterIP="10.96.0.10", type="NodePort")
    await api.create(NAMESPACES, {"metadata": {"name": "default"}})
    await api.create(SERVICES, wanted)
    assert len((await registry.store.range(_CLAIMS)).kvs) == 2
    await api.delete(SERVICES, "default", "web")
    assert not (await registry.store.range(_CLAIMS)).kvs
    await api.create(SERVICES, wanted)


async def test_a_service_that_waits_for_its_finalizer_keeps_its_address(api: LocalApi) -> None:
    obj = service(clusterIP="10.96.0.10")
    obj["metadata"]["finalizers"] = ["example.com/later"]
    await api.create(SERVICES, obj)
    await api.delete(SERVICES, "default", "web")
    with pytest.raises(ApiError, match="already allocated"):
        await api.create(SERVICES, service("next", clusterIP="10.96.0.10"))
    await api.patch(SERVICES, "default", "web", {"metadata": {"finalizers": None}})
    await api.create(SERVICES, service("next", clusterIP="10.96.0.10"))


async def test_nothing_is_taken_by_a_dry_run(clock: VirtualClock) -> None:
    registry = Registry(MemoryStore(), clock)
    await LocalApi(registry).create(NAMESPACES, {"metadata": {"name": "default"}})
    tried = await registry.create(BY_RESOURCE[SERVICES], "default", service(type="NodePort"), dry_run=True)
    assert tried.object["spec"]["ports"][0]["nodePort"] in NODE_PORTS
    assert not (await registry.store.range(_CLAIMS)).kvs


async def test_many_at_once_get_different_addresses_and_ports(api: LocalApi) -> None:
    created = [api.create(SERVICES, service(f"web-{i}", type="NodePort")) for i in range(30)]
    specs = [each["spec"] for each in await asyncio.gather(*created)]
    assert len({spec["clusterIP"] for spec in specs}) == 30
    assert len({spec["ports"][0]["nodePort"] for spec in specs}) == 30


async def test_only_one_of_two_gets_the_port_that_both_ask_for(api: LocalApi) -> None:
    ports = [{"port": 80, "nodePort": 30080}]
    both = [api.create(SERVICES, service(name, type="NodePort", ports=ports)) for name in ("a", "b")]
    first, second = await asyncio.gather(*both, return_exceptions=True)
    refused = [each for each in (first, second) if isinstance(each, ApiError)]
    assert [str(error).rpartition(": ")[2] for error in refused] == ["provided port is already allocated"]


def test_a_band_gives_its_reserved_numbers_last() -> None:
    band, taken = Band(100, 10, 3), set[int]()
    for _ in range(7):
        number = band.free(taken.__contains__)
        assert number is not None
        taken.add(number)
    assert taken == set(range(103, 110))
    assert band.free(taken.__contains__) in range(100, 103)
    assert band.free(lambda _: True) is None


async def test_what_is_left_out_of_an_update_stays(api: LocalApi) -> None:
    created = await api.create(SERVICES, service(type="NodePort"))
    again = await api.update(SERVICES, service(type="NodePort", ports=[{"port": 81}]))
    assert again["spec"]["clusterIP"] == created["spec"]["clusterIP"]
    assert again["spec"]["ports"][0]["nodePort"] == created["spec"]["ports"][0]["nodePort"]


async def test_an_address_stays_for_life(api: LocalApi) -> None:
    await api.create(SERVICES, service())
    with pytest.raises(ApiError, match=r"spec.clusterIPs\[0\]: Invalid value: .*: may not change once set"):
        await patch(api, clusterIP="10.96.0.77")


async def test_a_change_of_type_brings_and_takes_what_goes_with_it(api: LocalApi) -> None:
    created = (await api.create(SERVICES, service()))["spec"]
    port = (await patch(api, type="NodePort"))["ports"][0]["nodePort"]
    back = await patch(api, type="ClusterIP")
    assert ("nodePort" in back["ports"][0], "externalTrafficPolicy" in back) == (False, False)
    assert back["clusterIP"] == created["clusterIP"]
    taken = service("other", type="NodePort", ports=[{"port": 80, "nodePort": port}])
    await api.create(SERVICES, taken)
    outside = await patch(api, type="ExternalName", externalName="example.com")
    assert not outside.keys() & {"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"}
    assert (await patch(api, type="ClusterIP", externalName=None))["clusterIP"]


REFUSALS = [
    ({"ports": []}, "spec.ports: Required value"),
    (
        {"ports": [{"port": 0}]},
        "ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
    ),
    ({"ports": [{"port": 1}, {"port": 2}]}, "spec.ports[0].name: Required value"),
    ({"ports": [{"port": 1, "name": "A"}]}, 'ports[0].name: Invalid value: "A": a lowercase RFC 1123 label'),
    (
        {"ports": [{"port": 1, "name": "a"}, {"port": 1, "name": "b"}]},
        'spec.ports[1]: Duplicate value: {"Name":"","Protocol":"TCP","AppProtocol":null,"Port":1,',
    ),
    ({"ports": [{"port": 1, "targetPort": "a_b"}]}, "must contain only alpha-numeric characters (a-z, 0-9)"),
    (
        {"ports": [{"port": 1, "nodePort": 30000}]},
        "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
    ),
    ({"ports": [{"port": 1, "protocol": "ICMP"}]}, 'supported values: "SCTP", "TCP", "UDP"'),
    ({"type": "Best"}, 'supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort"'),
    ({"type": "ExternalName"}, "spec.externalName: Required value"),
    (
        {"type": "ExternalName", "externalName": "a", "clusterIP": "10.96.0.9"},
        "spec.clusterIPs: Forbidden: may not be set for ExternalName services",
    ),
    (
        {"type": "NodePort", "clusterIP": "None"},
        "spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services",
    ),
    ({"clusterIP": "10.96.0"}, 'clusterIPs[0]: Invalid value: "10.96.0": must be a valid IP address'),
    ({"clusterIP": "fd00::1"}, "IPv6 is not configured on this cluster"),
    ({"clusterIPs": ["10.96.0.9"]}, "must be empty when `clusterIP` is not specified"),
    (
        {"clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.8"]},
        "first value must match `clusterIP`",
    ),
    ({"ipFamilies": ["IPv6"]}, 'spec.ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster'),
    (
        {"ipFamilyPolicy": "RequireDualStack"},
        "this cluster is not configured for dual-stack services",
    ),
    ({"sessionAffinity": "Cookie"}, 'Unsupported value: "Cookie": supported values: "ClientIP", "None"'),
    (
        {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 86401}}},
        "must be greater than 0 and less than 86400",
    ),
    ({"externalIPs": ["127.0.0.1"]}, "may not be in the loopback range (127.0.0.0/8, ::1/128)"),
    ({"externalTrafficPolicy": "Local"}, "may only be set for externally-accessible services"),
    ({"internalTrafficPolicy": "Near"}, 'supported values: "Cluster", "Local"'),
    ({"allocateLoadBalancerNodePorts": False}, "Forbidden: may only be used when `type` is 'LoadBalancer'"),
    (
        {"type": "LoadBalancer", "loadBalancerSourceRanges": ["10.0.0.1/8"]},
        "must not have bits set beyond the prefix length",
    ),
]


@pytest.mark.parametrize(("spec", "sentence"), REFUSALS)
def test_what_a_service_may_not_be_is_said(spec: Object, sentence: str) -> None:
    assert sentence in refusal_of(SERVICES, service(**spec))


def test_its_name_is_a_host_name() -> None:
    assert 'metadata.name: Invalid value: "9p": a DNS-1035 label' in refusal_of(SERVICES, service("9p"))


async def test_only_balancers_have_ingress_points(api: LocalApi) -> None:
    ingress = {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}
    await api.create(SERVICES, service())
    with pytest.raises(ApiError, match=r"status.loadBalancer.ingress: Forbidden: may only"):
        await api.patch(SERVICES, "default", "web", ingress, subresource="status")
    await patch(api, type="LoadBalancer")
    changed = await api.patch(SERVICES, "default", "web", ingress, subresource="status")
    assert changed["status"]["loadBalancer"]["ingress"] == [{"ip": "192.0.2.1", "ipMode": "VIP"}]
    await patch(api, type="ClusterIP")
    assert (await api.get(SERVICES, "default", "web"))["status"] == {"loadBalancer": {}}


@pytest.mark.parametrize(
    ("spec", "row"),
    [
        (
            {"clusterIPs": ["10.96.0.9"], "selector": {"b": "2", "a": "1"}},
            ["ClusterIP", "10.96.0.9", "<none>", "80/TCP", "a=1,b=2"],
        ),
        ({"clusterIPs": ["None"], "ports": []}, ["ClusterIP", "None", "<none>", "<none>", "<none>"]),
        (
            {"type": "NodePort", "clusterIPs": ["10.96.0.9"], "externalIPs": ["192.0.2.9"]},
            ["NodePort", "10.96.0.9", "192.0.2.9", "80/TCP", "<none>"],
        ),
        (
            {"type": "LoadBalancer", "ports": [{"port": 80, "nodePort": 30080, "protocol": "TCP"}]},
            ["LoadBalancer", "<none>", "<pending>", "80:30080/TCP", "<none>"],
        ),
        (
            {"type": "ExternalName", "externalName": "example.com"},
            ["ExternalName", "<none>", "example.com", "80/TCP", "<none>"],
        ),
    ],
)
def test_a_row_is_upstreams(spec: Object, row: list[str]) -> None:
    plain: Object = {"ports": [{"port": 80, "protocol": "TCP"}]}
    obj = service(**(plain | spec))
    name, type_, ip, outside, ports, _, selector = services.cells(obj, datetime(2026, 1, 1, tzinfo=UTC))
    assert (name, [type_, ip, outside, ports, selector]) == ("web", row)
