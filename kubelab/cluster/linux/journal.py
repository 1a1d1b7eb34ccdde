"""What the lab made of the kernel, written down before it is made, so that it can be taken back after
SIGKILL.

A journal is a file of JSON lines: a header, then one line for each object. `undo` takes them back in reverse
and only what it can identify beyond doubt: processes by pid and start time, links by name and the token in
their alias, cgroups, directories and files by the path as written; never by a pattern. It may be run again.
A line is in the kernel's hands before `record` returns; the disk's do not matter, for after a power cut
nothing is left but files, which the header's boot id tells.
"""

import contextlib
import errno
import json
import os
import secrets
import select
import shutil
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from kubelab.cluster.errors import KernelError, LabError
from kubelab.cluster.linux import cgroups
from kubelab.cluster.linux.mounts import mount_table
from kubelab.cluster.linux.netlink import Netlink, delete_link
from kubelab.cluster.linux.processes import start_ticks_of
from kubelab.language import Text

VERSION = 1
PROCESS_END_TIMEOUT_S = 5.0

Entry = dict[str, Any]


class Journal:
    """An open journal. `token` marks the links that belong to it."""

    def __init__(self, path: Path, fd: int, token: str) -> None:
        self.path = path
        self.token = token
        self._fd = fd

    @staticmethod
    def open(path: Path) -> "Journal":
        """Start a journal at *path*.

        Raises:
            LabError: there is one already; `undo` it first.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            raise LabError(_EXISTS.format(path=path)) from None
        except OSError as error:
            raise KernelError("open", path, error.errno or 0) from None
        journal = Journal(path, fd, secrets.token_hex(4))
        journal._write(_header(journal.token))
        return journal

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, e: BaseException | None, t: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop writing. The file stays until `undo` has taken everything back."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def cgroup(self, cgroup: cgroups.Cgroup) -> None:
        """To be called before the cgroup is created; what is made below it needs no line of its own."""
        for directory in cgroup.directories:
            self._write({"kind": "cgroup", "path": directory})

    def link(self, name: str) -> str:
        """To be called before a link of this name appears on the host; return the alias that it must
        carry."""
        self._write({"kind": "link", "name": name, "alias": self.alias})
        return self.alias

    @property
    def alias(self) -> str:
        return f"kubelab:{self.token}"

    def directory(self, path: Path) -> None:
        """To be called before the directory is made: everything in it is ours."""
        self._write({"kind": "directory", "path": str(path.absolute())})

    def file(self, path: Path) -> None:
        self._write({"kind": "file", "path": str(path.absolute())})

    def intent(self, what: str) -> None:
        """To be called before a process is started whose pid is not known yet; `process` follows."""
        self._write({"kind": "intent", "what": what})

    def process(self, pid: int) -> None:
        """To be called as soon as the pid is known."""
        self._write({"kind": "process", "pid": pid, "start_ticks": start_ticks_of(pid)})

    def _write(self, entry: Entry) -> None:
        line = (json.dumps(entry) + "\n").encode()
        try:
            written = os.write(self._fd, line)
        except OSError as error:
            raise KernelError("write", self.path, error.errno or 0) from None
        if written != len(line):
            raise KernelError("write", self.path, errno.ENOSPC)


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that opened a journal; `alive` if it still runs."""

    pid: int
    alive: bool


def owner_of(path: Path) -> Owner | None:
    """Return whose journal this is; None if there is no (readable) journal."""
    entries = _entries(path)
    if not entries or entries[0].get("kind") != "header":
        return None
    header = entries[0]
    ours = header["boot_id"] == _boot_id() and start_ticks_of(header["pid"]) == header["start_ticks"]
    return Owner(header["pid"], ours)


def remains(path: Path) -> tuple[str, ...]:
    """Return what the journal at *path* names and is still there, newest first, in a few words each."""
    entries = _entries(path)
    if not entries:
        return ()
    same_boot = entries[0].get("boot_id") == _boot_id()
    named = [_LOOKS[entry["kind"]](entry) for entry in reversed(entries[1:]) if _counts(entry, same_boot)]
    return tuple(words for words in named if words)


def undo(path: Path) -> None:
    """Take back everything in the journal at *path*, then the journal; without one there is nothing to do.

    Raises:
        LabError: something could not be taken back; everything else was, and the journal stays.
    """
    entries = _entries(path)
    if not entries:
        path.unlink(missing_ok=True)
        return
    header, *made = entries
    same_boot = header.get("boot_id") == _boot_id()
    failures = [error for entry in reversed(made) if (error := _take_back(entry, same_boot))]
    if failures:
        raise LabError(_LEFT.format(path=path, what="; ".join(map(str, failures))))
    path.unlink(missing_ok=True)


