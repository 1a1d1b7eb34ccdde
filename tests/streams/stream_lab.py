"""One lab for all tests of streams, and the genuine kubectl beside it, in each way that it can speak."""

import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pexpect
import pytest
from lab_program import RunningLab, running

from kubelab.cluster.apiserver import bundled_kubectl
from kubelab.cluster.linux.journal import remains

PODS = """
apiVersion: v1
kind: Pod
metadata: {name: shell}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: main, image: kubelab/shell, command: [sleep, infinity]}
---
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: kubelab/shell
    command: [python3, -m, http.server, "8000", --bind, 127.0.0.1, --directory, /usr/share]
  - {name: beside, image: kubelab/shell, command: [sleep, infinity]}
---
apiVersion: v1
kind: Pod
metadata: {name: talker}
spec:
  containers:
  - {name: main, image: kubelab/shell, command: [sh, -c, "echo hello; exec sleep infinity"]}
---
apiVersion: v1
kind: Pod
metadata: {name: listener}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: kubelab/shell
    stdin: true
    command: [sh, -c, 'while read line; do echo "heard $line"; echo "and $line" >&2; done; sleep infinity']
"""
WEBSOCKET: dict[str, str] = {}
SPDY = {"KUBECTL_REMOTE_COMMAND_WEBSOCKETS": "false", "KUBECTL_PORT_FORWARD_WEBSOCKETS": "false"}
TIMEOUT_S = 45
LATE_DESCRIPTORS = 12  # Of pods that tests have left, debuggers for one, and of the lab's own connections.


@dataclass
class Kubectl:
    """The genuine one, speaking as `ways` makes it."""

    lab: RunningLab
    ways: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"KUBECONFIG": str(self.lab.place / "admin.conf")} | self.ways

    def run(self, *arguments: str, stdin: bytes = b"", code: int = 0) -> bytes:
        """Return what it prints; a failure's words are in what is raised."""
        done = self.ended(*arguments, stdin=stdin)
        assert done.returncode == code, done.stderr
        return done.stdout

    def refused(self, *arguments: str) -> str:
        """Return what it complains; it must fail."""
        done = self.ended(*arguments)
        assert done.returncode != 0, done.stdout
        return done.stderr.decode().strip()

    def ended(self, *arguments: str, stdin: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
        command = [str(bundled_kubectl.path()), *arguments]
        return subprocess.run(
            command, input=stdin, env=self.environment, capture_output=True, timeout=TIMEOUT_S
        )

    def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        command = [str(bundled_kubectl.path()), *arguments]
        return subprocess.Popen(
            command,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
        )

    def at_terminal(self, *arguments: str) -> "pexpect.spawn[bytes]":
        return pexpect.spawn(
            str(bundled_kubectl.path()),
            list(arguments),
            env=self.environment,
            dimensions=(33, 101),
            timeout=TIMEOUT_S,
        )


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLab]:
    """A lab with three pods. Streams that have ended leave no descriptor open in it; one that is open when it
    ends neither holds it up nor leaves anything."""
    with running(tmp_path_factory.mktemp("streams") / "lab", "--minions", "1") as lab:
        journal = lab.journal_copy()
        kubectl = Kubectl(lab)
        kubectl.run("apply", "-f", "-", stdin=PODS.encode())
        kubectl.run("wait", "--for=condition=Ready", "pod", "--all", "--timeout=40s")
        # The container is ready before the server in it.
        listening = "until (: < /dev/tcp/127.0.0.1/8000) 2>/dev/null; do :; done"
        kubectl.run("exec", "web", "-c", "main", "--", "bash", "-c", listening)
        descriptors = len(open_descriptors(lab))
        yield lab
        until(lambda: len(open_descriptors(lab)) <= descriptors + LATE_DESCRIPTORS)
        open_at_the_end = kubectl.start("exec", "shell", "--", "sh", "-c", "echo here; sleep 5454")
        assert open_at_the_end.stdout
        assert open_at_the_end.stdout.readline() == b"here\n"
        said = lab.end()
        open_at_the_end.communicate(timeout=TIMEOUT_S)
    assert (lab.process.returncode, said) == (0, "")
    assert remains(journal) == ()


@pytest.fixture(params=[pytest.param(WEBSOCKET, id="websocket"), pytest.param(SPDY, id="spdy")])
def kubectl(lab: RunningLab, request: pytest.FixtureRequest) -> Kubectl:
    return Kubectl(lab, request.param)


@pytest.fixture
def any_kubectl(lab: RunningLab) -> Kubectl:
    return Kubectl(lab)


def open_descriptors(lab: RunningLab) -> list[Path]:
    return list(Path(f"/proc/{lab.process.pid}/fd").iterdir())


def until(condition: object, *, timeout_s: float = TIMEOUT_S) -> None:
    """Wait until *condition*, a call, is true."""
    assert callable(condition)
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s, "it did not come true"
        time.sleep(0.02)
