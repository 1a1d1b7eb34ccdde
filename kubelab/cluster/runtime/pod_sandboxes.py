"""The sandboxes of a machine's pods: the bridge they are plugged into, their cgroups, their pause processes.

Source: containerd, internal/cri/server/sandbox_run.go. Which namespaces a pod shares with its machine is
containerd's rule too: with hostNetwork it has the machine's host name as well.
"""
# ruff: noqa: PTH101, PTH103 - the shim imports this, and pathlib is slow to

import errno
import os
from dataclasses import dataclass, replace
from ipaddress import IPv4Interface

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux import syscalls
from kubelab.cluster.linux.cgroups import Cgroup
from kubelab.cluster.linux.netlink import (
    MTU_BYTES,
    Netlink,
    add_address,
    add_bridge,
    isolate_port,
    set_link,
    set_sysctls,
)
from kubelab.cluster.runtime import sandbox, sandbox_program
from kubelab.cluster.runtime.answers import Answer, Method, Params, Pending, started
from kubelab.cluster.runtime.children import Child, Children, Told, limit, start
from kubelab.cluster.runtime.config import IdMapping
from kubelab.cluster.runtime.machine_init import PODS_CGROUP, MachineInit
from kubelab.cluster.runtime.pod_volumes import PODS, remove_all, remove_tree
from kubelab.cluster.runtime.starts import Outcome, Starts

BRIDGE = "cni0"
IDS_PER_POD = 65536


@dataclass(frozen=True, slots=True)
class Sandbox:
    """`pidfd` is the pause process's, good until it is reaped."""

    uid: str
    pidfd: int