def _counts(entry: Entry, same_boot: bool) -> bool:
    kind = entry.get("kind", "")
    return kind in _ACTIONS and (same_boot or kind in _OUTLIVE_A_BOOT)


def _take_back(entry: Entry, same_boot: bool) -> Exception | None:
    if not _counts(entry, same_boot):
        return None
    try:
        _ACTIONS[entry["kind"]](entry)
    except (KernelError, OSError) as error:
        return error
    return None


def _end_process(entry: Entry) -> None:
    pidfd = _open_process(entry["pid"])
    if pidfd is None:
        return
    try:
        # The pidfd is of whoever has the pid now; only then is its start time worth comparing.
        if _runs(entry):
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                _await_end(pidfd)
    finally:
        os.close(pidfd)


def _open_process(pid: int) -> int | None:
    """Return a pidfd; None if nobody has the pid."""
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    except OSError as error:
        # So Linux 6.1 calls the pid of a process that is gone, while it is still its children's session.
        if error.errno == errno.EINVAL:
            return None
        raise


def _runs(entry: Entry) -> bool:
    """Without a start time the process had ended before it was written down."""
    start_ticks = entry["start_ticks"]
    return start_ticks is not None and start_ticks_of(entry["pid"]) == start_ticks


def _await_end(pidfd: int) -> None:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.poll(int(PROCESS_END_TIMEOUT_S * 1000))


def _delete_link(entry: Entry) -> None:
    with Netlink() as netlink:
        link = netlink.link(entry["name"])
        if link is None or link.alias != entry["alias"]:
            return
        try:
            netlink.do(delete_link(link.index))
        except KernelError as error:
            # Its other end's namespace may have died meanwhile and taken it along.
            if error.errno != errno.ENODEV:
                raise


def _if(there: bool, kind: str, name: object) -> str:
    return f"{kind} {name}" if there else ""


def _has_link(entry: Entry) -> bool:
    with Netlink() as netlink:
        link = netlink.link(entry["name"])
        return link is not None and link.alias == entry["alias"]


def _remove_cgroup(entry: Entry) -> None:
    cgroups.remove_directory(entry["path"])


def _remove_directory(entry: Entry) -> None:
    path = entry["path"]
    if any(mounted.target == path or mounted.target.startswith(path + "/") for mounted in mount_table()):
        raise KernelError("remove", path, errno.EBUSY)
    # A process that was killed a moment ago may still be writing.
    for _ in range(20):
        shutil.rmtree(path, ignore_errors=True)
        if not os.path.lexists(path):
            return
        time.sleep(0.01)
    raise KernelError("remove", path, errno.ENOTEMPTY)


def _remove_file(entry: Entry) -> None:
    Path(entry["path"]).unlink(missing_ok=True)


_ACTIONS: dict[str, Callable[[Entry], None]] = {
    "process": _end_process,
    "link": _delete_link,
    "cgroup": _remove_cgroup,
    "directory": _remove_directory,
    "file": _remove_file,
}
_LOOKS: dict[str, Callable[[Entry], str]] = {
    "process": lambda entry: _if(_runs(entry), "process", entry["pid"]),
    "link": lambda entry: _if(_has_link(entry), "link", entry["name"]),
    **{
        kind: lambda entry: _if(os.path.lexists(entry["path"]), entry["kind"], entry["path"])
        for kind in ("cgroup", "directory", "file")
    },
}
_OUTLIVE_A_BOOT = ("directory", "file")


def _header(token: str) -> Entry:
    pid = os.getpid()
    owner = {"pid": pid, "start_ticks": start_ticks_of(pid)}
    return {"kind": "header", "version": VERSION, "boot_id": _boot_id(), "token": token} | owner


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _entries(path: Path) -> list[Entry]:
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    return list(_parsed(lines))


def _parsed(lines: Iterable[bytes]) -> Iterable[Entry]:
    for line in lines:
        # The last line of a process that was killed while writing it: its object was not made yet.
        with contextlib.suppress(ValueError):
            yield json.loads(line)


_EXISTS = Text(
    es="{path} es el diario de otro laboratorio: ciérralo, o ejecuta «kubelab clean» si ya no existe",
    en="{path} is the journal of another lab: quit it, or run `kubelab clean` if it is gone",
)
_LEFT = Text(
    es="no se pudo deshacer todo lo anotado en {path}: {what}; vuelve a ejecutar «kubelab clean»",
    en="not everything in {path} could be taken back: {what}; run `kubelab clean` again",
)
