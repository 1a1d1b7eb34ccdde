"""Links, addresses, routes and rules, in the network of whoever looks."""

import pytest
from observed import HOST, SCOPE, check, found, pod, pods, process

from kubelab.language import Text
from kubelab.lessons.checks import Measure
from kubelab.lessons.located import LessonError
from kubelab.lessons.observation import (
    Address,
    Link,
    MachineState,
    Network,
    Observation,
    Route,
    Rule,
    Unseen,
)
from kubelab.lessons.view import Verdict

PASSED, NOT_YET, CANNOT = Verdict.PASSED, Verdict.NOT_YET, Verdict.CANNOT_CHECK

LO = Link(1, "lo", "", True, True, 65536, "00:00:00:00:00:00")
BRIDGE = Link(2, "br0", "bridge", True, True, 1500, "0a:00:00:00:00:02")
PORT = Link(3, "veth-a", "veth", True, False, 1500, "0a:00:00:00:00:03", "br0")
LOOSE = Link(4, "veth-b", "veth", False, False, 1400, "0a:00:00:00:00:04")
RULES = (
    Rule("ip", "nat", "postrouting", 'ip saddr 10.9.0.0/24 oifname "eth0" masquerade'),
    Rule("ip", "nat", "prerouting", "tcp dport 80 dnat to 10.9.0.2:8080"),
    Rule("inet", "filter", "forward", "ct state established,related accept"),
)
MACHINE = Network(
    (LO, BRIDGE, PORT, LOOSE),
    (Address("lo", "127.0.0.1/8"), Address("br0", "10.9.0.1/24"), Address("br0", "fd00::1/64")),
    (Route("default", "10.0.0.1", "eth0", "10.0.0.5"), Route("10.9.0.0/24", "", "br0", "10.9.0.1")),
    RULES,
)
INSIDE = Network((LO, Link(2, "eth0", "veth", True, True, 1500, "0a:00:00:00:00:05")))
BLIND = Unseen(Text("ciego", "blind"))


def seen(inside: Network | Unseen = INSIDE, on_machine: Network = MACHINE) -> Observation:
    processes = (
        process(8, "bash", namespaces={"net": 81}),
        process(9, "new", namespaces={"net": 82}),
        process(9, "pause", namespaces={"net": 81}, cgroup="/kubepods/pod1111-2222/pause"),
    )
    state = MachineState("minion-1", HOST, processes, networks={HOST["net"]: on_machine, 81: inside})
    return pods(pod(), on=Observation(machines={"minion-1": state}))


@pytest.mark.parametrize(
    ("yaml", "verdict"),
    [
        ("link: br0", PASSED),
        ("link: br1", NOT_YET),
        ("link: {kind: bridge}", PASSED),
        ("link: {kind: vxlan}", NOT_YET),
        ("{link: br0, kind: bridge, up: true, mtu: 1500}", PASSED),
        ("{link: br0, kind: veth}", NOT_YET),
        ("{link: br0, up: false}", NOT_YET),
        ("{link: veth-b, up: false}", PASSED),
        ("{link: veth-a, carrier: true}", NOT_YET),
        ("{link: veth-a, carrier: false, master: br0}", PASSED),
        ("{link: veth-b, master: br0}", NOT_YET),
        ("{link: veth-b, master: none}", PASSED),
        ("{link: veth-a, master: none}", NOT_YET),
        ("{link: {kind: veth}, master: br0}", PASSED),
        ("{link: br0, mac: '0A:00:00:00:00:02'}", PASSED),
        ("{link: br0, mac: '0a:00:00:00:00:09'}", NOT_YET),
        ("{link: br0, absent: true}", NOT_YET),
        ("{link: br1, absent: true}", PASSED),
        ("{link: br0, field: mtu, le: 1450}", NOT_YET),
        ("{link: veth-b, field: mtu, le: 1450}", PASSED),
        ("{link: {kind: veth}, field: count, eq: 2}", PASSED),
        ("{link: {kind: veth}, field: count, gt: 2}", NOT_YET),
        ("{link: eth0, of: {comm: bash}}", PASSED),
        ("{link: eth0, of: {pod: web}, up: true}", PASSED),
        ("{link: br0, of: {comm: bash}, absent: true}", PASSED),
        ("{link: eth0, of: {comm: nobody}}", NOT_YET),
        ("{link: eth0, of: {comm: new}}", NOT_YET),
        ("address: 10.9.0.1", PASSED),
        ("address: 10.9.0.1/24", PASSED),
        ("address: 10.9.0.1/16", NOT_YET),
        ("address: fd00::1", PASSED),
        ("{address: 10.9.0.1, link: br0}", PASSED),
        ("{address: 10.9.0.1, link: lo}", NOT_YET),
        ("{address: 10.9.0.1, link: nope}", NOT_YET),
        ("{address: {in: 10.9.0.0/24}, link: br0}", PASSED),
        ("{address: {in: 10.8.0.0/16}}", NOT_YET),
        ("{address: 10.9.0.1, absent: true}", NOT_YET),
        ("{address: 10.9.0.1, of: {comm: bash}, absent: true}", PASSED),
        ("route: default", PASSED),
        ("route: 0.0.0.0/0", PASSED),
        ("{route: default, via: 10.0.0.1, link: eth0, source: 10.0.0.5}", PASSED),
        ("{route: default, via: 10.0.0.2}", NOT_YET),
        ("{route: 10.9.0.0/24, via: none, link: br0}", PASSED),
        ("{route: default, via: none}", NOT_YET),
        ("{route: 10.8.0.0/24}", NOT_YET),
        ("{route: 10.8.0.0/24, absent: true}", PASSED),
        ("{route: default, of: {comm: bash}}", NOT_YET),
        ("nft-rule: masquerade", PASSED),
        (
            "{nft-rule: [masquerade, ip saddr  10.9.0.0/24], family: ip, table: nat, chain: postrouting}",
            PASSED,
        ),
        ("{nft-rule: masquerade, chain: prerouting}", NOT_YET),
        ("{nft-rule: masquerade, family: inet}", NOT_YET),
        ("{nft-rule: drop, absent: true}", PASSED),
        ("{nft-rule: masquerade, absent: true}", NOT_YET),
        ("{nft-rule: nat, count: {eq: 1}}", PASSED),
        ("{nft-rule: [accept], count: {ge: 2}}", NOT_YET),
        ("{nft-rule: masquerade, of: {comm: bash}}", NOT_YET),
    ],
)
def test_what_is_in_the_network_of_whoever_looks(yaml: str, verdict: Verdict) -> None:
    assert found(yaml, seen()).verdict is verdict


