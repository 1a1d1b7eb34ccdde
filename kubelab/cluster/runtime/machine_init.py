"""The machine's init as it builds its machine, keeps it in order, and tells what of it is damaged.

What a machine's user starts goes into the cgroup `programs` (see `programs`), the pods into `kubepods` (see
`pod_sandboxes`), the init itself sits in `system`.
"""
# ruff: noqa: PTH103, PTH105, PTH123 - the shim imports this, and pathlib is slow to

import gc
import os
import socket

from kubelab.cluster.linux.cgroups import CgroupTree
from kubelab.cluster.linux.netlink import Netlink, set_link, set_sysctls
from kubelab.cluster.runtime import (
    container,
    examination,
    machine_root,
    pause,
    privileges,
    sandbox,
)
from kubelab.cluster.runtime.answers import Answer, Method, Params
from kubelab.cluster.runtime.children import limit

SYSTEM_CGROUP = "system"
PROGRAMS_CGROUP = "programs"
PODS_CGROUP = "kubepods"
# The machine routes for its pods; a reply to a pod's neighbour goes out where it came in, which is no
# mistake.
SYSCTLS = (
    *sandbox.SYSCTLS,
    ("ipv4/ip_forward", "1"),
    ("ipv4/conf/all/rp_filter", "0"),
    ("ipv4/conf/default/rp_filter", "0"),
    ("ipv4/conf/all/send_redirects", "0"),
    ("ipv4/conf/default/send_redirects", "0"),
    ("bridge/bridge-nf-call-iptables", "0"),
    ("bridge/bridge-nf-call-ip6tables", "0"),
    ("bridge/bridge-nf-call-arptables", "0"),
)


class MachineInit:
    """What the other parts of the shim must know of the machine is in its attributes, once it is built."""

    def __init__(self) -> None:
        self.cgroups = CgroupTree(())
        self.env: dict[str, str] = {}
        self.disk_bytes = 0
        self.netns_fd = -1
        self._as_built: examination.AsBuilt | None = None

    def methods(self) -> dict[str, Method]:
        return {"build": self.build, "examine": self.examine, "write_file": self.write_file}

    def build(self, params: Params, fds: tuple[int, ...]) -> Answer:
        """Make the root; from here on this is the machine's init."""
        outside = CgroupTree.from_json(params["cgroups"])
        outside.at(SYSTEM_CGROUP).make_room()
        self.cgroups = outside.as_seen_inside()
        socket.sethostname(params["name"])
        sizes = params["sizes"]
        self.disk_bytes = sizes["/"]
        root = machine_root.MachineRoot(params["files"], params["binds"], sizes)
        uppers = machine_root.build(root, self.cgroups)
        self.env = dict(params["env"])
        for name, part in ((PROGRAMS_CGROUP, "programs"), (PODS_CGROUP, "pods")):
            self.cgroups.at(name).create()
            limit(self.cgroups.at(name), params["limits"][part])
        set_sysctls(SYSCTLS)
        with Netlink() as netlink:
            netlink.do(set_link(1, up=True))
        _make_private_directories()
        self.netns_fd = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        privileges.give_up()
        self._as_built = examination.AsBuilt.now(params["name"], uppers, SYSCTLS)
        gc.freeze()
        return Answer()

    def examine(self, params: Params, fds: tuple[int, ...]) -> Answer:
        """Answer what of the machine is not as it was built."""
        assert self._as_built is not None
        return Answer({"damages": self._as_built.damages()})

    def write_file(self, params: Params, fds: tuple[int, ...]) -> Answer:
        path = params["path"]
        os.makedirs(os.path.dirname(path), exist_ok=True)
        temporary = f"{path}.kubelab"
        with open(temporary, "wb") as file:
            os.fchmod(file.fileno(), params["mode"])
            file.write(bytes.fromhex(params["content"]))
        os.replace(temporary, path)
        if self._as_built:
            self._as_built.note(path)
        return Answer()


def _make_private_directories() -> None:
    for directory in (container.ROOT, sandbox.PAUSE_ROOT):
        os.makedirs(directory)
    with open(f"{sandbox.PAUSE_ROOT}/pause", "wb") as file:
        file.write(pause.program())
        os.fchmod(file.fileno(), 0o755)
