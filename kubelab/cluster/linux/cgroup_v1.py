"""What cgroup v1's files say, in the words and the format of cgroup v2's. Pure: the files are handed in.

Source: Documentation/admin-guide/cgroup-v1/ (memory, cpuacct, blkio-controller), cgroup-v2.rst; the
conversion of `cpu.shares` is Kubernetes' (KEP-2254).
Left out, for v1 has nothing like it: memory.min, memory.low and memory.high (v1's soft limit is only a
preference when memory is reclaimed), the `oom` of memory.events, pressure, the bursts of cpu.stat, io.weight.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

Files = Callable[[str], str | None]
"""Returns what a file says, in the directory of the controller that its name begins with; None: not there."""

UNLIMITED_BYTES = 1 << 62  # "No limit" is the largest page-aligned number, 2^63 - 4096 with 4 KiB pages.
NS_PER_US = 1000

CONTROLLERS = {"blkio": "io", "cpuacct": "cpu"}
"""v1's controllers that have another name in v2, or went into another one there."""


@dataclass(frozen=True, slots=True)
class Field:
    """`file` is the one that has the value, or most of it."""

    file: str
    read: Callable[[Files], str]


def file_of(field: str) -> str:
    """Return the name of the file that v1 has for the field; many are called alike."""
    if field == "cgroup.threads":
        return "tasks"
    return FIELDS[field].file if field in FIELDS else field


def weight_of_shares(shares: int) -> int:
    """Map 2..262144 onto 1..10000, as the kubelet does."""
    return 1 + (shares - 2) * 9999 // 262142


def flat(text: str) -> dict[str, int]:
    """Parse a flat-keyed file."""
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2}


def _text(files: Files, name: str) -> str:
    return (files(name) or "").strip()


def _number(files: Files, name: str) -> int:
    return int(_text(files, name) or 0)


def _same(name: str) -> Field:
    return Field(name, lambda files: _text(files, name))


def _limit(bytes_: int) -> str:
    return "max" if bytes_ >= UNLIMITED_BYTES else str(bytes_)


def _swap_max(files: Files) -> str:
    both = _number(files, "memory.memsw.limit_in_bytes")
    return _limit(both if both >= UNLIMITED_BYTES else both - _number(files, "memory.limit_in_bytes"))


def _swap_current(files: Files) -> str:
    used = _number(files, "memory.memsw.usage_in_bytes") - _number(files, "memory.usage_in_bytes")
    return str(max(used, 0))


def _memory_events(files: Files) -> str:
    kills = flat(_text(files, "memory.oom_control")).get("oom_kill", 0)
    return f"max {_number(files, 'memory.failcnt')}\noom_kill {kills}"


_MEMORY_STAT = {
    "anon": "rss",
    "file": "cache",
    "shmem": "shmem",
    "file_mapped": "mapped_file",
    "file_dirty": "dirty",
    "file_writeback": "writeback",
    "swapcached": "swapcached",
    "anon_thp": "rss_huge",
    "inactive_anon": "inactive_anon",
    "active_anon": "active_anon",
    "inactive_file": "inactive_file",
    "active_file": "active_file",
    "unevictable": "unevictable",
    "workingset_refault_anon": "workingset_refault_anon",
    "workingset_refault_file": "workingset_refault_file",
    "pgfault": "pgfault",
    "pgmajfault": "pgmajfault",
}


def _memory_stat(files: Files) -> str:
    """v2 counts the cgroups below as well, which v1 does in its totals."""
    known = flat(_text(files, "memory.stat"))
    pairs = ((name, known.get(f"total_{old}", known.get(old))) for name, old in _MEMORY_STAT.items())
    return "\n".join(f"{name} {value}" for name, value in pairs if value is not None)


def _cpu_max(files: Files) -> str:
    quota = _text(files, "cpu.cfs_quota_us")
    return f"{'max' if quota == '-1' else quota} {_text(files, 'cpu.cfs_period_us')}"


def _cpu_stat(files: Files) -> str:
    """The times are cpuacct's, in whose hierarchy there may be no cgroup of this path."""
    known = flat(_text(files, "cpu.stat"))
    times = {
        name: int(text) // NS_PER_US
        for name, file in (("usage_usec", "usage"), ("user_usec", "usage_user"), ("system_usec", "usage_sys"))
        if (text := files(f"cpuacct.{file}")) is not None
    }
    throttled = {
        "nr_periods": known.get("nr_periods", 0),
        "nr_throttled": known.get("nr_throttled", 0),
        "throttled_usec": known.get("throttled_time", 0) // NS_PER_US,
    }
    return "\n".join(f"{name} {value}" for name, value in (times | throttled).items())


_IO_MAX = {"rbps": "read_bps", "wbps": "write_bps", "riops": "read_iops", "wiops": "write_iops"}
_IO_STAT = {"bytes": "io_service_bytes_recursive", "ios": "io_serviced_recursive"}


def _io_max(files: Files) -> str:
    limits: dict[str, dict[str, str]] = {}
    for key, name in _IO_MAX.items():
        for device, value in _pairs(_text(files, f"blkio.throttle.{name}_device")):
            limits.setdefault(device, dict.fromkeys(_IO_MAX, "max"))[key] = value
    return _nested(limits)


def _io_stat(files: Files) -> str:
    counted: dict[str, dict[str, str]] = {}
    for unit, name in _IO_STAT.items():
        for line in _text(files, f"blkio.throttle.{name}").splitlines():
            if len(words := line.split()) == 3 and words[1] in ("Read", "Write", "Discard"):
                counted.setdefault(words[0], {})[f"{words[1][0].lower()}{unit}"] = words[2]
    return _nested(counted)


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        if len(words := line.split()) == 2:
            yield words[0], words[1]


def _nested(values: Mapping[str, Mapping[str, str]]) -> str:
    lines = (
        f"{name} " + " ".join(f"{key}={value}" for key, value in keys.items())
        for name, keys in values.items()
    )
    return "\n".join(lines)


FIELDS: Mapping[str, Field] = {
    "cpu.weight": Field("cpu.shares", lambda files: str(weight_of_shares(_number(files, "cpu.shares")))),
    "cpu.max": Field("cpu.cfs_quota_us", _cpu_max),
    "cpu.max.burst": Field("cpu.cfs_burst_us", _same("cpu.cfs_burst_us").read),
    "cpu.stat": Field("cpu.stat", _cpu_stat),
    "memory.current": _same("memory.usage_in_bytes"),
    "memory.peak": _same("memory.max_usage_in_bytes"),
    "memory.max": Field(
        "memory.limit_in_bytes", lambda files: _limit(_number(files, "memory.limit_in_bytes"))
    ),
    "memory.swap.current": Field("memory.memsw.usage_in_bytes", _swap_current),
    "memory.swap.max": Field("memory.memsw.limit_in_bytes", _swap_max),
    "memory.events": Field("memory.oom_control", _memory_events),
    "memory.stat": Field("memory.stat", _memory_stat),
    "cpuset.cpus.effective": _same("cpuset.effective_cpus"),
    "cpuset.mems.effective": _same("cpuset.effective_mems"),
    "io.max": Field("blkio.throttle.read_bps_device", _io_max),
    "io.stat": Field("blkio.throttle.io_service_bytes_recursive", _io_stat),
}
"""The fields that v1 has under another name or in another format."""
