"""Pods and containers that come and go while anything may be killed at any moment: nothing of them is left.

A thousand cycles: `KUBELAB_STRESS_CYCLES=1000 KUBELAB_STRESS_SEED=7 pytest tests/stress --timeout 1200`.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from host_mounts import host_mounts
from oci_bundle import Runtime, bundle_at

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux import cgroups
from kubelab.cluster.linux.journal import remains, undo
from kubelab.cluster.linux.namespace_table import list_namespaces
from kubelab.cluster.linux.netlink import Netlink
from kubelab.cluster.linux.processes import start_ticks_of

pytestmark = [pytest.mark.root]

CYCLES = int(os.environ.get("KUBELAB_STRESS_CYCLES", "30"))
SEED = int(os.environ.get("KUBELAB_STRESS_SEED", "1"))
OCI_CYCLES = max(6, CYCLES // 10)  # Each runs three programs or four.
PROGRAM = Path(__file__).with_name("cycles.py")
CYCLES_UNTIL_KILLED = 40
SETTLE_S = 30.0
RSS_GROWTH_BYTES_MAX = 6 << 20


@dataclass
class Told:
    """What a lab has told of itself until it ended or was killed."""

    processes: set[tuple[int, int]] = field(default_factory=set)
    cycles: int = 0
    memory: list[dict[str, int]] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    ended: bool = False

    def take(self, line: dict[str, Any]) -> None:
        if "process" in line:
            pid, ticks = line["process"]
            self.processes |= {(pid, ticks)} if ticks else set()
        self.cycles += line.get("cycle", 0)
        self.memory += [line] if "rss_bytes" in line else []
        self.left += [line["left"]] if "left" in line else []
        self.ended |= "ended" in line


def run_lab(place: Path, seed: int, cycles: int, kill_after: Callable[[Told], bool]) -> tuple[Told, str]:
    """Let a lab live until *kill_after* says so or it is done; return what it told, and its errors."""
    place.mkdir()
    with (place / "errors").open("w+") as errors:
        command = [sys.executable, str(PROGRAM), str(place), str(seed), str(cycles)]
        told = Told()
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as lab:
            assert lab.stdout
            for line in lab.stdout:
                told.take(json.loads(line))
                if kill_after(told):
                    lab.send_signal(signal.SIGKILL)
        errors.seek(0)
        return told, errors.read()


def left_of(place: Path, journal: bytes, told: Told) -> list[str]:
    """Return what is left on this host of a lab that was swept up after."""
    (place / "copy").write_bytes(journal)
    token = json.loads(journal.splitlines()[0])["token"]
    own = [d for d in cgroups.detect().at(f"kubelab-{token}").directories if Path(d).exists()]
    with Netlink() as netlink:
        links = [link.name for link in netlink.links() if link.alias == f"kubelab:{token}"]
    processes = [_describe(pid) for pid, ticks in told.processes if start_ticks_of(pid) == ticks]
    namespaces = [f"{n.type} namespace {n.id}" for n in list_namespaces() if _is_of(token, n.pid)]
    files = [path.name for path in place.iterdir() if path.name not in ("images", "log", "errors", "copy")]
    return [*remains(place / "copy"), *own, *links, *processes, *namespaces, *files]


def _is_of(token: str, pid: int) -> bool:
    """A namespace's number is soon another one's: whose it is its processes' cgroups tell."""
    try:
        return token in Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return False


def _describe(pid: int) -> str:
    """Say what process is left, and where it hangs."""
    top = Path(f"/proc/{pid}")
    try:
        words = (
            top.joinpath("cmdline").read_bytes().replace(b"\0", b" ").decode(),
            top.joinpath("stat").read_text(),
        )
        return f"process {pid}: {words} {top.joinpath('stack').read_text()}"
    except OSError:
        return f"process {pid}"


def settled(look: Callable[[], list[str]]) -> list[str]:
    """The kernel lets go of namespaces and cgroups a moment after the last process."""
    deadline_s = time.monotonic() + SETTLE_S
    while (left := look()) and time.monotonic() < deadline_s:
        time.sleep(0.02)
    return left


