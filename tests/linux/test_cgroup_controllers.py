"""Each controller does to processes what its field says, on the running kernel, whichever version it has."""

import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cgroup_ground import SPIN, new_cgroup, running, until

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux.cgroup_freezer import freeze, is_frozen, thaw
from kubelab.cluster.linux.cgroups import (
    Cgroup,
    CgroupTree,
    Hierarchy,
    UnsupportedError,
    detect,
)
from kubelab.cluster.linux.mounts import mount_table

pytestmark = pytest.mark.root
MIB = 1 << 20
FORK_TWICE = """
import os, time
if os.fork():
    try: os.fork()
    except BlockingIOError: pass
time.sleep(1000)
"""
EAT = (sys.executable, "-S", "-c", "import sys; eaten = bytearray(int(sys.argv[1]) << 20)")


@pytest.fixture
def cgroup() -> Iterator[Cgroup]:
    with new_cgroup() as made:
        yield made


def test_a_quota_throttles(cgroup: Cgroup) -> None:
    cgroup.write("cpu.max", "5000 50000")
    assert cgroup.read("cpu.max") == "5000 50000"
    with running(cgroup, *SPIN):
        until(lambda: cgroup.numbers("cpu.stat")["nr_throttled"] >= 2)
        # Counted when a processor lets it go on; the number of times already at the end of a period.
        until(lambda: cgroup.numbers("cpu.stat")["throttled_usec"] > 0)
    cgroup.write("cpu.max", "max")
    assert cgroup.read("cpu.max") == "max 50000"


def test_a_processor_is_shared_by_weight(cgroup: Cgroup) -> None:
    """Both want the same one."""
    light, heavy = cgroup.below("light"), cgroup.below("heavy")
    for one, weight in ((light, "20"), (heavy, "1000")):
        one.create()
        one.write("cpuset.cpus", _first_processor(cgroup))
        one.write("cpu.weight", weight)
        assert one.read("cpu.weight") == weight

    def used(one: Cgroup) -> int:
        return one.numbers("cpu.stat")["usage_usec"]

    with running(light, *SPIN), running(heavy, *SPIN):
        until(lambda: used(light) > 0 and used(heavy) > 0)
        before = used(light), used(heavy)
        until(lambda: used(heavy) - before[1] > 300_000)
        assert used(light) - before[0] < (used(heavy) - before[1]) / 4


def _first_processor(cgroup: Cgroup) -> str:
    effective = cgroup.read("cpuset.cpus.effective")
    assert effective
    return effective.replace("-", ",").split(",")[0]


def test_processes_run_on_the_processors_of_their_set(cgroup: Cgroup) -> None:
    first = _first_processor(cgroup)
    everywhere = os.sched_getaffinity(0)
    with running(cgroup, "sleep", "1000") as process:
        cgroup.write("cpuset.cpus", first)
        assert cgroup.read("cpuset.cpus.effective") == first
        until(lambda: os.sched_getaffinity(process.pid) == {int(first)})
        cgroup.write("cpuset.cpus", ",".join(map(str, sorted(everywhere))))
        until(lambda: os.sched_getaffinity(process.pid) == everywhere)


def test_an_emptied_set_is_that_of_the_cgroup_above(cgroup: Cgroup) -> None:
    """While no process is in it; with one, v2 refuses (ENOSPC)."""
    everywhere = cgroup.read("cpuset.cpus.effective")
    cgroup.write("cpuset.cpus", _first_processor(cgroup))
    cgroup.write("cpuset.cpus", "")
    assert cgroup.read("cpuset.cpus.effective") == everywhere


def test_a_new_set_takes_processes_at_once_and_so_do_those_below(cgroup: Cgroup) -> None:
    """v1 makes them empty."""
    inner = cgroup.below("inner")
    inner.create()
    assert inner.read("cpuset.cpus.effective") == cgroup.read("cpuset.cpus.effective")
    with running(inner, "sleep", "1000") as process:
        assert inner.processes() == (process.pid,)


def test_who_wants_more_memory_than_the_maximum_is_killed(cgroup: Cgroup) -> None:
    cgroup.limit("memory.max", "32M")
    with running(cgroup, *EAT, "64") as process:
        assert process.wait() == -9
    assert cgroup.oom_kills() == 1
    assert int(cgroup.read("memory.peak") or 0) <= 32 * MIB
    assert int(cgroup.read("memory.current") or 0) < 32 * MIB
    assert cgroup.numbers("memory.stat")["pgfault"] > 0


def test_memory_is_limited_up_and_down_and_swap_apart_from_it(cgroup: Cgroup) -> None:
    """v1 limits the sum, and refuses one that is below memory alone."""
    for memory in (64, 16, 128):
        cgroup.limit("memory.max", str(memory * MIB))
        assert (cgroup.read("memory.max"), cgroup.read("memory.swap.max")) == (str(memory * MIB), "0")
    cgroup.write("memory.swap.max", str(8 * MIB))
    for memory in (256, 32):
        cgroup.write("memory.max", str(memory * MIB))
        assert cgroup.read("memory.max") == str(memory * MIB)
        assert cgroup.read("memory.swap.max") == str(8 * MIB)
    cgroup.write("memory.max", "max")
    assert cgroup.read("memory.max") == "max"


@pytest.mark.parametrize("field", ["memory.high", "memory.low", "memory.min"])
def test_what_only_v2_has_is_set_there_and_refused_on_v1(cgroup: Cgroup, field: str) -> None:
    if cgroup.version(field) == 1:
        with pytest.raises(UnsupportedError, match="cgroup v1"):
            cgroup.write(field, str(MIB))
        return
    cgroup.write(field, str(8 * MIB))
    assert cgroup.read(field) == str(8 * MIB)