class PodSandboxes:
    def __init__(self, machine: MachineInit, children: Children, starts: Starts) -> None:
        self._machine = machine
        self._children = children
        self._starts = starts
        self._sandboxes: dict[str, Sandbox] = {}
        self._gateway: IPv4Interface | None = None
        self._bridge_index = 0
        self._mtu_bytes = MTU_BYTES

    def methods(self) -> dict[str, Method]:
        return {
            "ready_pods": self.ready,
            "run_sandbox": self.run,
            "remove_sandbox": self.remove,
        }

    def get(self, uid: str) -> Sandbox:
        """Raises KernelError: its pause process has ended."""
        if uid not in self._sandboxes:
            raise KernelError("enter sandbox", uid, errno.ESRCH)
        return self._sandboxes[uid]

    def uids(self) -> tuple[str, ...]:
        return tuple(self._sandboxes)

    def cgroup(self, uid: str, name: str = "") -> Cgroup:
        """Return the pod's own, or one in it."""
        return self._machine.cgroups.at(f"{PODS_CGROUP}/pod{uid}/{name}")

    def ready(self, params: Params, fds: tuple[int, ...]) -> Answer:
        """Make the place of this node's volumes, and its pods' bridge; its MTU and theirs is that of the
        machine's cable."""
        # The machine's root is an overlay, whose owners cannot be mapped for pods with users of their own.
        os.makedirs(PODS, exist_ok=True)
        syscalls.mount("pods", PODS, "tmpfs", syscalls.MS_NODEV, f"mode=0755,size={self._machine.disk_bytes}")
        self._gateway = IPv4Interface(params["gateway"])
        with Netlink() as netlink:
            cable = netlink.link("eth0")
            self._mtu_bytes = cable.mtu_bytes if cable else MTU_BYTES
            # A fixed one, made from the address as CNI's bridge does, or pods would talk to one that is gone.
            netlink.do(add_bridge(BRIDGE, b"\x0a\x58" + self._gateway.ip.packed))
            self._bridge_index = netlink.index(BRIDGE)
            mtu = set_link(self._bridge_index, mtu_bytes=self._mtu_bytes)
            netlink.do(mtu, add_address(self._bridge_index, self._gateway))
        # Ports are isolated, so the bridge answers for a pod's neighbours and the traffic between them is
        # routed: it passes the machine's netfilter hooks as traffic from elsewhere does.
        set_sysctls(
            [(f"ipv4/conf/{BRIDGE}/proxy_arp_pvlan", "1"), (f"ipv4/conf/{BRIDGE}/send_redirects", "0")]
        )
        return Answer()

    def run(self, params: Params, fds: tuple[int, ...]) -> Answer | Pending:
        assert self._gateway is not None
        uid = params["uid"]
        pod = self.cgroup(uid)
        pod.create()
        limit(pod, params["limits"])
        cgroup = self.cgroup(uid, "pause")
        cgroup.create()
        os.makedirs(shm_of(uid), mode=0o1777, exist_ok=True)
        os.chmod(shm_of(uid), 0o1777)  # noqa: S103 - as /dev/shm is everywhere
        start_ = sandbox.Start(
            hostname=params["hostname"],
            interface=IPv4Interface((params["address"], self._gateway.network.prefixlen)),
            gateway=self._gateway.ip,
            peer=params["peer"],
            machine_netns_fd=self._machine.netns_fd,
            cgroup=cgroup,
            host_network=params["host_network"],
            sysctls=tuple(params["sysctls"].items()),
            id_mappings=_id_mappings(params["ids_from"]),
            mtu_bytes=self._mtu_bytes,
        )
        flags = _flags(params)
        if prepared := sandbox_program.prepare(start_):
            return self._starts.start(
                prepared, flags, lambda outcome: self._started(uid, start_, flags, outcome)
            )
        return self._made(uid, start_, start(flags, lambda: sandbox.run(start_), cgroup))

    def _started(self, uid: str, start_: sandbox.Start, flags: int, outcome: Outcome) -> Answer:
        try:
            made = outcome()
        except KernelError:
            # The failed program's network namespace, and this end of its link with it, go some time later.
            start_ = replace(start_, peer=f"{start_.peer}b")
            made = start(flags, lambda: sandbox.run(start_), start_.cgroup)
        return self._made(uid, start_, made)

    def _made(self, uid: str, start_: sandbox.Start, made: tuple[int, int]) -> Answer:
        pid, pidfd = made
        self._sandboxes[uid] = Sandbox(uid, pidfd)
        self._children.add(Child(pid, pidfd, lambda: self._ended(uid)))
        if not start_.host_network:
            self._plug(start_.peer)
        return started(pid, pidfd)

    def remove(self, params: Params, fds: tuple[int, ...]) -> Answer:
        """Take back what is left of a pod whose processes have ended; its links go with its network
        namespace."""
        uid = params["uid"]
        self.cgroup(uid).remove()
        remove_tree(_directory(uid))
        remove_all(uid)
        return Answer()

    def _plug(self, peer: str) -> None:
        with Netlink() as netlink:
            port = netlink.index(peer)
            netlink.do(set_link(port, master=self._bridge_index, up=True), isolate_port(port))

    def _ended(self, uid: str) -> Told:
        # The descriptor's number may be another pod's in a moment.
        self._sandboxes.pop(uid, None)
        return {}


def shm_of(uid: str) -> str:
    """Return what the pod's containers have as /dev/shm."""
    return f"{_directory(uid)}/shm"


def _directory(uid: str) -> str:
    return f"/run/kubelab/pods/{uid}"


def _flags(params: Params) -> int:
    """Return the namespaces that the pod has of its own."""
    flags = syscalls.CLONE_NEWNS | (0 if params["host_pid"] else syscalls.CLONE_NEWPID)
    if params["ids_from"]:  # The others belong to its user namespace, and are made after that.
        return flags
    if not params["host_network"]:
        flags |= syscalls.CLONE_NEWNET | syscalls.CLONE_NEWUTS
    return flags if params["host_ipc"] else flags | syscalls.CLONE_NEWIPC


def _id_mappings(ids_from: int) -> tuple[IdMapping, ...]:
    return (IdMapping(0, ids_from, IDS_PER_POD),) if ids_from else ()
