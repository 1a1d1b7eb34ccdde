"""A tree of files, in memory and within limits: what a track is, wherever it comes from.

Whatever is gathered (from a directory, an archive, a repository) passes `Gathering`, which accepts regular
files alone, with names that stay inside. A symbolic link to a file of the same tree is taken for a copy of
it; any other is refused. So nothing that a stranger packed is ever unpacked before it was looked at.

The hash is that of golang.org/x/mod/sumdb/dirhash (Hash1), in hexadecimal, which coreutils make as well:

    find . -type f -printf '%P\\0' | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum
"""

import errno
import hashlib
import os
import posixpath
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from kubelab.cluster.errors import LabError
from kubelab.language import Text
from kubelab.lessons.located import CONTROLS

Tree = Mapping[str, bytes]
"""The content of each file by its path, parts joined by "/"."""

NAME_BYTES_MAX = 255  # NAME_MAX of Linux.
LINKS_FOLLOWED_MAX = 8
NOT_CONTENT = frozenset({".git", ".hg", ".svn"})  # A version control's own; not what it keeps.


@dataclass(frozen=True, slots=True)
class Limits:
    """`entries`: files, links and directories together."""

    entries: int = 4000
    file_bytes: int = 4 << 20
    total_bytes: int = 32 << 20
    depth: int = 12


LIMITS = Limits()


class Gathering:
    """A tree that grows entry by entry. *title* is what it is called in errors."""

    def __init__(self, title: str, limits: Limits = LIMITS) -> None:
        self.title = title
        self.limits = limits
        self._files: dict[str, bytes] = {}
        self._links: dict[str, str] = {}
        self._entries = 0
        self._bytes = 0

    def add_directory(self, path: str) -> None:
        """Count it. Raises LabError."""
        if not self._is_passed_over(path):
            self._checked(path)

    def add_file(self, path: str, content: BinaryIO) -> None:
        """Read *content*, no further than the limits allow. Raises LabError."""
        if self._is_passed_over(path):
            return
        path = self._new(path)
        room = min(self.limits.file_bytes, self.limits.total_bytes - self._bytes)
        data = content.read(room + 1)
        if len(data) > room:
            raise self.refused(_TOO_BIG.format(path=path, limit=_mebibytes(room)))
        self._bytes += len(data)
        self._files[path] = data

    def add_link(self, path: str, target: str) -> None:
        """Raises LabError."""
        if not self._is_passed_over(path):
            self._links[self._new(path)] = target

    def refuse_special(self, path: str) -> LabError:
        return self.refused(_SPECIAL.format(path=shown(path)))

    def refused(self, why: Text) -> LabError:
        title = shown(self.title)
        return LabError(Text(f"{title}: {why.es}", f"{title}: {why.en}"))

    def finish(self) -> Tree:
        """Return the tree, its links resolved. Raises LabError."""
        files = dict(self._files)
        for path in self._links:
            files[path] = self._files[self._resolved(path)]
            self._bytes += len(files[path])
        if self._bytes > self.limits.total_bytes:
            raise self.refused(_TOO_BIG.format(path=".", limit=_mebibytes(self.limits.total_bytes)))
        for path in files:
            for parent in _parents(path):
                if parent in files:
                    raise self.refused(_TWICE.format(path=parent))
        return dict(sorted(files.items()))

    def _is_passed_over(self, path: str) -> bool:
        """Whoever packs a working copy packs its `.git` with it."""
        self._count()
        return not NOT_CONTENT.isdisjoint(path.split("/"))

    def _new(self, path: str) -> str:
        path = self._checked(path)
        if not path or path in self._files or path in self._links:
            raise self.refused(_TWICE.format(path=path or "."))
        return path

    def _count(self) -> None:
        self._entries += 1
        if self._entries > self.limits.entries:
            raise self.refused(_TOO_MANY.format(limit=self.limits.entries))

    def _checked(self, path: str) -> str:
        """Return *path* in its plain spelling. Raises LabError for one that leads out or cannot be told."""
        if path.startswith("/"):
            raise self.refused(_OUTSIDE.format(path=shown(path)))
        parts = [part for part in path.split("/") if part not in ("", ".")]
        if ".." in parts:
            raise self.refused(_OUTSIDE.format(path=shown(path)))
        if len(parts) > self.limits.depth:
            raise self.refused(_TOO_DEEP.format(path=shown(path), limit=self.limits.depth))
        if not all(map(_is_name, parts)):
            raise self.refused(_BAD_NAME.format(path=shown(path)))
        return "/".join(parts)

    def _resolved(self, link: str) -> str:
        path = link
        for _ in range(LINKS_FOLLOWED_MAX):
            target = self._links[path]
            path = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
            if path.startswith(("/", "../")) or path == "..":
                raise self.refused(_LINK_OUT.format(path=link, target=shown(target)))
            if path in self._files:
                return path
            if path not in self._links:
                break
        raise self.refused(_LINK_NOWHERE.format(path=link, target=shown(self._links[link])))


