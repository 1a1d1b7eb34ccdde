"""The mounts of a machine: /proc/<pid>/mountinfo of one process per mount namespace.

Source: proc(5) on mountinfo, fs/proc_namespace.c. The kernel can tell of changes there (poll(2) says
POLLPRI), but only to who keeps the file open; and that keeps the process's root directory in use, so that a
learner's `pivot_root . old; umount old` would fail with "target is busy" because somebody watches. So the
files are opened, read and closed, whenever somebody on the machine did anything at all. Only text that is
other than before is parsed.
"""

import contextlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence

from kubelab.language import Text
from kubelab.lessons.observation import Mount, Process, Unseen

Table = tuple[Mount, ...]

_ESCAPE = re.compile(r"\\([0-7]{3})")
_READ_BYTES = 65536


class MountTables:
    def __init__(self, proc_directory: int) -> None:
        """*proc_directory*: a descriptor of the machine's /proc, which stays the caller's."""
        self._proc = proc_directory
        self._texts: dict[int, tuple[str, bytes]] = {}
        self.tables: dict[int, Table | Unseen] = {}
        self.witnesses: dict[int, Process] = {}  # Whose table it is that was read, by mount namespace.

    def look(self, processes: Iterable[Process]) -> frozenset[int]:
        """Read the tables of the namespaces that *processes* are in; return those namespaces whose table is
        other than it was before, or is new: it may be younger than what was read of their processes."""
        members = _by_namespace(processes)
        changed = [inode for inode, inside in members.items() if self._look_into(inode, inside)]
        for gone in self.tables.keys() - members.keys():
            del self.tables[gone]
            self._texts.pop(gone, None)
            self.witnesses.pop(gone, None)
        return frozenset(changed)

    def _look_into(self, inode: int, members: Sequence[Process]) -> bool:
        for member in members:
            try:
                text = self._read(member.pid)
            except (FileNotFoundError, ProcessLookupError):  # It ended: another may be there yet.
                continue
            except OSError as error:
                return self._note_failure(inode, error)
            if not text:  # So it is of a process that is ending.
                continue
            self.witnesses[inode] = member
            # The root may be what it was before a chroot(2) that the text has already seen.
            if self._texts.get(inode) == (member.root, text):
                return False
            self._texts[inode] = member.root, text
            self.tables[inode] = parse(text.decode(errors="replace"), member.root)
            return True
        return False  # All have ended; the next look will not find them any more.

    def _note_failure(self, inode: int, error: OSError) -> bool:
        if error.errno == 22:  # EINVAL: it is ending, and in no namespace any more.
            return False
        self._texts.pop(inode, None)
        unseen = Unseen(_UNREADABLE.format(inode=inode, error=error.strerror))
        changed = self.tables.get(inode) != unseen
        self.tables[inode] = unseen
        return changed

    def _read(self, pid: int) -> bytes:
        fd = os.open(f"{pid}/mountinfo", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._proc)
        try:
            return b"".join(iter(lambda: os.read(fd, _READ_BYTES), b""))
        finally:
            os.close(fd)


def _by_namespace(processes: Iterable[Process]) -> Mapping[int, list[Process]]:
    """Return the processes of each mount namespace, those first that see all of it."""
    members: dict[int, list[Process]] = {}
    for process in processes:
        if inode := process.namespaces.get("mnt"):
            if process.root == "/":
                members.setdefault(inode, []).insert(0, process)
            else:
                members.setdefault(inode, []).append(process)
    return members


def parse(text: str, root: str = "/") -> Table:
    """Return the mounts of a mountinfo. In one whose process lives in a chroot at *root*, the mount points
    begin there."""
    found = []
    for line in text.splitlines():
        with contextlib.suppress(ValueError):  # A table that was cut short.
            found.append(_mount(line, root.rstrip("/")))
    return tuple(found)


def _mount(line: str, chroot: str) -> Mount:
    before, _, after = line.partition(" - ")
    id_, parent, device, root, point, options, *propagation = before.split(" ")
    type_, source, super_options = after.split(" ", 2)
    return Mount(
        id=int(id_),
        parent_id=int(parent),
        device=device,
        root=_unescaped(root),
        point=chroot + _unescaped(point) if point != "/" else chroot or "/",
        options=tuple(options.split(",")),
        propagation=tuple(propagation),
        type=type_,
        source=_unescaped(source),
        super_options=tuple(_unescaped(option) for option in super_options.split(",")),
    )


def _unescaped(path: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), path) if "\\" in path else path


_UNREADABLE = Text(
    es="no se pueden leer los montajes del namespace mnt:[{inode}] ({error}); se sigue intentando",
    en="the mounts of namespace mnt:[{inode}] cannot be read ({error}); trying on",
)
