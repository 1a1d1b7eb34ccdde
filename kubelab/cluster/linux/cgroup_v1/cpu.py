"""cpu and cpuacct, which are one controller in v2.

Source: Documentation/scheduler/sched-bwc.rst, admin-guide/cgroup-v1/cpuacct.rst; the conversion of
`cpu.shares` is Kubernetes' (KEP-2254).
Left out, for v1 does not tell: the bursts of cpu.stat. Differs from v2: a quota beyond that of the cgroup
above is refused (EINVAL).
"""

from collections.abc import Mapping

from kubelab.cluster.linux.cgroup_files import flat
from kubelab.cluster.linux.cgroup_v1.field import Field, Files, Writes, number, same_both_ways, text
from kubelab.language import Text

NS_PER_US = 1000
WEIGHT_MAX = 10_000


def weight_of_shares(shares: int) -> int:
    """Map 2..262144 onto 1..10000, as the kubelet does."""
    return 1 + (shares - 2) * 9999 // 262142


def shares_of_weight(weight: int) -> int:
    """Return v1's cpu.shares for v2's cpu.weight, the least that `weight_of_shares` turns into it again."""
    return 2 - (1 - weight) * 262142 // 9999


def _write_weight(value: str, _: Files) -> Writes:
    weight = int(value)
    if not 1 <= weight <= WEIGHT_MAX:
        raise ValueError(value)
    return (("cpu.shares", str(shares_of_weight(weight))),)


def _max(files: Files) -> str:
    quota = text(files, "cpu.cfs_quota_us")
    return f"{'max' if quota == '-1' else quota} {text(files, 'cpu.cfs_period_us')}"


def _write_max(value: str, files: Files) -> Writes:
    """The quota is lifted while the period changes: the old one in the new period might be too much."""
    quota, _, period = value.partition(" ")
    last = ("cpu.cfs_quota_us", "-1" if quota == "max" else str(int(quota)))
    if period in ("", text(files, "cpu.cfs_period_us")):
        return (last,)
    return ("cpu.cfs_quota_us", "-1"), ("cpu.cfs_period_us", str(int(period))), last


def _stat(files: Files) -> str:
    """The times are cpuacct's, in whose hierarchy there may be no cgroup of this path."""
    known = flat(text(files, "cpu.stat"))
    times = {
        name: int(value) // NS_PER_US
        for name, file in (("usage_usec", "usage"), ("user_usec", "usage_user"), ("system_usec", "usage_sys"))
        if (value := files(f"cpuacct.{file}")) is not None
    }
    throttled = {
        "nr_periods": known.get("nr_periods", 0),
        "nr_throttled": known.get("nr_throttled", 0),
        "throttled_usec": known.get("throttled_time", 0) // NS_PER_US,
    }
    return "\n".join(f"{name} {value}" for name, value in (times | throttled).items())


FIELDS: Mapping[str, Field] = {
    "cpu.weight": Field(
        "cpu.shares", lambda files: str(weight_of_shares(number(files, "cpu.shares"))), _write_weight
    ),
    "cpu.max": Field("cpu.cfs_quota_us", _max, _write_max),
    "cpu.max.burst": same_both_ways("cpu.cfs_burst_us"),
    "cpu.stat": Field("cpu.stat", _stat),
}
CANNOT: Mapping[str, Text] = {
    "cpu.weight.nice": Text(
        es="cgroup v1 no pesa con valores de nice: usa cpu.weight",
        en="cgroup v1 does not weigh by nice values: use cpu.weight",
    ),
}
