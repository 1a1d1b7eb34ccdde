"""One interface in cgroup v2's words over v1, hybrid and v2 hosts."""

from pathlib import Path

import pytest

from kubelab.cluster.linux.cgroups import (
    Cgroup,
    CgroupTree,
    Hierarchy,
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
    (tmp_path / "x" / "memory.swap.max").touch()
    for field, value in {"cpu.weight": "39", "cpu.max": "5000 100000", "memory.max": "4096"}.items():
        cgroup.limit(field, value)
        assert cgroup.read(field) == value
    assert cgroup.read("memory.swap.max") == "0"


def test_limits_on_v1_are_written_in_its_words(tmp_path):
    cgroup = _cgroup(tmp_path, 1, ("cpu", "memory", "pids"))
    for field, value in {"cpu.weight": "39", "cpu.max": "max 100000", "memory.max": "4096"}.items():
        cgroup.limit(field, value)
        assert cgroup.read(field) == value
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
    cgroup = detect().at("kubelab-test-limits")
    cgroup.create()
    try:
        wanted = {"cpu.weight": "50", "cpu.max": "20000 100000", "memory.max": str(1 << 20), "pids.max": "7"}
        for field, value in wanted.items():
            cgroup.limit(field, value)
        assert {field: cgroup.read(field) for field in wanted} == wanted
        assert cgroup.oom_kills() == 0
    finally:
        cgroup.remove()
    assert not any(Path(directory).exists() for directory in cgroup.directories)
