"""A pod's sandbox from within: its hostname, its network, and the pause program that holds both.

Runs in the child that the shim cloned with new pid, mount, net, ipc and uts namespaces. The pod's veth is
made from the pod's side, its other end born in the machine's network namespace: one write readies all of the
pod's network.
"""
# ruff: noqa: PTH123 - the shim imports this, and pathlib is slow to

import os
import signal
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import NoReturn

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux import capabilities, syscalls, user_namespace
from kubelab.cluster.linux.cgroups import Cgroup
from kubelab.cluster.linux.mounts import bind, enter_root, make_private
from kubelab.cluster.linux.netlink import (
    MTU_BYTES,
    Netlink,
    Request,
    add_address,
    add_route,
    add_veth,
    set_link,
    set_sysctls,
)
from kubelab.cluster.runtime import container_namespaces
from kubelab.cluster.runtime.config import IdMapping
from kubelab.cluster.runtime.execution import default_signals, execute, use_streams

# What a user namespace's root is to have rights over: they are made in it.
_OF_USERS = syscalls.CLONE_NEWNET | syscalls.CLONE_NEWIPC | syscalls.CLONE_NEWUTS
PAUSE_ROOT = "/run/kubelab/pause"
_LOOPBACK, _ETH0 = 1, 2
_DEFAULT = IPv4Network("0.0.0.0/0")
_GROUP_MAX = 2147483647
_ALL_GROUPS = f"0 {_GROUP_MAX}"  # Of ipv4/ping_group_range.
# No IPv6 in the lab's networks yet: without it there is no duplicate address detection to wait for.
SYSCTLS = (("ipv6/conf/all/disable_ipv6", "1"), ("ipv6/conf/default/disable_ipv6", "1"))


@dataclass(frozen=True, slots=True)
class Start:
    """What the shim hands to the child. `peer` is the veth's end on the machine. With `host_network` it is in
    the machine's net and uts namespaces. With `id_mappings` the pod has a user namespace, which its other
    ones, made here, belong to."""

    hostname: str
    interface: IPv4Interface
    gateway: IPv4Address
    peer: str
    machine_netns_fd: int
    cgroup: Cgroup
    host_network: bool = False
    sysctls: tuple[tuple[str, str], ...] = ()
    id_mappings: tuple[IdMapping, ...] = ()
    mtu_bytes: int = MTU_BYTES


def run(start: Start) -> NoReturn:
    """Become the pause process.

    Raises:
        KernelError, OSError: the sandbox could not be made.
    """
    start.cgroup.add_thread()
    os.setsid()
    if start.id_mappings:
        # The one that is there numbers processes as the machine does.
        make_private()
        syscalls.mount("proc", "/proc", "proc", syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC)
        with container_namespaces.held(start.id_mappings, start.id_mappings, _OF_USERS) as holder:
            syscalls.setns(holder, _OF_USERS)
            _make(start)
            container_namespaces.enter_user(holder)
    else:
        _make(start)
    default_signals()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    capabilities.keep_only(frozenset())
    execute(("/pause",), {})


def _make(start: Start) -> None:
    if not start.host_network:
        socket.sethostname(start.hostname)
        set_sysctls(SYSCTLS)
        _make_network(start)
    _set_own_sysctls(start.sysctls)
    make_private()
    bind(PAUSE_ROOT, PAUSE_ROOT, read_only=True)
    use_streams(-1, -1, -1)
    enter_root(PAUSE_ROOT)


def _set_own_sysctls(sysctls: tuple[tuple[str, str], ...]) -> None:
    """Set the pod's own, by their names with dots. All groups are those that this user namespace has."""
    for name, wanted in sysctls:
        path, value = own_sysctl(name, wanted)
        try:
            with open(path, "w", encoding="ascii") as file:
                file.write(value)
        except OSError as error:
            raise KernelError("write", path, error.errno or 0) from None


def own_sysctl(name: str, wanted: str) -> tuple[str, str]:
    """Return the file of one of the pod's own sysctls, and what is written into it."""
    value = f"0 {min(_GROUP_MAX, user_namespace.last_group())}" if wanted == _ALL_GROUPS else wanted
    return f"/proc/sys/{name.replace('.', '/')}", value


def _make_network(start: Start) -> None:
    with Netlink() as netlink:
        netlink.do(*network(start))


def network(start: Start) -> tuple[Request, ...]:
    """Return what readies the pod's network, from within it."""
    return (
        set_link(_LOOPBACK, up=True),
        add_veth("eth0", start.peer, start.machine_netns_fd, index=_ETH0, mtu_bytes=start.mtu_bytes),
        add_address(_ETH0, start.interface),
        set_link(_ETH0, up=True),
        add_route(_DEFAULT, start.gateway, _ETH0),
    )
