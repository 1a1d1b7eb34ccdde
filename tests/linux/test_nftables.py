"""The rules of a network namespace, as nft(8) prints them."""

import os
import subprocess

import pytest

from kubelab.cluster.linux import nftables
from kubelab.cluster.linux.namespaces import call_in_network, new_network_namespace
from kubelab.cluster.linux.netlink import Netlink

RULESET = """\
# Warning: table ip filter is managed by iptables-nft, do not touch!
table ip filter {
\tcomment "mine"
\tset dark {
\t\ttype ipv4_addr
\t\telements = { 10.0.0.1, 10.0.0.2,
\t\t\t     10.0.0.3 }
\t}

\tchain input {
\t\tcomment "what comes in"
\t\ttype filter hook input priority filter; policy drop;
\t\ttcp dport 22 accept comment "ssh"
\t\tiifname "lo" jump {
\t\t\tip saddr 10.0.0.1 drop
\t\t}
\t\tcounter
\t}
}
table inet empty {
}
table ip6 nat {
\tchain out {
\t\tmasquerade
\t}
}
"""


def test_rules_are_found_among_sets_and_chains_settings() -> None:
    assert list(nftables.rules(RULESET)) == [
        ("ip", "filter", "input", 'tcp dport 22 accept comment "ssh"'),
        ("ip", "filter", "input", 'iifname "lo" jump { ip saddr 10.0.0.1 drop }'),
        ("ip", "filter", "input", "counter"),
        ("ip6", "nat", "out", "masquerade"),
    ]


def test_no_ruleset_no_rules() -> None:
    assert list(nftables.rules("")) == []


@pytest.fixture
def netns_fd():
    fd = new_network_namespace(lambda: None)
    yield fd
    os.close(fd)


def nft(netns_fd: int, command: str) -> None:
    call_in_network(netns_fd, lambda: subprocess.run(["nft", command], check=True))


@pytest.mark.root
def test_the_kernel_tells_whether_there_is_any_table(netns_fd: int) -> None:
    def has_tables() -> bool:
        with Netlink(nftables.open_netfilter()) as netfilter:
            return nftables.has_tables(netfilter)

    assert not call_in_network(netns_fd, has_tables)
    nft(netns_fd, "add table ip t")
    assert call_in_network(netns_fd, has_tables)


@pytest.mark.root
@pytest.mark.parametrize("with_library", [True, False])
def test_library_and_program_list_alike(
    netns_fd: int, with_library: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not with_library:
        monkeypatch.setattr(nftables, "LIBRARY", "libnonesuch.so")
    nft(netns_fd, "add table ip t; add chain ip t c; add rule ip t c ip daddr 10.0.0.1 counter drop")
    listed = nftables.list_ruleset(netns_fd)
    assert list(nftables.rules(listed)) == [("ip", "t", "c", "ip daddr 10.0.0.1 counter drop")]


@pytest.mark.root
def test_where_neither_is_installed_it_is_told_what_to_install(
    netns_fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nftables, "LIBRARY", "libnonesuch.so")
    monkeypatch.setattr(nftables, "PROGRAM_PATH", "/nowhere")
    with pytest.raises(nftables.LabError, match="apt install nftables"):
        nftables.list_ruleset(netns_fd)
