"""What a node lends to its pods comes back, and nothing is lost where it does not suffice."""

from ipaddress import IPv4Address, IPv4Network

import pytest

from kubelab.cluster.errors import LabError
from kubelab.cluster.runtime.address_pool import ID_RANGES, IDS_PER_POD, Lease, Leases

NETWORK = IPv4Network("10.244.1.0/30")  # Of its two hosts one is the bridge.


def test_an_address_is_lent_once_and_given_back() -> None:
    leases = Leases(NETWORK)
    only = leases.take(None, own_ids=False)
    assert only == Lease(IPv4Address("10.244.1.2"), 0)
    with pytest.raises(LabError):
        leases.take(None, own_ids=False)
    leases.give_back(only)
    assert leases.take(None, own_ids=False) == only


def test_a_pod_with_the_nodes_address_takes_none() -> None:
    leases, node = Leases(NETWORK), IPv4Address("192.168.7.2")
    assert [leases.take(node, own_ids=False).address for _ in range(2)] == [node, node]
    assert leases.take(None, own_ids=False).address == IPv4Address("10.244.1.2")


def test_where_ids_or_addresses_are_missing_the_other_is_not_lost() -> None:
    leases, node = Leases(NETWORK), IPv4Address("192.168.7.2")
    ids = [leases.take(node, own_ids=True).ids_from for _ in range(ID_RANGES - 1)]
    assert ids == [number * IDS_PER_POD for number in range(1, ID_RANGES)]
    last = leases.take(None, own_ids=True)
    with pytest.raises(LabError):
        leases.take(None, own_ids=True)
    leases.give_back(last)
    assert leases.take(node, own_ids=True).ids_from == last.ids_from
    with pytest.raises(LabError):
        leases.take(None, own_ids=True)
    assert leases.take(None, own_ids=False).address == last.address
