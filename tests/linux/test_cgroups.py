"""One interface in cgroup v2's words over v1, hybrid and v2 hosts."""

from pathlib import Path

import pytest
from cgroup_ground import new_cgroup

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux.cgroups import (
    Cgroup,
    CgroupTree,
    Hierarchy,
    UnsupportedError,
    detect,
    shares_of_weight,
    weight_of_shares,
)
from kubelab.cluster.linux.mounts import parse_mountinfo

V1 = """\
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
"""
IN_DOCKER = "35 31 0:32 /docker/c0 /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"


def _detect(table: str, membership: str) -> dict[str, Hierarchy]:
    return {h.name: h for h in detect(parse_mountinfo(table.splitlines()), membership).hierarchies}


def test_on_v1_cgroups_go_below_our_own():
    found = _detect(V1, "4:memory:/user/me\n1:cpu,cpuacct:/\n")
    assert found["memory"] == Hierarchy("memory", "/sys/fs/cgroup/memory/user/me", 1, ("memory",))
    assert found["cpu,cpuacct"].base == "/sys/fs/cgroup/cpu,cpuacct"
    assert found["cpu,cpuacct"].controllers == ("cpu", "cpuacct")
    assert "systemd" not in found


def test_what_a_container_was_given_is_its_top():
    assert _detect(IN_DOCKER, "4:memory:/docker/c0\n")["memory"].base == "/sys/fs/cgroup/memory"
    assert _detect(IN_DOCKER, "4:memory:/docker/c0/in\n")["memory"].base == "/sys/fs/cgroup/memory/in"


def test_a_tree_survives_its_way_to_the_shim():
    tree = detect(parse_mountinfo(V1.splitlines()), "4:memory:/\n1:cpu,cpuacct:/\n")
    assert CgroupTree.from_json(tree.to_json()) == tree
    inside = tree.below("lab/minion-1").as_seen_inside()
    assert [h.base for h in inside.hierarchies] == ["/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/memory"]


def _cgroup(base: Path, version: int, controllers: tuple[str, ...]) -> Cgroup:
    (base / "x").mkdir()
    return CgroupTree((Hierarchy("", str(base), version, controllers),)).at("x")


def test_limits_on_v2(tmp_path):
    cgroup = _cgroup(tmp_path, 2, ("cpu", "memory", "pids"))
    for name in ("cpu.weight", "cpu.max", "memory.max", "memory.swap.max", "memory.oom.group"):
        (tmp_path / "x" / name).touch()
    limits = {"cpu.weight": "39", "cpu.max": "5000 100000", "memory.max": "4096", "memory.oom.group": "1"}
    for field, value in limits.items():
        cgroup.limit(field, value)
        assert cgroup.read(field) == value
    assert cgroup.read("memory.swap.max") == "0"


def test_limits_on_v1_are_written_in_its_words(tmp_path):
    cgroup = _cgroup(tmp_path, 1, ("cpu", "memory", "pids"))
    for name in ("cpu.shares", "cpu.cfs_period_us", "cpu.cfs_quota_us", "memory.limit_in_bytes"):
        (tmp_path / "x" / name).touch()
    for field, value in {"cpu.weight": "39", "cpu.max": "max 100000", "memory.max": "4096"}.items():
        cgroup.limit(field, value)
        assert cgroup.read(field) == value
    cgroup.limit("memory.oom.group", "1")  # v1 kills one by one, whatever is wanted.
    written = {path.name: path.read_text() for path in (tmp_path / "x").iterdir()}
    assert written == {
        "cpu.shares": "999",
        "cpu.cfs_period_us": "100000",
        "cpu.cfs_quota_us": "-1",
        "memory.limit_in_bytes": "4096",
    }


def test_kills_by_the_kernel_are_counted_on_both(tmp_path):
    for version, name, text in (
        (1, "memory.oom_control", "oom_kill 3"),
        (2, "memory.events", "oom 1\noom_kill 3"),
    ):
        base = tmp_path / str(version)
        base.mkdir()
        cgroup = _cgroup(base, version, ("memory",))
        (base / "x" / name).write_text(text)
        (base / "x" / "memory.failcnt").write_text("9")
        assert cgroup.oom_kills() == 3


def test_a_missing_controller_limits_nothing_and_says_so(tmp_path):
    cgroup = _cgroup(tmp_path, 2, ("cpu",))
    cgroup.limit("memory.max", "4096")
    assert cgroup.read("memory.max") is None
    assert list((tmp_path / "x").iterdir()) == []


def test_v2_passes_controllers_on_to_those_below(tmp_path):
    for directory in (tmp_path, tmp_path / "a"):
        directory.mkdir(exist_ok=True)
        (directory / "cgroup.subtree_control").touch()
    CgroupTree((Hierarchy("", str(tmp_path), 2, ("cpu", "pids")),)).at("a/b").create()
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+cpu +pids"
    assert (tmp_path / "a" / "cgroup.subtree_control").read_text() == "+cpu +pids"
    assert (tmp_path / "a" / "b").is_dir()


@pytest.mark.parametrize("weight", [1, 39, 100, 10_000])
def test_weights_come_back_from_shares(weight):
    assert weight_of_shares(shares_of_weight(weight)) == weight
    assert weight_of_shares(2) == 1
    assert weight_of_shares(262_144) == 10_000


