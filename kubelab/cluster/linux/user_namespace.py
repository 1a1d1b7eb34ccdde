"""A user namespace for the whole lab: an ordinary user becomes root of it, and of nothing else.

`enter` puts this process, which is still the only thread, into a new user and mount namespace; all that it
starts is in there too. Its own id is 0 inside; the ids that /etc/subuid and /etc/subgid grant follow from 1
on, given by newuidmap and newgidmap, which alone may. Without them there is just that one id: then nobody
inside can be another user, chown to one, or change his groups, and files of all others are nobody's.
AppArmor may let such a namespace be made and give no rights in it (Ubuntu since 24.04), which shows only when
they are used; so a child tries first, and this process stays as it is where it cannot be had.
Nothing is executed anew, so pid, terminal, signals and open files stay as they are; the namespaces are held
by the lab's processes alone and end with them. The network is still the host's: sockets of this process are
the user's own, as before.
Source: user_namespaces(7), newuidmap(1), subuid(5); rootlesskit, pkg/parent/idtools; podman, pkg/rootless.
Left out: ids from other sources of nsswitch (subid_ranges), groups beside the first.
"""
# ruff: noqa: PTH123 - the shim imports this, and pathlib is slow to

import os
from collections.abc import Iterable
from dataclasses import dataclass

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux import syscalls
from kubelab.cluster.linux.mounts import make_private

_HELPERS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ALL_IDS = 4294967295
_FAILED = 1


@dataclass(frozen=True, slots=True)
class IdRange:
    """`count` ids from `inside` on are those from `outside` on in the namespace above."""

    inside: int
    outside: int
    count: int


@dataclass(frozen=True, slots=True)
class IdMaps:
    """Of one user namespace. With more than one user it has some to run programs as."""

    users: tuple[IdRange, ...]
    groups: tuple[IdRange, ...]

    @property
    def has_other_users(self) -> bool:
        return _count(self.users) > 1 and _count(self.groups) > 1


def parse_map(text: str) -> tuple[IdRange, ...]:
    """Parse /proc/<pid>/uid_map or gid_map."""
    return tuple(IdRange(*map(int, line.split())) for line in text.splitlines())


def granted(text: str, owners: Iterable[str]) -> tuple[tuple[int, int], ...]:
    """Return what a subuid(5) file grants to *owners* (a login name, an id): first id and count of each."""
    wanted = frozenset(owners)
    fields = (line.strip().split(":") for line in text.splitlines())
    return tuple(
        (int(words[1]), int(words[2]))
        for words in fields
        if len(words) == 3 and words[0] in wanted and words[1].isdigit() and words[2].isdigit()
    )


def laid_out(own: int, grants: Iterable[tuple[int, int]]) -> tuple[IdRange, ...]:
    """Return the map that makes *own* 0 and puts what was granted behind it without gaps."""
    ranges = [IdRange(0, own, 1)]
    for first, count in grants:
        if count > 0:
            ranges.append(IdRange(ranges[-1].inside + ranges[-1].count, first, count))
    return tuple(ranges)


def maps_of(pid: int | str) -> IdMaps:
    """Return the maps of the process's user namespace, with the ids outside as we have them; empty if there
    are none (yet), or the process has ended."""
    return IdMaps(parse_map(_read(f"/proc/{pid}/uid_map")), parse_map(_read(f"/proc/{pid}/gid_map")))


def current() -> IdMaps:
    """Return the maps of this process's user namespace."""
    return maps_of("self")


def is_nested() -> bool:
    """Return whether this process is in another user namespace than the kernel's first, so that it has no
    rights over the host, whatever its id."""
    return current().users != (IdRange(0, 0, _ALL_IDS),)


def is_host_root() -> bool:
    """Return whether this process is root as everybody means it."""
    return os.geteuid() == 0 and not is_nested()


def has_group(gid: int) -> bool:
    """Return whether there is such a group in this user namespace."""
    return any(r.inside <= gid < r.inside + r.count for r in current().groups)


def last_group() -> int:
    """Return the highest group id that there is in this user namespace."""
    return max((r.inside + r.count - 1 for r in current().groups), default=0)


def may_set_groups(pid: int | str = "self") -> bool:
    """Return whether setgroups(2) is allowed to root in that user namespace; not with a single id."""
    return _read(f"/proc/{pid}/setgroups").strip() != "deny"


def subordinate_maps() -> IdMaps:
    """Return the maps that this user, or whoever made this user namespace, is granted outside of it."""
    uid, gid = _outside(os.geteuid(), current().users), _outside(os.getegid(), current().groups)
    owners = _owners(uid)
    return IdMaps(
        laid_out(uid, granted(_read("/etc/subuid"), owners)),
        laid_out(gid, granted(_read("/etc/subgid"), owners)),
    )


