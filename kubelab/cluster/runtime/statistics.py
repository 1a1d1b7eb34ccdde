"""What cgroups have used, from what their files say in cgroup v2's words. Pure.

Source: Documentation/admin-guide/cgroup-v2.rst; the working set as cAdvisor and containerd compute it
(internal/cri/server/container_stats_list_linux.go: memory.current without inactive_file).
"""

from collections.abc import Mapping

from kubelab.cluster.runtime.cri import Usage


def usage(files: Mapping[str, str]) -> Usage:
    """Return what the *files* say; what is missing counts as nothing."""
    current = int(files.get("memory.current", 0))
    return Usage(
        cpu_us=_flat(files.get("cpu.stat", "")).get("usage_usec", 0),
        memory_bytes=current,
        memory_working_set_bytes=max(
            0, current - _flat(files.get("memory.stat", "")).get("inactive_file", 0)
        ),
        pids=int(files.get("pids.current", 0)),
        disk_read_bytes=_nested_sum(files.get("io.stat", ""), "rbytes"),
        disk_written_bytes=_nested_sum(files.get("io.stat", ""), "wbytes"),
    )


def _flat(text: str) -> dict[str, int]:
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2}


def _nested_sum(text: str, key: str) -> int:
    words = (word.partition("=") for word in text.split())
    return sum(int(value) for name, _, value in words if name == key)
