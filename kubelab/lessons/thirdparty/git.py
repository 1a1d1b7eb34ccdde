"""Brings one commit of a git repository as a tree. Nothing is checked out: the commit comes as a tar.

A repository is somebody else's. Its hooks, filters, submodules and configuration never run here: the clone is
a bare one made without templates, configuration files are not read (so no credential helper, no insteadOf;
proxies come from the environment, keys from ssh), only the transports of `source` are allowed, and nobody is
asked for anything.
Source: git-fetch(1), git-archive(1), git(1) under "Environment Variables"; CVE-2017-1000117 (a host with a
hyphen), CVE-2018-11235 (submodules), CVE-2024-32002 (hooks through links in a work tree).
"""

import contextlib
import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from kubelab.cluster.errors import LabError
from kubelab.language import Text
from kubelab.lessons.thirdparty.archive import gather_tar
from kubelab.lessons.thirdparty.source import TRANSPORTS, Source
from kubelab.lessons.tree import LIMITS, Gathering, Limits, Tree, shown

TIMEOUT_S = 120.0
PATIENCE_S = 1.0  # After that whoever waits is told what is going on.
FILE_BYTES_MAX = 256 << 20  # Of each file that git writes: no pack can fill the disk.
COMPLAINTS_BYTES = 4096

Watch = Callable[[float], None]
"""Told every second for how many seconds git has been working, from the first one on."""

_KEPT = (
    *("HOME", "PATH", "SSH_AUTH_SOCK", "SUDO_UID", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO"),
    *(
        "http_proxy",
        "https_proxy",
        "no_proxy",
        "all_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
        "ALL_PROXY",
    ),
)
_ENVIRONMENT = {
    "GIT_ALLOW_PROTOCOL": ":".join(TRANSPORTS),
    "GIT_ASKPASS": "false",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_SSH_COMMAND": "ssh -oBatchMode=yes -oConnectTimeout=20",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
    "SSH_ASKPASS": "false",
}
_SETTINGS = (
    "core.fsmonitor=false",
    f"core.hooksPath={os.devnull}",
    "fetch.recurseSubmodules=false",
    "gc.auto=0",
    "maintenance.auto=false",
)


@dataclass(frozen=True, slots=True)
class Commit:
    id: str
    tree: Tree


def fetch(source: Source, place: Path, watch: Watch, ref: str = "", limits: Limits = LIMITS) -> Commit:
    """Fetch *source* (at *ref* instead of its own, if given) by way of the existing empty directory *place*.

    Raises:
        LabError: git is not there, or could not; the sentence has its own last words.
    """
    git = _Git(place, str(source), watch, time.monotonic())
    git.run("init", "--quiet", "--bare", "--template=")
    wanted = ref or source.ref or "HEAD"
    git.run("fetch", "--quiet", "--depth=1", "--no-tags", "--", source.location, wanted)
    commit = git.run("rev-parse", "--verify", "--end-of-options", "FETCH_HEAD^{commit}").decode().strip()
    archive = place / "commit.tar"
    git.run("archive", "--format=tar", f"--output={archive}", commit)
    gathering = Gathering(str(source), limits)
    with archive.open("rb") as file:
        gather_tar(gathering, file)
    return Commit(commit, gathering.finish())


@dataclass(frozen=True, slots=True)
class _Git:
    place: Path
    title: str
    watch: Watch
    begun_s: float

    def run(self, *arguments: str) -> bytes:
        """Return git's output. Raises LabError."""
        settings = [part for setting in _SETTINGS for part in ("-c", setting)]
        command = ["git", *settings, "-C", str(self.place), *arguments]
        with (
            (self.place / "complaints").open("w+b") as complaints,
            self._started(command, complaints) as process,
        ):
            try:
                output = self._output(process)
            finally:
                _end(process)
            if process.returncode != 0:
                raise self._failed(process.returncode, os.pread(complaints.fileno(), COMPLAINTS_BYTES, 0))
        return output

    def _started(self, command: Sequence[str], complaints: BinaryIO) -> "subprocess.Popen[bytes]":
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        try:
            return subprocess.Popen(
                command,
                env=kept | _ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=complaints,  # A file: what the other side says may be of any length.
                start_new_session=True,  # So that all that it starts (ssh, helpers) can be ended with it.
                preexec_fn=_limit,
            )
        except FileNotFoundError as error:
            raise LabError(_NO_GIT) from error

    def _output(self, process: "subprocess.Popen[bytes]") -> bytes:
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.communicate(timeout=PATIENCE_S)[0]
            elapsed_s = time.monotonic() - self.begun_s
            if elapsed_s > TIMEOUT_S:
                raise LabError(_TOO_LONG.format(source=shown(self.title), seconds=round(TIMEOUT_S)))
            self.watch(elapsed_s)

    def _failed(self, code: int, complaints: bytes) -> LabError:
        if code == -signal.SIGXFSZ:
            return LabError(_TOO_BIG.format(source=shown(self.title), limit=FILE_BYTES_MAX >> 20))
        lines = [line for line in complaints.decode(errors="replace").splitlines() if line.strip()]
        why = shown(_point_of(lines).removeprefix("fatal: "))[:200].rstrip(".") or f"{code}"
        return LabError(_FAILED.format(source=shown(self.title), why=why))


def _point_of(complaints: Sequence[str]) -> str:
    """Return the line that says what is wrong: git's own, or ssh's before it."""
    fatal = next((line for line in complaints if line.startswith("fatal: ")), "")
    if not fatal or "Could not read from remote repository" in fatal:
        return complaints[0].strip() if complaints else ""
    return fatal


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES_MAX, FILE_BYTES_MAX))


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


_NO_GIT = Text(
    "para traer un track de un repositorio hace falta git: instálalo (en Debian: `apt install git`).",
    "to get a track from a repository git is needed: install it (on Debian: `apt install git`).",
)
_FAILED = Text(
    "git no pudo traer {source} ({why}): revisa la URL, la rama y tu acceso.",
    "git could not get {source} ({why}): look at the URL, the ref, and whether you have access.",
)
_TOO_BIG = Text(
    "{source} ocupa más de {limit} MiB: un track no es tan grande.",
    "{source} takes more than {limit} MiB: no track is that big.",
)
_TOO_LONG = Text(
    "{source} no llegó en {seconds} s: inténtalo otra vez, o clónalo tú y añade el directorio.",
    "{source} did not arrive within {seconds} s: try again, or clone it yourself and add the directory.",
)