@pytest.mark.timeout(60 + 4 * CYCLES)  # A second each on a machine that is busy with others.
def test_nothing_is_left_of_pods_and_labs_whatever_is_killed(tmp_path: Path) -> None:
    """Shims are killed by the lab itself, labs from here; the last lab comes to its own end."""
    chance = random.Random(SEED)
    done, number, mounts = 0, 0, host_mounts()
    while done < CYCLES:
        number += 1
        place, seed = tmp_path / f"lab-{number}", chance.randrange(1 << 30)
        last = CYCLES - done <= CYCLES_UNTIL_KILLED // 2
        at = chance.randrange(min(CYCLES - done, CYCLES_UNTIL_KILLED))
        after = chance.randrange(4)  # Things that were made in that cycle.

        def kill_now(told: Told, at: int = at, after: int = after, last: bool = last) -> bool:
            return not last and told.cycles >= at and len(told.processes) % 4 == after

        told, errors = run_lab(place, seed, CYCLES - done, kill_now)
        story = f"KUBELAB_STRESS_SEED={SEED}, lab {number} with seed {seed}: {errors}"
        journal = (place / "journal").read_bytes()
        undo(place / "journal")
        assert errors == "", story
        assert told.ended or not last, story
        assert told.left == [], story
        assert settled(lambda place=place, journal=journal, told=told: left_of(place, journal, told)) == [], (
            story
        )
        assert host_mounts() == mounts, story
        _check_memory(told, story)
        done += max(1, told.cycles)
        shutil.rmtree(place)
    assert done >= CYCLES


def _check_memory(told: Told, story: str) -> None:
    if told.memory:
        last = told.memory[-1]
        assert last["rss_bytes"] - last["warm_bytes"] < RSS_GROWTH_BYTES_MAX, (told.memory, story)
        assert len({each["descriptors"] for each in told.memory}) == 1, (told.memory, story)


@pytest.mark.timeout(60 + 4 * CYCLES)  # A second each on a machine that is busy with others.
def test_nothing_is_left_of_a_container_whose_oci_runtime_was_killed(tmp_path: Path) -> None:
    """By whatever comes next: the same command again, `delete`, or the creation of another container."""
    chance = random.Random(SEED)
    runtime = Runtime(tmp_path / "state")
    bundle = bundle_at(tmp_path / "b", "sleep", "100")
    mounts, pids = host_mounts(), set[tuple[int, int]]()
    runtime.root.mkdir()
    for number in range(OCI_CYCLES):
        id_ = f"killed-{os.getpid()}-{number}"
        runtime.ids.append(id_)
        for command in (("create", "-b", str(bundle.path)), ("start",), ("delete", "--force")):
            _run_and_kill(runtime, chance, *command, id_)
            pids |= _processes_in(id_)
            if chance.random() < 0.3:
                break
        if chance.random() < 0.5:
            runtime("delete", "--force", id_)
            assert not (runtime.root / id_).exists(), (SEED, number)
    runtime.create(bundle, f"last-{os.getpid()}")
    for id_ in filter(None, runtime("list", "-q").stdout.split()):
        runtime("delete", "--force", id_)
    story = f"KUBELAB_STRESS_SEED={SEED}"
    assert list(runtime.root.iterdir()) == [], story
    left = [d for id_ in runtime.ids for d in cgroups.detect().at(f"kubelab-oci-{id_}").directories]
    assert [directory for directory in left if Path(directory).exists()] == [], story
    assert settled(lambda: [str(pid) for pid, ticks in pids if start_ticks_of(pid) == ticks]) == [], story
    assert host_mounts() == mounts, story


def _run_and_kill(runtime: Runtime, chance: random.Random, *arguments: str) -> None:
    null = subprocess.DEVNULL
    with subprocess.Popen([*runtime.command, *arguments], stdin=null, stdout=null, stderr=null) as process:
        threading.Timer(chance.uniform(0, 0.25), process.kill).start()


def _processes_in(id_: str) -> set[tuple[int, int]]:
    try:
        pids = cgroups.detect().at(f"kubelab-oci-{id_}").processes()
    except KernelError:
        return set()
    return {(pid, start_ticks_of(pid) or 0) for pid in pids}
