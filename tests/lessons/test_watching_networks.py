"""Links, addresses, routes and rules of every network namespace, as the kernel tells of them."""

import asyncio
import os

import pytest
from pyroute2 import IPRoute
from watched import descriptors, named, observed, one, run, running, seen, until

from kubelab.cluster.linux.namespaces import call_in_network, open_namespace
from kubelab.lessons.observation import Address, Network, Route, Rule, Unseen

pytestmark = pytest.mark.root


def own(state) -> Network:
    return network(state, own_inode(state))


def own_inode(state) -> int:
    return state.namespaces["net"]


def network(state, inode: int) -> Network:
    found = state.networks.get(inode, Network())
    assert not isinstance(found, Unseen), found
    return found


def links(found: Network) -> dict:
    return {link.name: link for link in found.links}


def destinations(found: Network) -> set[str]:
    return {route.destination for route in found.routes}


async def test_links_addresses_and_routes_appear_and_go(lab) -> None:
    async with observed(lab) as (machine, observer):
        await run(
            machine,
            "ip link add br0 type bridge; ip link add v0 mtu 1400 type veth peer v1;"
            "ip link set v0 master br0;"
            "ip link set br0 up; ip link set v0 up; ip link set v1 up; ip addr add 10.9.0.1/24 dev v1;"
            "ip route add 10.9.9.0/24 via 10.9.0.7; ip route add blackhole 10.9.8.0/24",
        )
        via = {Route("10.9.9.0/24", "10.9.0.7", "v1"), Route("10.9.0.0/24", "", "v1", "10.9.0.1")}
        await until(observer, lambda state: via <= set(own(state).routes))
        await until(observer, lambda state: "blackhole 10.9.8.0/24" in destinations(own(state)))
        await until(observer, lambda state: Address("v1", "10.9.0.1/24") in own(state).addresses)
        await until(observer, lambda state: links(own(state))["v1"].carrier)
        state = await until(observer, lambda state: links(own(state))["v0"].carrier)
        v0 = links(own(state))["v0"]
        assert (v0.kind, v0.up, v0.mtu_bytes, v0.master) == ("veth", True, 1400, "br0")
        assert links(own(state))["br0"].kind == "bridge"
        await run(machine, "ip link set v1 down")
        await until(observer, lambda state: not links(own(state))["v1"].up)
        await until(observer, lambda state: not links(own(state))["v0"].carrier)
        await run(machine, "ip link del v0")
        await until(observer, lambda state: links(own(state)).keys() == {"lo", "eth0", "br0"})


async def test_what_is_read_is_what_another_netlink_library_reads(lab) -> None:
    async with observed(lab) as (machine, observer):
        await run(
            machine,
            "ip link add d0 type bridge; ip link set d0 address 02:00:00:00:00:07 up;"
            "echo 0 > /proc/sys/net/ipv6/conf/d0/disable_ipv6;"
            "ip addr add 10.9.0.1/24 dev d0; ip addr add fd00::1/64 dev d0 nodad;"
            "ip route add default via 10.9.0.9; ip -6 route add fd07::/64 via fd00::9;"
            "ip route add 10.8.0.0/16 nexthop via 10.9.0.5 nexthop via 10.9.0.6",
        )
        reference = await asyncio.to_thread(read_by_pyroute2, machine.pid)
        await until(observer, lambda state: links_and_addresses(own(state)) == reference)
        routes = {("default", "10.9.0.9", "d0"), ("fd07::/64", "fd00::9", "d0")}
        await until(observer, lambda state: routes <= set(routes_of(own(state))))
        both = [("10.8.0.0/16", "10.9.0.5"), ("10.8.0.0/16", "10.9.0.6")]
        await until(
            observer,
            lambda state: (
                sorted(route[:2] for route in routes_of(own(state)) if route[0] == "10.8.0.0/16") == both
            ),
        )


def links_and_addresses(found: Network) -> tuple[set, set]:
    links = {(link.index, link.name, link.mac, link.mtu_bytes, link.up) for link in found.links}
    return links, {address.address for address in found.addresses}


def routes_of(found: Network) -> list[tuple[str, str, str]]:
    return [(route.destination, route.gateway, route.link) for route in found.routes]


def read_by_pyroute2(pid: int) -> tuple[set, set]:
    fd = open_namespace(pid, "net")

    def read() -> tuple[set, set]:
        with IPRoute() as ipr:
            links = {
                (
                    link["index"],
                    link.get("ifname"),
                    link.get("address"),
                    link.get("mtu"),
                    bool(link["flags"] & 1),
                )
                for link in ipr.get_links()
            }
            addresses = {f"{a.get('local') or a.get('address')}/{a['prefixlen']}" for a in ipr.get_addr()}
            return links, {address for address in addresses if not address.startswith("fe80:")}

    try:
        return call_in_network(fd, read)
    finally:
        os.close(fd)


