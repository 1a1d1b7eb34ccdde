"""The files of cgroup v1 in the words and the format of cgroup v2's. Pure: the files are handed in.

Source: Documentation/admin-guide/cgroup-v1/, cgroup-v2.rst. One module a controller. `FIELDS` are those that
v1 has under another name or in another format, `CANNOT` says why it has nothing like the others; a field that
is in neither has the same name and format (pids.max), or this kernel does not know it.
Left out: hugetlb, rdma, net_cls, net_prio, perf_event; devices is `cgroup_programs`'.
"""

from collections.abc import Mapping

from kubelab.cluster.linux.cgroup_v1 import cpu, cpuset, freezer, io, memory
from kubelab.cluster.linux.cgroup_v1.field import Field
from kubelab.language import Text

CONTROLLERS = {"blkio": "io", "cpuacct": "cpu"}
"""v1's controllers that have another name in v2, or went into another one there."""

FIELDS: Mapping[str, Field] = {**cpu.FIELDS, **memory.FIELDS, **io.FIELDS, **cpuset.FIELDS, **freezer.FIELDS}
CANNOT: Mapping[str, Text] = {**cpu.CANNOT, **memory.CANNOT, **io.CANNOT, **cpuset.CANNOT}


def file_of(field: str) -> str:
    """Return the name of the file that v1 has for the field; many are called alike."""
    if field == "cgroup.threads":
        return "tasks"
    return FIELDS[field].file if field in FIELDS else field
