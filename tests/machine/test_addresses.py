"""The lab's networks keep clear of the host's routes."""

from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubelab.cluster.apiserver.service_allocation import CLUSTER_IPS
from kubelab.cluster.errors import LabError
from kubelab.cluster.machine.addresses import SERVICES, choose

_networks = st.builds(
    lambda address, length: IPv4Network((address, length), strict=False),
    st.integers(10 << 24, (10 << 24) + 0xFFFFFF),
    st.integers(9, 32),
)


def test_on_a_plain_host_they_are_those_of_the_books():
    plan = choose([IPv4Network("0.0.0.0/0"), IPv4Network("192.168.1.0/24")])
    assert str(plan.machines) == "10.89.0.0/24"
    assert str(plan.pods) == "10.244.0.0/16"
    assert str(plan.host) == "10.89.0.1/24"
    assert [str(plan.machine(role, 1).ip) for role in ("master", "minion", "scratch")] == [
        "10.89.0.12",
        "10.89.0.22",
        "10.89.0.102",
    ]
    assert str(plan.pod_network(2)) == "10.244.2.0/24"


def test_a_second_lab_takes_the_next():
    plan = choose([IPv4Network("10.89.0.0/24"), IPv4Network("10.244.1.0/24")])
    assert (str(plan.machines), str(plan.pods)) == ("10.89.1.0/24", "10.128.0.0/16")


def test_halves_of_the_default_route_take_nothing():
    plan = choose([IPv4Network("0.0.0.0/1"), IPv4Network("128.0.0.0/1"), IPv4Network("10.8.0.0/24")])
    assert (str(plan.machines), str(plan.pods)) == ("10.89.0.0/24", "10.244.0.0/16")


def test_where_all_of_10_is_routed_elsewhere_other_private_networks_do():
    plan = choose([IPv4Network("10.0.0.0/8"), IPv4Network("172.16.0.0/15"), IPv4Network("172.30.0.0/24")])
    assert (str(plan.machines), str(plan.pods)) == ("172.30.1.0/24", "172.18.0.0/16")


def test_a_host_that_routes_all_of_them_elsewhere_is_told_so():
    private = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
    with pytest.raises(LabError, match="ip route"):
        choose(map(IPv4Network, private))


def test_pods_are_neither_among_the_machines_nor_where_services_are():
    assert SERVICES == CLUSTER_IPS
    only_89_and_96 = (f"10.{n}.0.0/16" for n in range(256) if n not in (89, 96))
    plan = choose(map(IPv4Network, only_89_and_96))
    assert (str(plan.machines), str(plan.pods)) == ("10.89.0.0/24", "172.16.0.0/16")


def test_there_is_an_end_to_the_addresses_of_a_role():
    with pytest.raises(LabError, match="at most 10"):
        choose([]).machine("master", 10)


@given(st.lists(_networks, max_size=8))
def test_what_is_chosen_overlaps_nothing(taken):
    plan = choose(taken)
    assert not any(plan.machines.overlaps(net) or plan.pods.overlaps(net) for net in taken)
    assert not plan.machines.overlaps(plan.pods)