@pytest.mark.root
def test_the_running_kernel_s_controllers_take_the_limits():
    with new_cgroup() as cgroup:
        wanted = {"cpu.weight": "50", "cpu.max": "20000 100000", "memory.max": str(1 << 20), "pids.max": "7"}
        for field, value in wanted.items():
            cgroup.limit(field, value)
        assert {field: cgroup.read(field) for field in wanted} == wanted
        assert cgroup.oom_kills() == 0
    assert not any(Path(directory).exists() for directory in cgroup.directories)


V1_FILES = {
    "cpu.shares": "1024\n",
    "cpu.cfs_quota_us": "-1\n",
    "cpu.cfs_period_us": "100000\n",
    "cpu.stat": "nr_periods 10\nnr_throttled 4\nthrottled_time 5000000\n",
    "cpuacct.usage": "7000000\n",
    "cpuacct.usage_user": "4000000\n",
    "memory.usage_in_bytes": "8192\n",
    "memory.max_usage_in_bytes": "9000\n",
    "memory.limit_in_bytes": "9223372036854771712\n",
    "memory.memsw.limit_in_bytes": "9223372036854771712\n",
    "memory.memsw.usage_in_bytes": "9192\n",
    "memory.stat": "rss 1\ncache 2\ntotal_rss 10\ntotal_cache 20\n",
    "pids.events": "max 3\n",
    "blkio.throttle.read_bps_device": "",
    "blkio.throttle.write_bps_device": "8:0 1048576\n",
    "blkio.throttle.io_service_bytes_recursive": "8:0 Read 5\n8:0 Write 6\n8:0 Sync 11\nTotal 11\n",
    "blkio.throttle.io_serviced_recursive": "8:0 Read 1\n8:0 Write 2\nTotal 3\n",
}


@pytest.mark.parametrize(
    ("field", "file", "text"),
    [
        ("cpu.weight", "cpu.shares", "39"),
        ("cpu.max", "cpu.cfs_quota_us", "max 100000"),
        (
            "cpu.stat",
            "cpu.stat",
            "usage_usec 7000\nuser_usec 4000\nnr_periods 10\nnr_throttled 4\nthrottled_usec 5000",
        ),
        ("memory.current", "memory.usage_in_bytes", "8192"),
        ("memory.peak", "memory.max_usage_in_bytes", "9000"),
        ("memory.max", "memory.limit_in_bytes", "max"),
        ("memory.swap.max", "memory.memsw.limit_in_bytes", "max"),
        ("memory.swap.current", "memory.memsw.usage_in_bytes", "1000"),
        ("memory.stat", "memory.stat", "anon 10\nfile 20"),
        ("pids.events", "pids.events", "max 3"),
        ("io.max", "blkio.throttle.read_bps_device", "8:0 rbps=max wbps=1048576 riops=max wiops=max"),
        ("io.stat", "blkio.throttle.io_service_bytes_recursive", "8:0 rbytes=5 wbytes=6 rios=1 wios=2"),
        ("cgroup.controllers", "cgroup.controllers", "cpu memory pids io"),
    ],
)
def test_what_v1_says_is_told_in_v2_s_words(tmp_path, field, file, text):
    cgroup = _cgroup(tmp_path, 1, ("cpu", "cpuacct", "memory", "pids", "blkio"))
    for name, content in V1_FILES.items():
        (tmp_path / "x" / name).write_text(content)
    assert cgroup.read(field) == text
    assert cgroup.file(field) == (f"{tmp_path}/x/{file}")


def test_a_field_that_v1_has_nothing_like_is_not_there(tmp_path):
    cgroup = _cgroup(tmp_path, 1, ("memory",))
    with pytest.raises(UnsupportedError, match=r"it has memory\.max only"):
        cgroup.read("memory.high")
    with pytest.raises(UnsupportedError, match=r"it has memory\.max only"):
        cgroup.write("memory.high", "4096")
    with pytest.raises(UnsupportedError, match="no mounted cgroup hierarchy has it"):
        cgroup.write("pids.max", "7")
    with pytest.raises(KernelError, match="EACCES"):
        cgroup.write("memory.peak", "0")
    with pytest.raises(KernelError, match="EINVAL"):
        cgroup.write("memory.max", "much")
    assert cgroup.read("memory.pressure") is None
    assert cgroup.read("cgroup.events") is None


def test_a_cgroup_of_some_hierarchies_has_their_controllers_and_members(tmp_path):
    tree = CgroupTree(
        (
            Hierarchy("cpu", str(tmp_path / "cpu"), 1, ("cpu",)),
            Hierarchy("memory", str(tmp_path / "memory"), 1, ("memory",)),
            Hierarchy("unified", str(tmp_path / "unified"), 2, ()),
        )
    )
    directory = tmp_path / "memory" / "x"
    directory.mkdir(parents=True)
    (directory / "tasks").write_text("7\n")
    cgroup = tree.at("x")
    assert cgroup.read("cgroup.controllers") == "memory"
    assert cgroup.file("cgroup.procs") == str(directory / "cgroup.procs")
    assert cgroup.read("cgroup.threads") == "7"
    assert cgroup.file("cgroup.events") == str(tmp_path / "unified" / "x" / "cgroup.events")
    with pytest.raises(KernelError):
        tree.at("y").read("cgroup.controllers")