@pytest.mark.parametrize(
    ("yaml", "observed", "look"),
    [
        ("{link: br0, mtu: 9000}", "`br0`: its MTU is 1500", "ip -d link show br0"),
        ("{link: {kind: veth}, mtu: 1400, up: true}", "`veth-a`: its MTU is 1500", "ip -d link show veth-a"),
        ("link: br1", "there is none; there are: `lo`, `br0`, `veth-a`, `veth-b`", "ip -d link show"),
        (
            "{link: br0, of: {pod: web}}",
            "there is none; there are: `lo`, `eth0`",
            "nsenter -t 9 -n ip -d link show",
        ),
        (
            "{address: 10.9.0.2, link: br0}",
            "there is none; `br0` has 10.9.0.1/24, `br0` has fd00::1/64",
            "ip address show dev br0",
        ),
        ("{address: 10.9.0.2, link: x}", "there is no link `x`", "ip address show"),
        ("{address: 10.9.0.2, of: {comm: bash}}", "there is no address", "nsenter -t 8 -n ip address show"),
        (
            "{route: default, via: 10.0.0.2}",
            "the route is “default via 10.0.0.1 dev eth0 src 10.0.0.5”",
            "ip route show",
        ),
        ("{route: default, of: {comm: bash}}", "there are no routes at all", "nsenter -t 8 -n ip route show"),
        (
            "{nft-rule: drop, table: filter}",
            "there is none; what there is: filter forward: ct state established,related accept",
            "nft list ruleset",
        ),
    ],
)
def test_what_is_amiss_is_said_with_the_command_that_shows_it(yaml: str, observed: str, look: str) -> None:
    finding = found(yaml, seen())
    assert (finding.observed.en, finding.look) == (observed, look)


def test_what_is_expected_is_said_in_both_languages() -> None:
    assert found("{link: veth-a, of: {comm: bash}, up: true, master: br0}", seen()).expected == Text(
        "visto desde un proceso `bash`, una interfaz `veth-a`, levantada (up), puerto del puente br0",
        "as seen from a process `bash`, a link `veth-a`, up, a port of bridge br0",
    )
    assert found("{route: default, via: 10.0.0.1, link: eth0, absent: true}", seen()).expected == Text(
        "en minion-1, ninguna ruta a default por 10.0.0.1 por la interfaz eth0",
        "on minion-1, no route to default via 10.0.0.1 out of eth0",
    )


def test_what_cannot_be_seen_is_no_mistake() -> None:
    blind = seen(inside=BLIND)
    for yaml in ("link: eth0", "address: 10.9.0.2", "route: default", "nft-rule: drop"):
        assert found(f"{{{yaml}, of: {{comm: bash}}}}", blind).verdict is CANNOT
    without_nft = seen(on_machine=Network((LO,), rules=BLIND))
    assert found("nft-rule: drop", without_nft).verdict is CANNOT
    assert found("{nft-rule: drop, absent: true}", without_nft).verdict is CANNOT
    assert found("link: lo", without_nft).passed


@pytest.mark.parametrize(
    ("yaml", "value"),
    [
        ("link: br0", "up"),
        ("{link: veth-b, field: mtu}", 1400),
        ("{link: veth-b, field: master}", None),
        ("{link: {kind: veth}, field: count}", 2),
        ("link: br1", None),
        ("address: {in: 10.9.0.0/24}", "10.9.0.1/24"),
        ("address: 10.8.0.1", None),
        ("route: default", "10.0.0.1"),
        ("route: 10.9.0.0/24", "br0"),
        ("nft-rule: nat", 1),
    ],
)
def test_the_value_of_each(yaml: str, value: object) -> None:
    measure = check(yaml)
    assert isinstance(measure, Measure)
    assert measure.value(seen(), SCOPE) == value


@pytest.mark.parametrize(
    "yaml", ["address: ten", "address: {in: x}", "address: {on: 10.0.0.0/8}", "route: home"]
)
def test_what_is_no_address_is_refused_with_an_example(yaml: str) -> None:
    with pytest.raises(LessonError, match=r"10\.1\.0\."):
        check(yaml)
