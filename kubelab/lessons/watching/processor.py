"""Whether anybody on a machine did anything: the processor time that the kernel accounts to its cgroup.

Source: Documentation/admin-guide/cgroup-v2.rst (cpu.stat, which every cgroup has),
cgroup-v1/cpuacct.rst (cpuacct.usage). Whatever a process does it does by running, and what runs is accounted
at the latest when it stops running. So while one small number stays as it is, there is nothing to scan.
"""

import os

from kubelab.cluster.linux.cgroups import CgroupTree

_READ_BYTES = 64  # The first line of cpu.stat has usage_usec.


class ProcessorAccount:
    def __init__(self, tree: CgroupTree | None) -> None:
        """*tree*: the machine's; without one, or without accounting, something might always have happened."""
        self._fd = _open(tree) if tree is not None else -1
        self._used = b""

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def has_moved(self) -> bool:
        """Tell whether anything ran since this was asked before."""
        if self._fd < 0:
            return True
        try:
            used = os.pread(self._fd, _READ_BYTES, 0)
        except OSError:  # The cgroup is gone, and the machine with it: whoever looks at it will find out.
            return True
        moved, self._used = used != self._used, used
        return moved


def _open(tree: CgroupTree) -> int:
    cgroup = tree.at("")
    files = ((cgroup.directory("cpuacct"), "cpuacct.usage"), (cgroup.directory(""), "cpu.stat"))
    for directory, name in files:
        if directory is not None:
            try:
                return os.open(os.path.join(directory, name), os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                continue
    return -1
