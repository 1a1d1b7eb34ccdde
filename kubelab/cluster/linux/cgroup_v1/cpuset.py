"""cpuset. In v1 every cgroup has its own set written down; in v2 an empty one means: as above.

Source: Documentation/admin-guide/cgroup-v1/cpusets.rst.
Differs from v2: a set must be part of that of the cgroup above and hold those below (EACCES, EBUSY).
"""

from collections.abc import Mapping

from kubelab.cluster.linux.cgroup_v1.field import Field, Files, Writes, same, text
from kubelab.language import Text


def _set(name: str) -> Field:
    def write(value: str, files: Files) -> Writes:
        return ((name, value or text(files, f"../{name}")),)

    return Field(name, lambda files: text(files, name), write)


FIELDS: Mapping[str, Field] = {
    "cpuset.cpus": _set("cpuset.cpus"),
    "cpuset.mems": _set("cpuset.mems"),
    "cpuset.cpus.effective": same("cpuset.effective_cpus"),
    "cpuset.mems.effective": same("cpuset.effective_mems"),
}
CANNOT: Mapping[str, Text] = {
    name: Text(
        es="cgroup v1 no tiene particiones de procesadores (su cpu_exclusive es otra cosa)",
        en="cgroup v1 has no partitions of processors (its cpu_exclusive is something else)",
    )
    for name in ("cpuset.cpus.partition", "cpuset.cpus.exclusive", "cpuset.cpus.exclusive.effective")
}