def _outside(id_: int, ranges: Iterable[IdRange]) -> int:
    return next((r.outside + id_ - r.inside for r in ranges if 0 <= id_ - r.inside < r.count), id_)


def helper(name: str) -> str | None:
    """Return the path of newuidmap or newgidmap."""
    paths = (f"{directory}/{name}" for directory in _HELPERS.split(":"))
    return next((path for path in paths if os.access(path, os.X_OK)), None)


def try_to_enter() -> None:
    """Let a child make both namespaces and use its rights in them. Only for a process with one thread.

    Raises:
        KernelError: this kernel, or what guards it, does not let this user.
    """
    pid = os.fork()
    if pid == 0:
        os._exit(_errno_of_entering())
    _, status = os.waitpid(pid, 0)
    if number := os.waitstatus_to_exitcode(status):
        raise KernelError("enter", "a user namespace", number)


def _errno_of_entering() -> int:
    try:
        syscalls.unshare(syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNS)
        make_private()
    except KernelError as error:
        return error.errno
    return 0


def enter() -> IdMaps:
    """Become root of a new user and mount namespace; return its maps.

    Only for a process with one thread.

    Raises:
        KernelError: this kernel, or what guards it, does not let this user; nothing has changed then.
    """
    try_to_enter()
    own = IdMaps((IdRange(0, os.geteuid(), 1),), (IdRange(0, os.getegid(), 1),))
    wanted = subordinate_maps()
    mapper = _Mapper.waiting(wanted) if wanted.has_other_users else None
    try:
        syscalls.unshare(syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNS)
    except KernelError:
        if mapper:
            mapper.give_up()
        raise
    if not (mapper and mapper.make()):
        _map_oneself(own)
    return current()


class _Mapper:
    """A child that stays outside and there calls newuidmap and newgidmap for its parent, when told to."""

    def __init__(self, pid: int, write_end: int) -> None:
        self._pid = pid
        self._write_end = write_end

    @staticmethod
    def waiting(maps: IdMaps) -> "_Mapper | None":
        newuidmap, newgidmap = helper("newuidmap"), helper("newgidmap")
        if newuidmap is None or newgidmap is None:
            return None
        read_end, write_end = os.pipe2(os.O_CLOEXEC)
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            os.close(write_end)
            told = os.read(read_end, 1)
            commands = (
                _map_command(newuidmap, parent, maps.users),
                _map_command(newgidmap, parent, maps.groups),
            )
            os._exit(0 if told and all(_run(command) for command in commands) else _FAILED)
        os.close(read_end)
        return _Mapper(pid, write_end)

    def make(self) -> bool:
        """Let it map; return whether both were mapped."""
        os.write(self._write_end, b"\n")
        return self._end() == 0

    def give_up(self) -> None:
        self._end()

    def _end(self) -> int:
        os.close(self._write_end)
        _, status = os.waitpid(self._pid, 0)
        return os.waitstatus_to_exitcode(status)


def _map_command(program: str, pid: int, ranges: Iterable[IdRange]) -> list[str]:
    words = [word for r in ranges for word in (r.inside, r.outside, r.count)]
    return [program, str(pid), *map(str, words)]


def _run(command: list[str]) -> bool:
    """Run it, silently: what it could not do is told by `kubelab doctor`."""
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    streams = [(os.POSIX_SPAWN_DUP2, null, number) for number in (1, 2)]
    try:
        pid = os.posix_spawn(command[0], command, {"PATH": _HELPERS}, file_actions=streams)
    except OSError:
        return False
    return os.waitpid(pid, 0)[1] == 0


def _map_oneself(own: IdMaps) -> None:
    """Map one id by hand; where newuidmap has done its part and newgidmap failed, only the group."""
    maps = current()
    if not maps.users:
        _write("/proc/self/uid_map", own.users[0])
    if not maps.groups:
        # Without this a user could leave a group that keeps him out of a file: user_namespaces(7).
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/gid_map", own.groups[0])


def _write(path: str, content: IdRange | str) -> None:
    text = content if isinstance(content, str) else f"{content.inside} {content.outside} {content.count}"
    try:
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
    except OSError as error:
        raise KernelError("write", f"{text} to {path}", error.errno or 0) from None


def _owners(uid: int) -> tuple[str, ...]:
    import pwd  # Not for the shim, which has no use for it.

    try:
        return (pwd.getpwuid(uid).pw_name, str(uid))
    except KeyError:
        return (str(uid),)


def _count(ranges: Iterable[IdRange]) -> int:
    return sum(r.count for r in ranges)


def _read(path: str) -> str:
    """Return the file's text, "" where there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
