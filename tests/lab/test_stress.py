"""Labs that are killed and ended at moments nobody chose: after `kubelab clean` nothing is left of them.

More rounds: `KUBELAB_STRESS_ROUNDS=200 KUBELAB_STRESS_SEED=7 pytest tests/lab/test_stress.py`; with a
replicated store, `KUBELAB_STRESS_MASTERS=3`.
"""

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from host_mounts import host_mounts
from lab_program import TIMEOUT_S, command, environment, kubelab

from kubelab.cluster.linux.cgroups import detect
from kubelab.cluster.linux.journal import remains
from kubelab.cluster.linux.netlink import Netlink
from kubelab.cluster.linux.processes import children_of, start_ticks_of

pytestmark = pytest.mark.root

ROUNDS = int(os.environ.get("KUBELAB_STRESS_ROUNDS", "4"))
SEED = int(os.environ.get("KUBELAB_STRESS_SEED", "1"))
MASTERS = int(os.environ.get("KUBELAB_STRESS_MASTERS", "1"))
START_S = 1.0 + MASTERS / 2  # About what a start takes, so that half of the ends fall into it.
ENDS = ("kill", "end", "end twice", "end, then kill", "kill a machine, then end")


@dataclass
class Doomed:
    """A lab that was started a moment ago; `begun` is every process seen below it, as (pid, start)."""

    place: Path
    process: subprocess.Popen[str]
    chance: random.Random
    token: str = ""
    journal: bytes = b""
    begun: set[tuple[int, int]] = field(default_factory=set)
    signals: list[int] = field(default_factory=list)

    def live(self, lifetime_s: float) -> None:
        """Let it live, watching; once it is up, pods come and go."""
        until_s = time.monotonic() + lifetime_s
        while time.monotonic() < until_s and self.process.poll() is None:
            self.watch()
            if self.is_up and self.chance.random() < 0.3:
                self.change_pods()
            time.sleep(0.01)

    @property
    def is_up(self) -> bool:
        return (self.place / "admin.conf").exists()

    def watch(self) -> None:
        waiting = [self.process.pid]
        for pid in waiting:
            waiting += children_of(pid)
            if ticks := start_ticks_of(pid):
                self.begun.add((pid, ticks))
        if (self.place / "journal").exists():
            self.journal = (self.place / "journal").read_bytes()
        if b"\n" in self.journal:
            self.token = json.loads(self.journal.splitlines()[0])["token"]

    def change_pods(self) -> None:
        pod = f"pod-{self.chance.randrange(3)}"
        create = ["run", pod, "--image=kubelab/shell", "--request-timeout=2s"]
        delete = ["delete", "pod", pod, "--wait=false", "--now", "--request-timeout=2s"]
        kubelab(self.place, "kubectl", *self.chance.choice((create, delete)))

    def end(self, how: str) -> None:
        self.watch()
        if how.startswith("kill a machine"):
            self.kill_a_machine()
        if how != "kill":
            self.send(signal.SIGTERM)
            time.sleep(self.chance.uniform(0, 0.3))
        if how == "end twice":
            self.send(self.chance.choice((signal.SIGTERM, signal.SIGINT, signal.SIGHUP)))
        if how.endswith("then kill") or how == "kill":
            self.send(signal.SIGKILL)

    def send(self, number: int) -> None:
        self.signals.append(number)
        self.process.send_signal(number)

    def kill_a_machine(self) -> None:
        entries = [json.loads(line) for line in self.journal.splitlines()]
        if pids := [entry["pid"] for entry in entries if entry.get("kind") == "process"]:
            subprocess.run(["kill", "-KILL", str(self.chance.choice(pids))], capture_output=True)
            self.live(0.3)

    def left(self) -> list[str]:
        """Return what is left of it on this host."""
        copy = self.place.with_suffix(".journal")
        copy.write_bytes(self.journal)
        cgroups = detect().at(f"kubelab-{self.token}").directories
        with Netlink() as netlink:
            links = [link.name for link in netlink.links() if link.alias == f"kubelab:{self.token}"]
        processes = [f"process {pid}" for pid, ticks in self.begun if start_ticks_of(pid) == ticks]
        return [*remains(copy), *filter(os.path.exists, cgroups), *links, *processes]


@contextmanager
def doomed(place: Path, chance: random.Random) -> Iterator[Doomed]:
    with subprocess.Popen(
        command("up", "--quiet", f"--masters={MASTERS}"),
        env=environment(place),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        try:
            yield Doomed(place, process, chance)
        finally:
            process.kill()


@pytest.mark.timeout(10 * TIMEOUT_S)
@pytest.mark.parametrize("number", range(ROUNDS))
def test_nothing_is_left_of_a_lab(tmp_path: Path, number: int) -> None:
    chance = random.Random(SEED * 1000 + number)
    mounts = host_mounts()
    how, lifetime_s = ENDS[number % len(ENDS)], chance.uniform(0, 2 * START_S)
    with doomed(tmp_path / "lab", chance) as lab:
        lab.live(lifetime_s)
        lab.end(how)
        said, _ = lab.process.communicate(timeout=TIMEOUT_S)
    story = f"{how} after {lifetime_s:.2f} s: {said}"
    assert "Traceback" not in said, story
    # A signal before the first line or after the last one of our code ends the interpreter.
    assert lab.process.returncode in (0, *(-number for number in lab.signals)), story
    cleaned = kubelab(lab.place, "clean")
    assert cleaned.returncode == 0, story + cleaned.stdout
    assert lab.left() == [], story
    assert host_mounts() == mounts, story
    # What the cluster keeps stays, if the lab came so far.
    assert {left.name for left in lab.place.iterdir()} - {"masters"} == {"lock"}, story
