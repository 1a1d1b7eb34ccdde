"""blkio, which v2 calls io: throttling by device.

Source: Documentation/admin-guide/cgroup-v1/blkio-controller.rst, block/blk-throttle.c.
Left out: weights (only a disk with the BFQ scheduler has v1's). Differs from v2: what is written by way of
the page cache is nobody's, so only reads and direct writes are throttled and counted.
"""

from collections.abc import Iterator, Mapping

from kubelab.cluster.linux.cgroup_v1.field import Field, Files, Writes, text
from kubelab.language import Text

_MAX = {"rbps": "read_bps", "wbps": "write_bps", "riops": "read_iops", "wiops": "write_iops"}
_STAT = {"bytes": "io_service_bytes_recursive", "ios": "io_serviced_recursive"}


def _max(files: Files) -> str:
    limits: dict[str, dict[str, str]] = {}
    for key, name in _MAX.items():
        for device, value in _pairs(text(files, f"blkio.throttle.{name}_device")):
            limits.setdefault(device, dict.fromkeys(_MAX, "max"))[key] = value
    return _nested(limits)


def _write_max(value: str, _: Files) -> Writes:
    """v1 has a file for each kind; 0 takes the limit away."""
    device, *limits = value.split()
    pairs = (limit.partition("=") for limit in limits)
    return tuple(
        (f"blkio.throttle.{_file(key)}_device", f"{device} {0 if limit == 'max' else int(limit)}")
        for key, _, limit in pairs
    )


def _file(key: str) -> str:
    if key not in _MAX:
        raise ValueError(key)
    return _MAX[key]


def _stat(files: Files) -> str:
    counted: dict[str, dict[str, str]] = {}
    for unit, name in _STAT.items():
        for line in text(files, f"blkio.throttle.{name}").splitlines():
            if len(words := line.split()) == 3 and words[1] in ("Read", "Write", "Discard"):
                counted.setdefault(words[0], {})[f"{words[1][0].lower()}{unit}"] = words[2]
    return _nested(counted)


def _pairs(content: str) -> Iterator[tuple[str, str]]:
    for line in content.splitlines():
        if len(words := line.split()) == 2:
            yield words[0], words[1]


def _nested(values: Mapping[str, Mapping[str, str]]) -> str:
    lines = (
        f"{name} " + " ".join(f"{key}={value}" for key, value in keys.items())
        for name, keys in values.items()
    )
    return "\n".join(lines)


FIELDS: Mapping[str, Field] = {
    "io.max": Field("blkio.throttle.read_bps_device", _max, _write_max),
    "io.stat": Field("blkio.throttle.io_service_bytes_recursive", _stat),
}
CANNOT: Mapping[str, Text] = {
    name: Text(
        es="cgroup v1 solo reparte los discos con el planificador BFQ: usa io.max",
        en="cgroup v1 shares out only disks with the BFQ scheduler: use io.max",
    )
    for name in ("io.weight", "io.bfq.weight", "io.latency")
}
