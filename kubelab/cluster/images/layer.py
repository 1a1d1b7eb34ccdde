"""Unpack one layer into a directory of its own, in overlay's form, whatever the archive tries.

Source: OCI image specification, layer.md; containerd, pkg/archive/tar.go (applyNaive) and tar_opts_linux.go
(whiteouts for overlay); umoci, oci/layer/tar_extract_test.go for what archives try. Every name is resolved by
the kernel below the layer's own directory, and made relative to a descriptor without following a last link.
As containerd has it, a later entry replaces an earlier one of the same name, and missing parents are made.
More strictly, `..` in a name, device nodes and whiteouts below whiteouts are refused. Extended attributes are
`user.*` and file capabilities, never overlay's own.
Left out: hard links to files of lower layers; the attributes of the root directory itself.
"""

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Callable
from enum import Enum

from kubelab.cluster.errors import KernelError
from kubelab.cluster.images.image import ImageError
from kubelab.cluster.images.overlay import OPAQUE_NAME, WHITEOUT_PREFIX, is_whiteout
from kubelab.cluster.images.reference import shown
from kubelab.cluster.images.tar import Entry, TarReader
from kubelab.cluster.linux.detached_mounts import open_within, opened
from kubelab.language import Text

ENTRIES_MAX = 500_000
DEPTH_MAX = 200
NAMES_BYTES_MAX = 64 << 20
_MADE_PARENT_MODE = 0o755
_CAPABILITY = "security.capability"


class Whiteouts(Enum):
    """How a layer's directory says that something of a lower one is gone: as overlay reads it when root
    mounts it, as it does in a user namespace (`userxattr`), or, where the file system can keep neither, by
    the archive's own names, for `overlay.copy`."""

    TRUSTED = "trusted.overlay.opaque"
    USER = "user.overlay.opaque"
    NAMES = ""


