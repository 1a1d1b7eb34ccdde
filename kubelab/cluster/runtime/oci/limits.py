"""A container's limits, changed while it runs, and what it uses.

Source: runc, update.go, events.go (types/events.go): the figures' names are runc's.
"""

import sys
from typing import Any

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux.cgroups import Cgroup
from kubelab.cluster.runtime.config import Resources, parse_resources
from kubelab.cluster.runtime.oci.arguments import Options
from kubelab.cluster.runtime.oci.bundle import read_json

# The option, where the specification has it.
_OPTIONS = {
    "cpu-share": ("cpu", "shares"),
    "cpu-quota": ("cpu", "quota"),
    "cpu-period": ("cpu", "period"),
    "memory": ("memory", "limit"),
    "memory-swap": ("memory", "swap"),
    "memory-reservation": ("memory", "reservation"),
    "pids-limit": ("pids", "limit"),
}


def asked_for(options: Options) -> Resources:
    """Return what --resources (- is the standard input) and the single options ask for.

    Raises:
        ConfigError, UsageError: these are no limits.
    """
    path = options.values.get("resources", "")
    document: dict[str, Any] = {}
    if path:
        document = read_json("/dev/stdin" if path == "-" else path)
    for name, (group, key) in _OPTIONS.items():
        if name in options.values:
            document.setdefault(group, {})[key] = options.number(name)
    for name, key in (("cpuset-cpus", "cpus"), ("cpuset-mems", "mems")):
        if name in options.values:
            document.setdefault("cpu", {})[key] = options.values[name]
    return parse_resources(document)


def statistics(cgroup: Cgroup) -> dict[str, Any]:
    """Return what runc's `events --stats` has under `data`, as far as the cgroup tells."""
    cpu = _numbers(cgroup, "cpu.stat")
    throttling = {"periods": cpu.get("nr_periods", 0), "throttledPeriods": cpu.get("nr_throttled", 0)}
    usage = {
        "total": cpu.get("usage_usec", 0) * 1000,
        "kernel": cpu.get("system_usec", 0) * 1000,
        "user": cpu.get("user_usec", 0) * 1000,
    }
    memory = {"usage": _number(cgroup, "memory.current"), "limit": _number(cgroup, "memory.max")}
    return {
        "cpu": {"usage": usage, "throttling": throttling},
        "memory": {"usage": memory, "raw": _numbers(cgroup, "memory.stat")},
        "pids": {"current": _number(cgroup, "pids.current"), "limit": _number(cgroup, "pids.max")},
    }


def _number(cgroup: Cgroup, field: str) -> int:
    try:
        text = cgroup.read(field) or "0"
    except KernelError:
        return 0
    return int(text) if text.isdecimal() else sys.maxsize


def _numbers(cgroup: Cgroup, field: str) -> dict[str, int]:
    try:
        return cgroup.numbers(field)
    except KernelError:
        return {}
