"""Is the machine still as it was built? Asked by a lesson's reset, which starts a damaged machine anew.

The shim takes stock when it has built the machine, and compares: mounts, what the overlays' upper directories
hold (deleted files are whiteouts there, changed ones copies), room on the disks, device nodes, network
settings, the host's name. What a learner is at home with (`OWN`) may be as he left it. An examination reads
only what has changed since the start, so it takes a millisecond on a machine that is whole; it stops at the
first damage of each sort.
Source: proc(5) on mountinfo; Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories".
Left out: links, addresses and routes, which the machine's network knows; firewalls; ownership and modes of
directories, which stop no root.
"""
# ruff: noqa: PTH116, PTH123 - the shim imports this, and pathlib is slow to

import os
import socket
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from kubelab.cluster.runtime.machine_root import DEVICES

OWN = frozenset({"/home", "/media", "/mnt", "/opt", "/root", "/srv", "/tmp", "/var/tmp"})  # noqa: S108
# Kept by programs as they run; and the kubelet's, which comes back with its pods.
KUBELET = "/var/lib/kubelet"
VOLATILE = frozenset({"/run", "/var/cache", KUBELET, "/var/log"})
SYSTEM = ("/bin", "/boot", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/sbin", "/usr")
CACHES = "__pycache__"
DEPTH_MAX = 64  # No file of the machine's is so deep, and no directory of its user's kills its init.
WRITABLE = ("/", "/tmp", "/run", "/dev/shm")  # noqa: S108
FULL = 0.5  # Of a disk: what is left then is too little for a lesson.
_OPAQUE = ("trusted.overlay.opaque", "user.overlay.opaque")  # The second: of overlays in a user namespace.

Stamp = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class AsBuilt:
    """What there was. `uppers`: descriptors by where the overlay is; `files`: those in them, by path."""

    name: str
    uppers: Mapping[str, int]
    files: dict[str, Stamp]
    mounts: frozenset[str]
    sysctls: Mapping[str, str]

    @staticmethod
    def now(name: str, uppers: Mapping[str, int], sysctls: Sequence[tuple[str, str]]) -> "AsBuilt":
        files = {
            path: _stamp(status)
            for top, fd in uppers.items()
            for path, status in _entries(fd, top.rstrip("/"))
            if not stat.S_ISDIR(status.st_mode)
        }
        known = {key: value for key, _ in sysctls if (value := _sysctl(key)) is not None}
        return AsBuilt(name, dict(uppers), files, _mounts(), known)

    def note(self, path: str) -> None:
        """The lab itself wrote this file."""
        self.files[path] = _stamp(os.lstat(path))

    def damages(self) -> list[str]:
        """Return what is not as it was, in a few words each; the first of each sort."""
        sorts = (self._mount_damages(), self._file_damages(), _full_disks(), _lost_devices(), self._others())
        return [damage for sort in sorts for damage in [next(sort, None)] if damage]

    def _mount_damages(self) -> Iterator[str]:
        try:
            now = _mounts()
        except OSError:
            yield "/proc is not mounted"
            return
        # What others are mounted on comes first, whatever its number.
        yield from (f"{path} is not mounted" for path in sorted(map(_mounted_at, self.mounts - now)))
        yield from (f"{path} is mounted" for path in sorted(map(_mounted_at, now - self.mounts)))

    def _file_damages(self) -> Iterator[str]:
        for top, fd in self.uppers.items():
            for path, status in _entries(fd, top.rstrip("/")):
                if damage := self._damage(path, status):
                    yield damage

    def _damage(self, path: str, status: os.stat_result) -> str:
        if stat.S_ISDIR(status.st_mode) or self.files.get(path) == _stamp(status):
            return ""
        if _is_whiteout(status):
            return f"{path} is gone"
        if path in self.files or path.startswith(tuple(f"{top}/" for top in SYSTEM)):
            return f"{path} is changed"
        return ""

    def _others(self) -> Iterator[str]:
        if (name := socket.gethostname()) != self.name:
            yield f"the host name is {name}"
        for key, value in self.sysctls.items():
            if _sysctl(key) != value:
                yield f"net/{key} is changed"


def _entries(fd: int, top: str, depth: int = 0) -> Iterator[tuple[str, os.stat_result]]:
    """Yield what is in the upper directory *fd* of the overlay at *top* and below, but for what is nobody's
    business; an opaque directory, which hides what was there, comes as a whiteout of itself."""
    if depth > DEPTH_MAX:
        return
    with os.scandir(fd) as entries:
        found = [(entry.name, entry.stat(follow_symlinks=False)) for entry in entries]
    for name, status in found:
        path = f"{top}/{name}"
        yield path, status
        if stat.S_ISDIR(status.st_mode) and name != CACHES and path not in OWN | VOLATILE:
            below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
            try:
                if _is_opaque(below):
                    yield path, _WHITEOUT
                yield from _entries(below, path, depth + 1)
            finally:
                os.close(below)


_WHITEOUT = os.stat_result((stat.S_IFCHR, *[0] * 9))


def _is_whiteout(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and not status.st_rdev


def _is_opaque(fd: int) -> bool:
    return any(_attribute(fd, name) == b"y" for name in _OPAQUE)


def _attribute(fd: int, name: str) -> bytes:
    try:
        return os.getxattr(fd, name)
    except OSError:
        return b""


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _mounts() -> frozenset[str]:
    """Return all but the kubelet's, which come and go with its pods."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
        return frozenset(line for line in lines if not f"{_mounted_at(line)}/".startswith(f"{KUBELET}/"))


def _mounted_at(line: str) -> str:
    return line.split()[4]


def _full_disks() -> Iterator[str]:
    for path in WRITABLE:
        space = os.statvfs(path)
        for free, all_ in ((space.f_bfree, space.f_blocks), (space.f_ffree, space.f_files)):
            if all_ and free < all_ * FULL:
                yield f"{path} is full"


def _lost_devices() -> Iterator[str]:
    for name, minor in DEVICES.items():
        try:
            status = os.stat(f"/dev/{name}")
        except OSError:
            yield f"/dev/{name} is gone"
            continue
        if not stat.S_ISCHR(status.st_mode) or os.minor(status.st_rdev) != minor:
            yield f"/dev/{name} is changed"


def _sysctl(name: str) -> str | None:
    try:
        with open(f"/proc/sys/net/{name}", encoding="ascii") as file:
            return file.read()
    except OSError:
        return None