class Unpacking:
    """One layer on its way into a directory. `heartbeat` is called between entries and chunks, and may
    raise."""

    def __init__(
        self, root_fd: int, whiteouts: Whiteouts, heartbeat: Callable[[], None] = lambda: None
    ) -> None:
        self._root_fd = root_fd
        self._whiteouts = whiteouts
        self._heartbeat = heartbeat
        self._keeps_owners = os.geteuid() == 0
        self._directories: dict[str, tuple[int, int]] = {}
        self._name_bytes = 0
        self._parent: tuple[str, ...] | None = None
        self._parent_fd = -1

    def run(self, archive: TarReader) -> None:
        """Raises ImageError where the layer cannot be accepted; what was unpacked by then is the caller's."""
        try:
            for count, entry in enumerate(archive):
                self._heartbeat()
                if count >= ENTRIES_MAX:
                    raise ImageError(_TOO_MANY.format(count=ENTRIES_MAX))
                self._apply(archive, entry)
            self._finish_directories()
        finally:
            self._close_parent()

    def _apply(self, archive: TarReader, entry: Entry) -> None:
        parts = _parts(entry.name)
        if not parts or any(part.startswith(".wh..wh.") and part != OPAQUE_NAME for part in parts):
            return  # The root itself; what aufs kept beside a layer.
        if any(part.startswith(WHITEOUT_PREFIX) for part in parts[:-1]):
            raise _refused(entry.name, _BELOW_WHITEOUT)
        try:
            self._place(archive, entry, parts)
        except KernelError as error:
            raise _failed(entry.name, error.errno) from None
        except OSError as error:
            raise _failed(entry.name, error.errno or 0) from None

    def _place(self, archive: TarReader, entry: Entry, parts: tuple[str, ...]) -> None:
        directory = self._parent_of(parts)
        name = parts[-1]
        if name == OPAQUE_NAME:
            self._make_opaque(directory)
        elif name.startswith(WHITEOUT_PREFIX):
            self._white_out(directory, name.removeprefix(WHITEOUT_PREFIX), entry.name)
        elif entry.kind == "directory":
            self._make_directory(directory, name, entry, parts)
        else:
            self._clear(directory, name)
            self._make(archive, entry, directory, name)

    def _make(self, archive: TarReader, entry: Entry, directory: int, name: str) -> None:
        match entry.kind:
            case "file":
                self._write(archive, entry, directory, name)
            case "symlink":
                if not entry.link:
                    raise _refused(entry.name, _EMPTY_LINK)
                os.symlink(entry.link, name, dir_fd=directory)
                self._own(entry, name, directory)
                os.utime(name, ns=(entry.mtime_ns,) * 2, dir_fd=directory, follow_symlinks=False)
            case "link":
                self._link(entry, directory, name)
            case "fifo":
                os.mkfifo(name, 0o600, dir_fd=directory)
                self._own(entry, name, directory)
                os.chmod(name, entry.mode, dir_fd=directory)
                os.utime(name, ns=(entry.mtime_ns,) * 2, dir_fd=directory)
            case _:
                raise _refused(entry.name, _DEVICE)

    def _write(self, archive: TarReader, entry: Entry, directory: int, name: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(name, flags, 0o600, dir_fd=directory)
        try:
            for chunk in archive.data():
                self._heartbeat()
                _write_all(fd, chunk)
            # chown(2) takes away setuid and capabilities, so it comes first.
            self._own(entry, fd)
            os.fchmod(fd, entry.mode)
            _set_attributes(entry, fd)
            os.utime(fd, ns=(entry.mtime_ns,) * 2)
        finally:
            os.close(fd)

    def _own(self, entry: Entry, path: str | int, directory: int | None = None) -> None:
        if not self._keeps_owners:
            return
        try:
            if isinstance(path, int):
                os.fchown(path, entry.uid, entry.gid)
            else:
                os.chown(path, entry.uid, entry.gid, dir_fd=directory, follow_symlinks=False)
        except OSError as error:
            if error.errno != errno.EINVAL:  # Nobody's id in this user namespace: it stays ours.
                raise

    def _link(self, entry: Entry, directory: int, name: str) -> None:
        parts = _parts(entry.link)
        if not parts or any(part.startswith(WHITEOUT_PREFIX) for part in parts):
            raise _refused(entry.name, _LINK_TARGET)
        try:
            source = _open_directory(self._root_fd, parts[:-1])
        except KernelError:
            raise _refused(entry.name, _LINK_TARGET) from None
        try:
            status = os.stat(parts[-1], dir_fd=source, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode) or stat.S_ISCHR(status.st_mode):
                raise _refused(entry.name, _LINK_TARGET)
            os.link(parts[-1], name, src_dir_fd=source, dst_dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            raise _refused(entry.name, _LINK_TARGET) from None
        finally:
            os.close(source)

    def _make_directory(self, parent: int, name: str, entry: Entry, parts: tuple[str, ...]) -> None:
        kind = _kind(parent, name)
        hides = kind == "whiteout" or _exists(parent, WHITEOUT_PREFIX + name)
        if kind not in ("directory", "nothing"):
            self._clear(parent, name)
        if kind != "directory":
            os.mkdir(name, 0o700, dir_fd=parent)
        fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            if hides:  # Gone below and made anew here: nothing of the lower one shows through.
                self._make_opaque(fd)
            self._own(entry, fd)
            _set_attributes(entry, fd)
        finally:
            os.close(fd)
        self._finish_later("/".join(parts), entry)

    def _finish_later(self, path: str, entry: Entry) -> None:
        self._name_bytes += len(path)
        if self._name_bytes > NAMES_BYTES_MAX:  # They are all in memory until the end.
            raise ImageError(_TOO_MANY.format(count=len(self._directories)))
        self._directories[path] = (entry.mode, entry.mtime_ns)

    def _make_opaque(self, directory: int) -> None:
        if self._whiteouts is Whiteouts.NAMES:
            self._touch(directory, OPAQUE_NAME)
        else:
            os.setxattr(directory, self._whiteouts.value, b"y")

    def _white_out(self, directory: int, name: str, full_name: str) -> None:
        if name in ("", ".", ".."):
            raise _refused(full_name, _BELOW_WHITEOUT)
        kind = _kind(directory, name)
        if self._whiteouts is Whiteouts.NAMES:
            self._touch(directory, WHITEOUT_PREFIX + name)
        elif kind == "nothing":
            os.mknod(name, stat.S_IFCHR, 0, dir_fd=directory)
        elif kind == "directory":
            fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
            try:
                self._make_opaque(fd)
            finally:
                os.close(fd)

    def _touch(self, directory: int, name: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        os.close(os.open(name, flags, 0o600, dir_fd=directory))

    def _clear(self, directory: int, name: str) -> None:
        kind = _kind(directory, name)
        if kind == "nothing":
            return
        if kind == "directory":
            shutil.rmtree(name, dir_fd=directory)
        else:
            os.unlink(name, dir_fd=directory)
        self._parent = None  # What led here through it may lead elsewhere now.

    def _parent_of(self, parts: tuple[str, ...]) -> int:
        """Return the directory for an entry; it stays open until another is asked for."""
        if self._parent != parts[:-1]:
            self._close_parent()
            self._parent_fd = self._open(parts[:-1])
            self._parent = parts[:-1]
        return self._parent_fd

    def _close_parent(self) -> None:
        if self._parent_fd >= 0:
            os.close(self._parent_fd)
        self._parent, self._parent_fd = None, -1

    def _open(self, parts: tuple[str, ...]) -> int:
        try:
            return _open_directory(self._root_fd, parts)
        except KernelError as error:
            if error.errno != errno.ENOENT or not parts:
                raise
        parent = self._open(parts[:-1])
        try:
            if _kind(parent, parts[-1]) == "link":
                raise _refused("/".join(parts), _LINK_TO_NOWHERE)
            os.mkdir(parts[-1], _MADE_PARENT_MODE, dir_fd=parent)
        finally:
            os.close(parent)
        return _open_directory(self._root_fd, parts)

    def _finish_directories(self) -> None:
        """Give directories, the innermost first, the modes and times that writing into them would have kept
        us from, or changed."""
        self._close_parent()
        for path in sorted(self._directories, reverse=True):
            mode, mtime_ns = self._directories[path]
            with contextlib.suppress(KernelError), opened(_open_directory(self._root_fd, (path,))) as fd:
                os.fchmod(fd, mode)
                os.utime(fd, ns=(mtime_ns, mtime_ns))


def _open_directory(root_fd: int, parts: tuple[str, ...]) -> int:
    return open_within(root_fd, "/".join(parts), os.O_RDONLY | os.O_DIRECTORY)


def _parts(name: str) -> tuple[str, ...]:
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if ".." in parts:
        raise _refused(name, _ESCAPES)
    if len(parts) > DEPTH_MAX:
        raise _refused(name, _TOO_DEEP)
    return parts


def _kind(directory: int, name: str) -> str:
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return "nothing"
    if is_whiteout(status):
        return "whiteout"
    if stat.S_ISDIR(status.st_mode):
        return "directory"
    return "link" if stat.S_ISLNK(status.st_mode) else "file"


def _exists(directory: int, name: str) -> bool:
    return _kind(directory, name) != "nothing"


def _write_all(fd: int, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[os.write(fd, view) :]


def _set_attributes(entry: Entry, fd: int) -> None:
    for name, value in entry.xattrs.items():
        if name == _CAPABILITY or (name.startswith("user.") and not name.startswith("user.overlay.")):
            _set_attribute(fd, name, value)


def _set_attribute(fd: int, name: str, value: bytes) -> None:
    try:
        os.setxattr(fd, name, value)
    except OSError as error:
        # As containerd: a file system without them, or a user who may not, is no reason to lose the file.
        if error.errno not in (errno.ENOTSUP, errno.EPERM, errno.EINVAL, errno.ERANGE, errno.E2BIG):
            raise


def _refused(name: str, why: Text) -> ImageError:
    shown_name = shown(name)
    return ImageError(
        Text(
            es=_REFUSED.es.format(name=shown_name, why=why.es),
            en=_REFUSED.en.format(name=shown_name, why=why.en),
        )
    )


def _failed(name: str, errno_: int) -> ImageError:
    if errno_ in (errno.ENOSPC, errno.EDQUOT):
        return ImageError(_NO_SPACE)
    reason = os.strerror(errno_)
    return _refused(name, Text(es=reason, en=reason))


_REFUSED = Text(
    es="la capa contiene {name}, que se rechaza ({why}): consigue la imagen de otra fuente",
    en="the layer contains {name}, which is refused ({why}): get the image from another source",
)
_ESCAPES = Text(es="sale de la raíz de la imagen", en="it leads out of the image's root")
_DEVICE = Text(es="es un nodo de dispositivo", en="it is a device node")
_EMPTY_LINK = Text(es="es un enlace sin destino", en="it is a link without a target")
_LINK_TARGET = Text(
    es="enlaza con un archivo que esta capa no tiene", en="it links to a file that this layer does not have"
)
_LINK_TO_NOWHERE = Text(
    es="pasa por un enlace que no lleva a ninguna parte", en="it leads through a link to nowhere"
)
_BELOW_WHITEOUT = Text(es="no es un nombre para un borrado", en="it is no name for a deletion")
_TOO_DEEP = Text(es="está a demasiada profundidad", en="it lies too deep")
_TOO_MANY = Text(
    es="la capa tiene más de {count} archivos: elige una imagen más pequeña",
    en="the layer has more than {count} files: choose a smaller image",
)
_NO_SPACE = Text(
    es="no queda sitio en el disco para la imagen: libera espacio o borra imágenes con `kubelab image rm`",
    en="no room is left on the disk for the image: free some, or remove images with `kubelab image rm`",
)
