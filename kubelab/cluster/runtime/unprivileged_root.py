"""What a machine shows of the host in a user namespace, where nobody is the owner of the host's files.

An ordinary user's namespace knows neither the host's root nor, as its mounts are locked, the host's `/` as a
layer. So `/` is an overlay of a base that is built here: top-level links and empty directories, a copy of
what the user can read of /etc, the directories of /var without what is in them. /usr and what else lies at
the top are overlays of the host's, whose directories near the top are made the machine's own, so that its
root can add, replace and delete there. Where the host has a mount below one of them, the way down to it is
made of directories, with the rest beside it shown one by one.
A user's own files stay out of the machines: /home, /root, /media, /mnt and /srv are empty.
Left out: writing to a file of the host's in place, below /usr (replacing it is possible); files of /etc that
the user cannot read, or above a mebibyte; other owners than root in /etc; what is in /var.
"""
# ruff: noqa: PTH101, PTH102, PTH103, PTH108, PTH115, PTH116, PTH123, PTH211, SIM905

import os
from collections.abc import Iterator, Sequence

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux.mounts import MountEntry, bind
from kubelab.cluster.runtime.overlays import ROOT, STAGE, overlay, overlay_or_bind

FILE_BYTES_MAX = 1 << 20
_BASE = f"{STAGE}/base"
_EMPTY = frozenset("boot dev home lost+found media mnt proc root run srv sys tmp".split())
_PRIVATE = frozenset({"root", "lost+found"})
_VAR_DEPTH = 2
# Programs put themselves below /usr/local: one level more of it is the machine's own.
_DEEPER = ("/usr/local",)


def show_host(table: Sequence[MountEntry]) -> dict[str, str]:
    """Show the host at `ROOT`; return the directories into which its overlays write, by where the overlays
    are.

    Raises:
        KernelError: a mount was refused.
    """
    targets = [entry.target for entry in table]
    shown = _make_base()
    uppers = {"/": overlay(_BASE, ROOT)}
    for path in shown:
        uppers |= _show(path, targets)
    return uppers


def shadow_of(passwd: str) -> str:
    """Return a shadow(5) file in which nobody of *passwd* has a password."""
    names = (line.partition(":")[0] for line in passwd.splitlines())
    return "".join(f"{name}:*:::::::\n" for name in names if name)


def _make_base() -> list[str]:
    """Make what the machine has of its own; return the host's directories that are still to be shown."""
    os.mkdir(_BASE, 0o755)
    shown = []
    for entry in _entries("/"):
        path = f"{_BASE}/{entry.name}"
        if entry.is_symlink():
            os.symlink(os.readlink(entry.path), path)
        elif entry.is_dir():
            os.mkdir(path, 0o700 if entry.name in _PRIVATE else 0o755)
            if entry.name not in _EMPTY | {"etc", "var"}:
                shown.append(entry.path)
    _copy("/etc", f"{_BASE}/etc")
    _make_own("/var", _BASE, _VAR_DEPTH)
    _write_shadow()
    os.chmod(f"{_BASE}/tmp", 0o1777)  # noqa: S103, S108 - as on every system
    return shown


def _entries(path: str) -> list["os.DirEntry[str]"]:
    try:
        with os.scandir(path) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:  # Nothing that this user may look into.
        return []


def _copy(source: str, target: str) -> None:
    os.makedirs(target, exist_ok=True)
    for entry in _entries(source):
        below = f"{target}/{entry.name}"
        if entry.is_symlink():
            os.symlink(os.readlink(entry.path), below)
        elif entry.is_dir():
            os.mkdir(below, 0o755)
            _copy(entry.path, below)
        elif entry.is_file():
            _copy_file(entry, below)


def _copy_file(entry: "os.DirEntry[str]", target: str) -> None:
    status = entry.stat()
    if status.st_size > FILE_BYTES_MAX:
        return
    try:
        source_fd = os.open(entry.path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        content = os.read(source_fd, FILE_BYTES_MAX)
    finally:
        os.close(source_fd)
    target_fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, status.st_mode & 0o777)
    try:
        os.write(target_fd, content)
    finally:
        os.close(target_fd)


def _write_shadow() -> None:
    try:
        with open(f"{_BASE}/etc/passwd", encoding="utf-8", errors="replace") as file:
            passwd = file.read()
    except FileNotFoundError:
        return
    with open(f"{_BASE}/etc/shadow", "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o640)
        file.write(shadow_of(passwd))


def _make_own(path: str, top: str, depth: int) -> None:
    """Make the host's directories at and below *path* in *top*, with their modes and nothing in them."""
    _make_as(path, top + path)
    if depth:
        for entry in _directories(path):
            _make_own(entry.path, top, depth - 1)


def _make_as(model: str, path: str) -> None:
    os.makedirs(path, exist_ok=True)
    os.chmod(path, os.stat(model).st_mode & 0o7777)


def _directories(path: str) -> Iterator["os.DirEntry[str]"]:
    """Yield those that this user may look into: of a merged one the kernel has to read the lower part."""
    for entry in _entries(path):
        if entry.is_dir(follow_symlinks=False) and os.access(entry.path, os.R_OK | os.X_OK):
            yield entry


def _show(path: str, targets: Sequence[str]) -> dict[str, str]:
    if any(target.startswith(f"{path}/") for target in targets):
        return _show_around_mounts(path, targets)
    upper = overlay_or_bind(path)
    if upper is None:
        return {}
    for directory in (path, *(deeper for deeper in _DEEPER if deeper.startswith(path))):
        for entry in _directories(directory):
            _make_as(entry.path, upper + entry.path.removeprefix(path))
    return {path: upper}


def _show_around_mounts(path: str, targets: Sequence[str]) -> dict[str, str]:
    uppers: dict[str, str] = {}
    for entry in _entries(path):
        if entry.is_symlink():
            os.symlink(os.readlink(entry.path), ROOT + entry.path)
        elif entry.is_dir():
            os.mkdir(ROOT + entry.path)
            uppers |= _show(entry.path, targets)
        elif entry.is_file():
            _show_file(entry.path)
    return uppers


def _show_file(path: str) -> None:
    os.close(os.open(ROOT + path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))
    try:
        bind(path, ROOT + path, read_only=True)
    except KernelError:
        os.unlink(ROOT + path)
