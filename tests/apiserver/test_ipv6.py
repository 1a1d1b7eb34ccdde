"""IPv6 is accepted wherever upstream's validation accepts it, though the lab's own network is of IPv4."""

from typing import Any

import pytest
from api_manifests import node, pod
from creations import causes, created, updated
from kind_manifests import named

from kubelab.cluster.objects import (
    ENDPOINTS,
    ENDPOINTSLICES,
    NETWORKPOLICIES,
    NODES,
    PODS,
    SERVICES,
    Object,
    Resource,
)

ADDRESS = "2001:db8::1"
PORTS = [{"port": 80}]
POLICY = {
    "podSelector": {},
    "egress": [{"to": [{"ipBlock": {"cidr": "2001:db8::/32", "except": ["2001:db8:1::/48"]}}]}],
}


def slice_(address: str = ADDRESS, type_: str = "IPv6") -> Object:
    return named(addressType=type_, endpoints=[{"addresses": [address]}])


def service(**spec: Any) -> Object:
    return named(spec={"ports": PORTS} | spec)


@pytest.mark.parametrize(
    ("resource", "obj"),
    [
        (ENDPOINTSLICES, slice_()),
        (ENDPOINTS, named(subsets=[{"addresses": [{"ip": ADDRESS}], "ports": PORTS}])),
        (NETWORKPOLICIES, named(spec=POLICY)),
        (NODES, node() | {"spec": {"podCIDRs": ["10.244.0.0/24", "2001:db8::/64"]}}),
        (SERVICES, service(selector={"app": "web"}, externalIPs=[ADDRESS])),
        (SERVICES, service(clusterIP="None", ipFamilies=["IPv6"], ipFamilyPolicy="SingleStack")),
        (SERVICES, service(clusterIP="None", ipFamilies=["IPv6", "IPv4"], ipFamilyPolicy="RequireDualStack")),
        (SERVICES, service(selector={"app": "web"}, ipFamilyPolicy="PreferDualStack")),
        (PODS, pod(hostAliases=[{"ip": ADDRESS, "hostnames": ["a"]}])),
        (PODS, pod(dnsPolicy="None", dnsConfig={"nameservers": [ADDRESS]})),
        (
            PODS,
            pod(containers=[{"name": "a", "image": "b", "ports": [{"containerPort": 1, "hostIP": ADDRESS}]}]),
        ),
    ],
)
def test_an_address_of_ipv6_is_one(resource: Resource, obj: Object) -> None:
    assert created(resource, obj)


def test_a_pod_may_have_an_address_of_each_family() -> None:
    old = created(PODS, pod())
    addresses = {"podIP": ADDRESS, "podIPs": [{"ip": ADDRESS}, {"ip": "10.244.1.2"}]}
    new = old | {"status": old["status"] | addresses}
    assert updated(PODS, new, old, "status")["status"]["podIP"] == ADDRESS


@pytest.mark.parametrize(
    ("resource", "obj", "field"),
    [
        (ENDPOINTSLICES, slice_("10.0.0.1"), "endpoints[0].addresses[0]"),
        (ENDPOINTSLICES, slice_("fe80::1"), "endpoints[0].addresses[0]"),
        (ENDPOINTSLICES, slice_("2001:db8::1%eth0"), "endpoints[0].addresses[0]"),
        (ENDPOINTSLICES, slice_(ADDRESS, "IPv4"), "endpoints[0].addresses[0]"),
        (SERVICES, service(selector={"app": "web"}, externalIPs=["::ffff:10.0.0.1"]), "spec.externalIPs[0]"),
        (SERVICES, service(selector={"app": "web"}, ipFamilies=["IPv6"]), "spec.ipFamilies[0]"),
        (
            SERVICES,
            service(selector={"app": "web"}, ipFamilyPolicy="RequireDualStack"),
            "spec.ipFamilyPolicy",
        ),
        (NODES, node() | {"spec": {"podCIDRs": ["2001:db8::%1/64"]}}, "spec.podCIDRs[0]"),
    ],
)
def test_what_is_not_of_its_family_or_not_served_is_refused(
    resource: Resource, obj: Object, field: str
) -> None:
    assert field in {cause["field"] for cause in causes(resource, obj)}