def read_tree(directory: Path, title: str = "", limits: Limits = LIMITS) -> Tree:
    """Return the files below *directory*; what belongs to a version control is left out.

    Raises:
        LabError: it has what no tree has, or cannot be read.
    """
    gathering = Gathering(title or str(directory), limits)
    try:
        _gather(gathering, directory, "")
    except OSError as error:
        raise gathering.refused(_UNREADABLE.format(path=error.filename, why=error.strerror)) from error
    return gathering.finish()


def _gather(gathering: Gathering, directory: Path, prefix: str) -> None:
    with os.scandir(directory) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        path = prefix + entry.name
        if entry.is_symlink():
            gathering.add_link(path, str(Path(entry.path).readlink()))
        elif entry.is_dir(follow_symlinks=False):
            if entry.name not in NOT_CONTENT:
                gathering.add_directory(path)
                _gather(gathering, Path(entry.path), f"{path}/")
        else:
            _gather_file(gathering, entry.path, path)


def _gather_file(gathering: Gathering, place: str, path: str) -> None:
    try:
        # A fifo would keep us waiting, a link that came in between would lead elsewhere.
        descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.ELOOP):  # A socket; a link.
            raise gathering.refuse_special(path) from error
        raise
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise gathering.refuse_special(path)
        gathering.add_file(path, file)


def write_tree(tree: Tree, directory: Path) -> None:
    """Write the files below the new *directory*. Raises OSError."""
    directory.mkdir(parents=True)
    for path, content in tree.items():
        file = directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("xb") as opened:
            opened.write(content)


def tree_hash(tree: Tree) -> str:
    lines = (f"{hashlib.sha256(tree[path]).hexdigest()}  {path}\n" for path in sorted(tree, key=os.fsencode))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def below(tree: Tree, directory: str) -> Tree:
    """Return the part of *tree* in *directory* ("": all of it), with paths from there."""
    prefix = f"{directory}/" if directory else ""
    return {path.removeprefix(prefix): tree[path] for path in tree if path.startswith(prefix)}


def directories_of(tree: Iterable[str], name: str) -> list[str]:
    """Return the directories that have a file of that name, outermost first."""
    found = (posixpath.dirname(path) for path in tree if posixpath.basename(path) == name)
    return sorted(found, key=lambda path: (path.count("/") if path else -1, path))


def shown(text: str) -> str:
    """Return a stranger's *text* as it may be printed: in one line that no terminal obeys."""
    plain = text.encode(errors="replace").decode()
    return CONTROLS.sub("�", plain.replace("\n", "�"))


def _parents(path: str) -> Iterator[str]:
    while path := posixpath.dirname(path):
        yield path


def _is_name(part: str) -> bool:
    """A newline or backslash would make sha256sum(1) write the name in another way; so would not we."""
    try:
        size = len(part.encode())
    except UnicodeEncodeError:  # Bytes that are no UTF-8.
        return False
    return size <= NAME_BYTES_MAX and shown(part) == part and "\\" not in part


def _mebibytes(size: int) -> str:
    return f"{size / (1 << 20):.3g} MiB"


_OUTSIDE = Text("«{path}» lleva fuera: no se acepta.", "“{path}” leads out: it is refused.")
_BAD_NAME = Text(
    "«{path}» tiene un nombre que no se acepta: cámbialo.", "“{path}” has a name that is refused: change it."
)
_TWICE = Text("«{path}» aparece dos veces: quita una.", "“{path}” is there twice: remove one.")
_TOO_MANY = Text(
    "hay más de {limit} archivos: no es un track, o le sobran.",
    "there are more than {limit} files: it is no track, or has too many.",
)
_TOO_BIG = Text(
    "«{path}» es demasiado grande (queda sitio para {limit}): redúcelo.",
    "“{path}” is too big (there is room for {limit}): make it smaller.",
)
_TOO_DEEP = Text(
    "«{path}» está a más de {limit} directorios de profundidad: súbelo.",
    "“{path}” is more than {limit} directories deep: move it up.",
)
_SPECIAL = Text("«{path}» no es un archivo normal: quítalo.", "“{path}” is no regular file: remove it.")
_LINK_OUT = Text(
    "el enlace «{path}» lleva fuera ({target}): pon el archivo en su lugar.",
    "the link “{path}” leads out ({target}): put the file in its place.",
)
_LINK_NOWHERE = Text(
    "el enlace «{path}» no lleva a un archivo de aquí ({target}): pon el archivo en su lugar.",
    "the link “{path}” leads to no file in here ({target}): put the file in its place.",
)
_UNREADABLE = Text("no se puede leer {path} ({why}).", "{path} cannot be read ({why}).")