async def test_the_namespace_of_a_process_is_seen_as_long_as_it_lives(lab) -> None:
    async with observed(lab) as (machine, observer):
        script = "unshare -n sh -ec 'ip link set lo up; ip link add d7 type bridge; exec sleep 1001'"
        async with running(machine, script):
            state = await until(observer, lambda state: named(state, "sleep"))
            inode = one(state, "sleep").namespaces["net"]
            state = await until(observer, lambda state: "d7" in links(network(state, inode)))
            assert "d7" not in links(own(state))
        await until(observer, lambda state: inode not in state.networks)


async def test_a_named_namespace_is_seen_without_a_process_and_its_end_frees_the_links(lab) -> None:
    async with observed(lab) as (machine, observer):
        await run(
            machine,
            "ip netns add blue; ip link add v0 type veth peer v1 netns blue; ip -n blue link set v1 up",
        )
        await until(observer, both_ends_are_seen)
        await run(machine, "ip netns del blue")
        await until(
            observer,
            lambda state: state.networks.keys() == {own_inode(state)} and "v0" not in links(own(state)),
        )


def both_ends_are_seen(state) -> bool:
    """Of two namespaces one is read after the other: there is a moment that knows of one end only."""
    others = state.networks.keys() - {own_inode(state)}
    if len(others) != 1 or "v0" not in links(own(state)):
        return False
    v1 = links(network(state, *others)).get("v1")
    return v1 is not None and v1.up


async def test_namespaces_that_come_and_go_while_they_are_read_leave_nothing(lab) -> None:
    async with observed(lab) as (machine, observer):
        before = descriptors()
        await run(
            machine,
            "for i in $(seq 40); do unshare -n ip link set lo up & done; wait; ip link add d0 type bridge",
        )
        await until(observer, lambda state: "d0" in links(own(state)) and len(state.networks) == 1)
        await observer.settle()
        assert descriptors() <= before + 1


async def test_more_changes_than_can_be_told_are_a_change(lab) -> None:
    """A thousand links at once overrun the sockets: what is seen in the end is what there is."""
    async with observed(lab) as (machine, observer):
        lines = "".join(f"link add d{n} type bridge\\nlink set d{n} up\\n" for n in range(300))
        script = "printf '%b' \"$BATCH\" | ip -batch -; ip link del d0"
        process = await machine.spawn(["sh", "-ec", script], env={"BATCH": lines})
        assert await process.wait() == 0
        await until(observer, lambda state: len(links(own(state))) == 301 and "d0" not in links(own(state)))
        await until(observer, lambda state: all(link.up for link in own(state).links))


async def test_rules_are_those_that_nft_prints_and_change_when_they_do(lab) -> None:
    async with observed(lab) as (machine, observer):
        await run(
            machine,
            "nft add table ip nat; nft 'add set ip nat s { type ipv4_addr; elements = { 10.0.0.1 }; }';"
            "nft 'add chain ip nat post { type nat hook postrouting priority 100; }';"
            "nft add chain ip nat web;"
            "nft 'add rule ip nat post oifname \"eth0\" masquerade';"
            "nft add rule ip nat web ip daddr 10.96.0.1 tcp dport 80 counter dnat to 10.1.0.7:8080",
        )
        state = await until(observer, lambda state: len(own(state).rules) == 2)
        assert own(state).rules == (
            Rule("ip", "nat", "post", 'oifname "eth0" masquerade'),
            Rule("ip", "nat", "web", "ip daddr 10.96.0.1 tcp dport 80 counter dnat to 10.1.0.7:8080"),
        )
        await run(machine, "nft flush ruleset")
        await until(observer, lambda state: own(state).rules == ())


async def test_links_that_the_setup_made_are_there_at_the_beginning(lab) -> None:
    async with observed(lab) as (machine, observer):
        await run(machine, "ip link add d0 type bridge")
        await observer.settle()
        observer.begin()
        assert "d0" in links(own(seen(observer)))


async def test_to_settle_is_to_see_what_the_loop_has_not_heard_of_yet(lab) -> None:
    async with observed(lab) as (machine, observer):
        fd = open_namespace(machine.pid, "net")
        try:
            call_in_network(fd, add_bridge)
        finally:
            os.close(fd)
        await observer.settle()
        assert "d1" in links(own(seen(observer)))


def add_bridge() -> None:
    with IPRoute() as ipr:
        ipr.link("add", ifname="d1", kind="bridge")