def test_who_uses_more_than_high_is_held_up_where_that_is_known(cgroup: Cgroup) -> None:
    if cgroup.version("memory.high") == 1:
        with pytest.raises(UnsupportedError, match=r"memory\.max only"):
            cgroup.read("memory.high")
        return
    cgroup.write("memory.high", str(8 * MIB))
    with running(cgroup, *EAT, "32"):
        until(lambda: cgroup.numbers("memory.events")["high"] > 0)


def test_more_processes_than_the_maximum_are_refused(cgroup: Cgroup) -> None:
    cgroup.write("pids.max", "2")
    with running(cgroup, sys.executable, "-S", "-c", FORK_TWICE):
        until(lambda: cgroup.numbers("pids.events")["max"] > 0)
        assert cgroup.read("pids.current") == "2"
    assert cgroup.read("pids.max") == "2"
    assert cgroup.read("pids.peak") == "2"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[str]:
    image = tmp_path / "disk"
    image.write_bytes(bytes(4 * MIB))
    found = subprocess.run(
        ["losetup", "--find", "--show", str(image)], check=False, capture_output=True, text=True
    )
    if found.returncode:
        pytest.skip(f"no loop device: {found.stderr.strip()}")
    yield found.stdout.strip()
    subprocess.run(["losetup", "--detach", found.stdout.strip()], check=True)


def test_a_disk_is_read_as_fast_as_is_allowed(cgroup: Cgroup, disk: str) -> None:
    number = Path(disk).stat().st_rdev
    device = f"{os.major(number)}:{os.minor(number)}"
    cgroup.write("io.max", f"{device} rbps={2 * MIB} wiops=100")
    limits = {"rbps": str(2 * MIB), "wbps": "max", "riops": "max", "wiops": "100"}
    assert cgroup.devices("io.max") == {device: limits}
    begin_s = time.monotonic()
    read = ("dd", f"if={disk}", "of=/dev/null", "bs=256K", "count=4", "iflag=direct", "status=none")
    with running(cgroup, *read) as process:
        assert process.wait() == 0
    # 1 MiB takes half a second; the kernel counts in slices, and lets the first go at once.
    assert time.monotonic() - begin_s > 0.2
    assert int(cgroup.devices("io.stat")[device]["rbytes"]) >= MIB
    cgroup.write("io.max", f"{device} rbps=max wiops=max")
    assert cgroup.devices("io.max") == {}


def test_a_disk_that_is_not_there_cannot_be_limited(cgroup: Cgroup) -> None:
    with pytest.raises(KernelError, match="ENODEV"):
        cgroup.write("io.max", "250:99 rbps=1048576")


def _trees_that_freeze() -> list[CgroupTree]:
    """The v2 hierarchy; beside it, where it is mounted, v1's freezer."""
    tables = [[entry for entry in mount_table() if entry.kind == kind] for kind in ("cgroup2", "cgroup")]
    trees = [
        CgroupTree(
            tuple(h for h in detect(table).hierarchies if h.version == 2 or "freezer" in h.controllers)
        )
        for table in tables
    ]
    return [tree for tree in trees if tree.hierarchies]


@pytest.mark.parametrize("tree", _trees_that_freeze(), ids=lambda tree: f"v{tree.hierarchies[0].version}")
def test_what_is_frozen_stands_still(tree: CgroupTree) -> None:
    with new_cgroup(tree) as cgroup:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with running(cgroup, "cat", **pipes) as process:
            assert process.stdin
            assert process.stdout
            freeze(cgroup)
            assert (is_frozen(cgroup), cgroup.read("cgroup.freeze")) == (True, "1")
            os.write(process.stdin.fileno(), b"x")
            assert select.select([process.stdout], [], [], 0.05)[0] == []
            thaw(cgroup)
            assert (is_frozen(cgroup), cgroup.read("cgroup.freeze")) == (False, "0")
            assert os.read(process.stdout.fileno(), 1) == b"x"


@pytest.mark.parametrize("tree", _trees_that_freeze(), ids=lambda tree: f"v{tree.hierarchies[0].version}")
def test_what_is_frozen_is_killed_all_the_same(tree: CgroupTree) -> None:
    with new_cgroup(tree) as cgroup, running(cgroup, "sleep", "1000") as process:
        freeze(cgroup)
        cgroup.kill()
        assert process.wait() == -9


def test_a_process_is_moved_by_writing_its_number(cgroup: Cgroup) -> None:
    inner = cgroup.below("inner")
    inner.create()
    with running(inner, "sleep", "1000") as process, new_cgroup() as other:
        other.write("cgroup.procs", str(process.pid))
        assert other.processes() == (process.pid,)
        assert inner.processes() == ()


def test_a_host_without_any_freezer_says_so() -> None:
    tree = CgroupTree((Hierarchy("memory", "/sys/fs/cgroup/memory", 1, ("memory",)),))
    with pytest.raises(UnsupportedError, match="no mounted cgroup hierarchy has it"):
        freeze(tree.at("nowhere"))


def test_all_that_is_in_it_and_below_is_killed_as_v2_s_file_does(cgroup: Cgroup) -> None:
    inner = cgroup.below("inner")
    inner.create()
    with running(inner, "sleep", "1000") as process:
        cgroup.write("cgroup.kill", "1")
        assert process.wait() == -9


def test_a_field_that_this_kernel_does_not_know_is_named(cgroup: Cgroup) -> None:
    for act in (lambda: cgroup.read("memory.nonsense"), lambda: cgroup.write("memory.nonsense", "1")):
        with pytest.raises(UnsupportedError, match=r"no memory\.nonsense: this kernel does not know it"):
            act()
