"""memory. v1 limits memory alone and memory with swap, v2 memory and swap apart.

Source: Documentation/admin-guide/cgroup-v1/memory.rst.
Left out, for v1 has nothing like it: what `CANNOT` names, and the `oom` of memory.events. Differs from v2:
counted as killed are this cgroup's own, not those of the cgroups below; without memory.max swap has no
limit.
"""

from collections.abc import Mapping

from kubelab.cluster.linux.cgroup_files import flat
from kubelab.cluster.linux.cgroup_v1.field import Field, Files, Writes, number, same, text
from kubelab.language import Text

LIMIT, LIMIT_WITH_SWAP = "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"
UNLIMITED_BYTES = 1 << 62  # "No limit" is the largest page-aligned number, 2^63 - 4096 with 4 KiB pages.
_UNITS = {unit: 1 << 10 * (power + 1) for power, unit in enumerate("KMGTPE")}


def bytes_of(value: str) -> int:
    """Parse a size as the kernel does (lib/cmdline.c, memparse). Raises ValueError."""
    if value == "max":
        return UNLIMITED_BYTES
    factor = _UNITS.get(value[-1:].upper(), 1)
    return int(value[:-1] if factor > 1 else value) * factor


def _limit(bytes_: int) -> str:
    return "max" if bytes_ >= UNLIMITED_BYTES else str(bytes_)


def _swap_bytes(files: Files) -> int:
    """Return how much may be swapped out."""
    both = number(files, LIMIT_WITH_SWAP)
    return both if both >= UNLIMITED_BYTES else both - number(files, LIMIT)


def _swap_current(files: Files) -> str:
    used = number(files, "memory.memsw.usage_in_bytes") - number(files, "memory.usage_in_bytes")
    return str(max(used, 0))


def write_max(value: str, files: Files) -> Writes:
    """Limit memory; swap may be used as much as before."""
    return _limits(bytes_of(value), _swap_bytes(files), files)


def write_max_without_swap(value: str, files: Files) -> Writes:
    """Limit memory, and allow no swap: Kubernetes gives containers none unless asked to (KEP-2400)."""
    return _limits(bytes_of(value), 0, files)


def _write_swap_max(value: str, files: Files) -> Writes:
    memory = number(files, LIMIT)
    if memory >= UNLIMITED_BYTES and value != "max":
        raise ValueError(value)
    return _limits(memory, bytes_of(value), files)


def _limits(memory: int, swap: int, files: Files) -> Writes:
    """Memory and swap together may never be below memory alone, so the way up is another than down. Where
    swap is not accounted for (swapaccount=0) it cannot be limited."""
    alone = (LIMIT, _v1(memory))
    before = files(LIMIT_WITH_SWAP)
    if before is None:
        return (alone,)
    both = (LIMIT_WITH_SWAP, _v1(memory + swap))
    return (both, alone) if memory + swap > int(before) else (alone, both)


def _v1(bytes_: int) -> str:
    return "-1" if bytes_ >= UNLIMITED_BYTES else str(bytes_)


def _events(files: Files) -> str:
    kills = flat(text(files, "memory.oom_control")).get("oom_kill", 0)
    return f"max {number(files, 'memory.failcnt')}\noom_kill {kills}"


_STAT = {
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


def _stat(files: Files) -> str:
    """v2 counts the cgroups below as well, which v1 does in its totals."""
    known = flat(text(files, "memory.stat"))
    pairs = ((name, known.get(f"total_{old}", known.get(old))) for name, old in _STAT.items())
    return "\n".join(f"{name} {value}" for name, value in pairs if value is not None)


FIELDS: Mapping[str, Field] = {
    "memory.current": same("memory.usage_in_bytes"),
    "memory.peak": same("memory.max_usage_in_bytes"),
    "memory.max": Field(LIMIT, lambda files: _limit(number(files, LIMIT)), write_max),
    "memory.swap.current": Field("memory.memsw.usage_in_bytes", _swap_current),
    "memory.swap.max": Field(LIMIT_WITH_SWAP, lambda files: _limit(_swap_bytes(files)), _write_swap_max),
    "memory.events": Field("memory.oom_control", _events),
    "memory.stat": Field("memory.stat", _stat),
}
_NO_PROTECTION = Text(
    es="cgroup v1 no protege memoria: su soft_limit solo dice a quién se le quita antes si falta",
    en="cgroup v1 protects no memory: its soft_limit only says whose is taken first when it runs short",
)
CANNOT: Mapping[str, Text] = {
    "memory.min": _NO_PROTECTION,
    "memory.low": _NO_PROTECTION,
    "memory.high": Text(
        es="cgroup v1 no frena a quien usa mucha memoria: solo tiene memory.max (su soft_limit es otra cosa)",
        en="cgroup v1 slows nobody who uses much memory: it has memory.max only (its soft_limit differs)",
    ),
    "memory.reclaim": Text(
        es="cgroup v1 no recupera memoria a petición por una cantidad dada",
        en="cgroup v1 reclaims no given amount of memory on demand",
    ),
    "memory.oom.group": Text(
        es="cgroup v1 mata los procesos de uno en uno, no el grupo entero",
        en="cgroup v1 kills processes one by one, not the whole group",
    ),
    "memory.swap.high": Text(
        es="cgroup v1 solo limita la memoria y el intercambio juntos",
        en="cgroup v1 limits memory and swap together only",
    ),
}
