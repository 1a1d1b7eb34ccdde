"""The store's files: blobs by digest, layers unpacked by diff id, and what is on its way, in directories.

    blobs/sha256/<hex>    manifests, configs, layers as they travel: an OCI image layout, with index.json
    layers/<hex>          a layer's files, in overlay's form
    flat/<hex>            an image's layers merged, where the file system has no whiteouts
    tmp/<chance>          what is on its way here; rename(2) gives it its name when it is whole and checked
    lock, busy            flock(2): `lock` for a change of the index; `busy` is held, shared, by whoever
                          brings something, and alone by whoever collects garbage

A process that dies at any point leaves only what has no name yet or no reference: garbage for `collect`. A
layer in use by a container is locked, shared, by the lab that lent it.
Left out: power cuts. Blobs and layers are not synced to the disk; an image whose documents are found damaged
loses its name at the next start.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from kubelab.cluster.images import overlay
from kubelab.cluster.images.compression import Digesting, decompressed
from kubelab.cluster.images.image import ImageError
from kubelab.cluster.images.layer import Unpacking, Whiteouts
from kubelab.cluster.images.manifest import DOCUMENT_BYTES_MAX, Descriptor
from kubelab.cluster.images.reference import is_digest
from kubelab.cluster.images.tar import TarReader
from kubelab.cluster.linux import user_namespace
from kubelab.language import Text

UNPACKED_BYTES_MAX = 32 << 30
FREE_BYTES_MIN = 256 << 20
_CHECK_EVERY_BYTES = 64 << 20
_CHUNK = 1 << 20
_ALGORITHM = "sha256:"

Heartbeat = Callable[[int], None]  # Called with how many bytes more are done; it may raise.


def quiet(_: int) -> None:
    """A heartbeat that nobody hears."""


class Ingest:
    """A blob on its way into the store: `write` it, then `commit` it under the digest that it must have."""

    def __init__(self, content: "Content", path: Path) -> None:
        self._content = content
        self._path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        self._hash = hashlib.sha256()
        self.size_bytes = 0

    @property
    def digest(self) -> str:
        return f"{_ALGORITHM}{self._hash.hexdigest()}"

    def write(self, chunk: bytes) -> None:
        """Raises ImageError where the disk is full."""
        try:
            view = memoryview(chunk)
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError as error:
            raise self._content.failed(error) from None
        self._hash.update(chunk)
        if (self.size_bytes + len(chunk)) // _CHECK_EVERY_BYTES > self.size_bytes // _CHECK_EVERY_BYTES:
            self._content.check_room()
        self.size_bytes += len(chunk)

    def start_again(self) -> None:
        os.ftruncate(self._fd, 0)
        os.lseek(self._fd, 0, os.SEEK_SET)
        self._hash = hashlib.sha256()
        self.size_bytes = 0

    def commit(self, expected: Descriptor | None = None) -> str:
        """Name the blob, and return its digest.

        Raises:
            ImageError: it is not what was *expected*.
        """
        if expected and (self.digest, self.size_bytes) != (expected.digest, expected.size_bytes):
            raise wrong_digest(expected, self.digest, self.size_bytes)
        self._path.rename(self._content.blob(self.digest))
        return self.digest

    def close(self) -> None:
        os.close(self._fd)


class Content:
    """The files at *path*, which is made if it is not there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            for name in ("", "blobs/sha256", "layers", "flat", "tmp"):
                # Nobody else may reach the setuid programs of whatever image is here.
                (path / name).mkdir(mode=0o755 if name else 0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise self.failed(error) from None
        with self.busy():
            self.whiteouts = self._find_whiteouts()

    def blob(self, digest: str) -> Path:
        assert is_digest(digest)
        return self.path / "blobs" / "sha256" / digest.removeprefix(_ALGORITHM)

    def layer(self, diff_id: str) -> Path:
        assert is_digest(diff_id)
        return self.path / "layers" / diff_id.removeprefix(_ALGORITHM)

    def flat(self, image_id: str) -> Path:
        assert is_digest(image_id)
        return self.path / "flat" / image_id.removeprefix(_ALGORITHM)

    def has(self, blob: Descriptor) -> bool:
        try:
            return self.blob(blob.digest).stat().st_size == blob.size_bytes
        except FileNotFoundError:
            return False

    def document(self, digest: str) -> bytes:
        """Return a small blob's content.

        Raises:
            ImageError: it is not there, too large, or not what it should be.
        """
        try:
            with self.blob(digest).open("rb") as file:
                found = file.read(DOCUMENT_BYTES_MAX + 1)
        except FileNotFoundError:
            raise ImageError(_MISSING.format(digest=digest)) from None
        if f"{_ALGORITHM}{hashlib.sha256(found).hexdigest()}" != digest:
            raise ImageError(_DAMAGED.format(digest=digest))
        return found

    def put(self, document: bytes) -> str:
        """Keep a small blob; return its digest."""
        with self.ingest() as ingest:
            ingest.write(document)
            return ingest.commit()

    @contextlib.contextmanager
    def ingest(self) -> Iterator[Ingest]:
        with self.temporary() as directory:
            ingest = Ingest(self, directory / "blob")
            try:
                yield ingest
            finally:
                ingest.close()

    @contextlib.contextmanager
    def temporary(self) -> Iterator[Path]:
        """Yield a directory that is gone afterwards. Only while `busy` is held: `collect` removes others."""
        directory = self.path / "tmp" / secrets.token_hex(8)
        try:
            directory.mkdir(mode=0o700)
            yield directory
        except OSError as error:
            raise self.failed(error) from None
        finally:
            remove_tree(directory)

    def unpack(self, blob: Descriptor, diff_id: str, heartbeat: Heartbeat = quiet) -> None:
        """Unpack the layer, unless that was done before.

        Raises:
            ImageError: it is not to be trusted, or not what its diff id says.
        """
        target = self.layer(diff_id)
        if target.is_dir():
            return
        with self.temporary() as directory:
            fresh = directory / "layer"
            fresh.mkdir(mode=0o755)
            fresh.chmod(0o755)  # Whatever the umask is: it becomes a container's root.
            self._unpack_into(fresh, blob, diff_id, heartbeat)
            _rename_unless_there(fresh, target)

    def _unpack_into(self, directory: Path, blob: Descriptor, diff_id: str, heartbeat: Heartbeat) -> None:
        root_fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with self.blob(blob.digest).open("rb") as packed:
                stream = Digesting(decompressed(packed), UNPACKED_BYTES_MAX)
                pulse = _Pulse(stream, self.check_room, heartbeat)
                Unpacking(root_fd, self.whiteouts, pulse.beat).run(TarReader(stream))
                pulse.beat()
        finally:
            os.close(root_fd)
        if stream.digest != diff_id:
            raise ImageError(_WRONG_DIFF_ID.format(expected=diff_id, found=stream.digest))

    def flatten(self, image_id: str, diff_ids: tuple[str, ...]) -> Path:
        """Return the directory with the layers merged, made if need be."""
        target = self.flat(image_id)
        if not target.is_dir():
            with self.temporary() as directory:
                fresh = directory / "flat"
                fresh.mkdir(mode=0o755)
                overlay.copy([str(self.layer(diff_id)) for diff_id in reversed(diff_ids)], str(fresh))
                _rename_unless_there(fresh, target)
        return target

    def check_room(self) -> None:
        """Raises ImageError while it can still be mended easily: before the disk is quite full."""
        free = os.statvfs(self.path)
        if free.f_bavail * free.f_frsize < FREE_BYTES_MIN:
            raise ImageError(_NO_SPACE.format(path=self.path))

    def collect(self, blobs: Collection[str], diff_ids: Collection[str], flats: Collection[str]) -> None:
        """Remove all that is neither named nor in use. The caller holds `busy` and `lock` alone."""
        kept = {
            self.path / "blobs" / "sha256": {digest.removeprefix(_ALGORITHM) for digest in blobs},
            self.path / "layers": {digest.removeprefix(_ALGORITHM) for digest in diff_ids},
            self.path / "flat": {digest.removeprefix(_ALGORITHM) for digest in flats},
            self.path / "tmp": set[str](),
        }
        for directory, names in kept.items():
            for found in directory.iterdir():
                if found.name not in names:
                    self._remove(found)

    def _remove(self, found: Path) -> None:
        if found.parent.name in ("layers", "flat"):
            if is_in_use(found):
                return
            # Half a layer must never bear a layer's name.
            doomed = self.path / "tmp" / secrets.token_hex(8)
            found.rename(doomed)
            found = doomed
        remove_tree(found)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep others from changing the index."""
        fd = self._open_lock("lock")
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """Keep garbage from being collected: what is brought here has no reference yet."""
        fd = self._open_lock("busy")
        try:
            fcntl.flock(fd, fcntl.LOCK_SH)
            yield
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def alone(self) -> Iterator[bool]:
        """Yield whether nobody brings anything, now and meanwhile."""
        fd = self._open_lock("busy")
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(fd)

    def _open_lock(self, name: str) -> int:
        try:
            return os.open(self.path / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self.failed(error) from None

    def failed(self, error: OSError) -> ImageError:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return ImageError(_NO_SPACE.format(path=self.path))
        return ImageError(_UNUSABLE.format(path=self.path, why=error.strerror))

    def _find_whiteouts(self) -> Whiteouts:
        """Return which whiteouts can be kept here: an overlay, as a container's root is one, keeps none."""
        wanted = Whiteouts.TRUSTED if user_namespace.is_host_root() else Whiteouts.USER
        probe = self.path / "tmp" / secrets.token_hex(8)
        try:
            probe.mkdir(mode=0o700)
            os.mknod(probe / "whiteout", stat.S_IFCHR, 0)
            os.setxattr(probe, wanted.value, b"y")
        except OSError:
            return Whiteouts.NAMES
        else:
            return wanted
        finally:
            remove_tree(probe)


class _Pulse:
    """Tells of progress, and looks after the room on the disk, as a stream is read."""

    def __init__(self, stream: Digesting, check_room: Callable[[], None], heartbeat: Heartbeat) -> None:
        self._stream = stream
        self._check_room = check_room
        self._heartbeat = heartbeat
        self._told = self._checked = 0

    def beat(self) -> None:
        read = self._stream.size_bytes
        self._heartbeat(read - self._told)
        self._told = read
        if read - self._checked >= _CHECK_EVERY_BYTES:
            self._checked = read
            self._check_room()


def wrong_digest(expected: Descriptor, digest: str, size_bytes: int) -> ImageError:
    found = f"{digest}, {size_bytes}"
    return ImageError(_WRONG_DIGEST.format(digest=expected.digest, size=expected.size_bytes, found=found))


def is_in_use(directory: Path) -> bool:
    """Return whether a lab has lent it to a container."""
    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(fd)


def remove_tree(path: Path) -> None:
    """Remove it; directories that their owner may not write to are made writable first."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    try:
        shutil.rmtree(path)
    except PermissionError:
        path.chmod(0o700)
        for directory, names, _ in os.walk(path):
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    os.chmod(f"{directory}/{name}", 0o700, follow_symlinks=False)  # noqa: PTH101
        shutil.rmtree(path)


def _rename_unless_there(fresh: Path, target: Path) -> None:
    try:
        fresh.rename(target)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):  # Another one was quicker: it has the same.
            raise


_WRONG_DIGEST = Text(
    es="un blob no es {digest} de {size} bytes sino {found}: está dañado o falsificado, consíguelo de nuevo",
    en="a blob is not {digest} of {size} bytes but {found}: it is damaged or forged, get it again",
)
_WRONG_DIFF_ID = Text(
    es="una capa desempaquetada no es {expected} sino {found}: la imagen está dañada o falsificada",
    en="an unpacked layer is not {expected} but {found}: the image is damaged or forged",
)
_MISSING = Text(
    es="falta el blob {digest}: consigue la imagen entera",
    en="the blob {digest} is missing: get the whole image",
)
_DAMAGED = Text(
    es="el blob {digest} está dañado en el disco: borra la imagen y consíguela de nuevo",
    en="the blob {digest} is damaged on the disk: remove the image and get it again",
)
_NO_SPACE = Text(
    es="no queda sitio en {path} para la imagen: libera espacio o borra imágenes con `kubelab image rm`",
    en="no room is left in {path} for the image: free some, or remove images with `kubelab image rm`",
)
_UNUSABLE = Text(
    es="el almacén de imágenes {path} no se puede usar ({why}): usa sudo, o indica otro con KUBELAB_IMAGES",
    en="the image store {path} cannot be used ({why}): use sudo, or name another with KUBELAB_IMAGES",
)
