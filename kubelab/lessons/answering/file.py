"""Answers `FileAt`: looks from the root directory of a process or a machine, and never outside of it.

Source: proc(5) on /proc/<pid>/root and NSpid, inode(7). Only regular files are opened to be read,
without waiting (O_NONBLOCK), and their first 64 KiB are. Processes are looked up on this host's /proc: on the
machine's a learner may have mounted anything.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from kubelab.cluster.machine.machine import Machine
from kubelab.language import Text
from kubelab.lessons.answering.answer import look
from kubelab.lessons.answering.beneath import open_beneath
from kubelab.lessons.answering.patience import Patience
from kubelab.lessons.checks.file_question import CONTENT_BYTES_MAX, FileAt, FileSeen
from kubelab.lessons.lab import LabPort
from kubelab.lessons.observation import Unseen

_NOBODY = (errno.ENOENT, errno.ENOTDIR)
_TYPES = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "link",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
}
_patience = Patience()


@look.register
def _(question: FileAt, lab: LabPort) -> FileSeen | Unseen | None:
    machine = lab.machines.get(question.machine)
    if machine is None:
        name = question.machine
        return Unseen(Text(f"no hay máquina {name}", f"there is no machine {name}"))
    answer: FileSeen | Unseen | None = _patience.answer(question, lambda: _look(question, machine))
    return answer


def _look(question: FileAt, machine: Machine) -> FileSeen | Unseen | None:
    """Return None while the process is not to be found: it has just ended, and the next look will tell."""
    try:
        with ExitStack() as stack:
            process_fd = _open_process(question, machine)
            if process_fd < 0:
                return None
            stack.callback(os.close, process_fd)
            root_fd = os.open("root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=process_fd)
            stack.callback(os.close, root_fd)
            return see(root_fd, question.path, with_content=question.with_content)
    except (FileNotFoundError, ProcessLookupError):
        return None
    except OSError as error:
        path = question.path
        return Unseen(Text(f"no se puede mirar {path} ({error})", f"cannot look at {path} ({error})"))


def see(root_fd: int, path: str, *, with_content: bool) -> FileSeen:
    """Return what is at *path* below the directory *root_fd*. Raises OSError: it cannot be looked at."""
    named = _open(root_fd, path, follow=False)
    if named < 0:
        return FileSeen()
    try:
        is_link = stat.S_ISLNK(os.fstat(named).st_mode)
        if not is_link:
            return _describe(named, None, with_content)
        target = os.readlink("", dir_fd=named)
    finally:
        os.close(named)
    reached = _open(root_fd, path, follow=True)
    if reached < 0:
        return FileSeen(target=target)
    try:
        return _describe(reached, target, with_content)
    finally:
        os.close(reached)


def _open(root_fd: int, path: str, *, follow: bool) -> int:
    """Return a descriptor; -1 if there is no such file, or a link's way to it is without end."""
    try:
        return open_beneath(root_fd, path, follow=follow)
    except OSError as error:
        if error.errno in _NOBODY or (follow and error.errno == errno.ELOOP):
            return -1
        raise


def _describe(fd: int, target: str | None, with_content: bool) -> FileSeen:
    status = os.fstat(fd)
    type_ = _TYPES.get(stat.S_IFMT(status.st_mode), "")
    content = _content(fd) if with_content and type_ == "file" else None
    mode = stat.S_IMODE(status.st_mode)
    return FileSeen(type_, target, mode, status.st_uid, status.st_gid, status.st_size, content)


def _content(fd: int) -> str:
    """Read the file that an O_PATH descriptor names; what is not there to be read yet (EAGAIN) is not waited
    for."""
    reader = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    content = b""
    try:
        while len(content) < CONTENT_BYTES_MAX:
            chunk = os.read(reader, CONTENT_BYTES_MAX - len(content))
            if not chunk:
                break
            content += chunk
    except BlockingIOError:
        pass
    finally:
        os.close(reader)
    return content.decode("utf-8", errors="replace")


def _open_process(question: FileAt, machine: Machine) -> int:
    """Return a descriptor of the process's directory in /proc; -1 if it is not there."""
    if not question.pid:
        return _open_if(str(machine.pid), _is_elsewhere)
    key = machine.pid, question.pid, question.start_ticks
    for pid in _candidates(question.pid, _host_pids.get(key)):
        fd = _open_if(pid, lambda fd: _is_it(fd, question))
        if fd >= 0:
            _remember(key, pid)
            return fd
    return -1


_host_pids: dict[tuple[int, int, int], str] = {}
_KNOWN_MAX = 64


def _remember(key: tuple[int, int, int], pid: str) -> None:
    _host_pids[key] = pid
    if len(_host_pids) > _KNOWN_MAX:
        del _host_pids[next(iter(_host_pids))]


def _candidates(pid: int, known: str | None) -> Iterator[str]:
    """Yield the pids here of what may be the process that has *pid* in a pid namespace below."""
    if known is not None:
        yield known
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and pid in _pids(entry.name):
            yield entry.name


def _pids(pid: str) -> tuple[int, ...]:
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as status:  # noqa: PTH123 -- many
            line = next((line for line in status if line.startswith("NSpid:")), "")
    except OSError:
        return ()
    return tuple(map(int, line.split()[1:]))


def _open_if(pid: str, is_meant: Callable[[int], bool]) -> int:
    try:
        fd = os.open(f"/proc/{pid}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return -1
    try:
        if is_meant(fd):
            return fd
    except (OSError, IndexError, ValueError):  # It is ending.
        pass
    os.close(fd)
    return -1


def _is_elsewhere(fd: int) -> bool:
    """Tell whether it has other mounts than we: what gets the pid of a machine that is gone may not."""
    return _mount_namespace(fd) != Path("/proc/self/ns/mnt").stat().st_ino


def _is_it(fd: int, question: FileAt) -> bool:
    """Tell whether the directory is that of the process which was meant, and not of one with its pid."""
    reader = os.open("stat", os.O_RDONLY | os.O_CLOEXEC, dir_fd=fd)
    try:
        start_ticks = int(os.read(reader, 4096).rpartition(b")")[2].split()[19])
    finally:
        os.close(reader)
    identity = start_ticks, _mount_namespace(fd)
    return identity == (question.start_ticks, question.mount_namespace) and _is_elsewhere(fd)


def _mount_namespace(fd: int) -> int:
    return os.stat("ns/mnt", dir_fd=fd).st_ino
