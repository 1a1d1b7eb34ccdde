"""Answers `LayoutAt`: hashes the blobs, and has the lab's own loader take the image into a store of its own.

The store is thrown away. What has not changed since (names, sizes, times of change) is not looked at again.
Left out: more than 64 blobs, or 64 MiB of them.
"""

import hashlib
import os
import stat
import tempfile
from contextlib import ExitStack
from pathlib import Path

from kubelab.cluster.images.image import Image, ImageError
from kubelab.cluster.images.store import ImageStore
from kubelab.cluster.linux.threads import in_thread
from kubelab.language import Text
from kubelab.lessons.answering.answer import ask
from kubelab.lessons.answering.beneath import open_beneath
from kubelab.lessons.checks.image_layout import LayoutAt, LayoutSeen
from kubelab.lessons.lab import LabPort
from kubelab.lessons.observation import Unseen
from kubelab.lessons.view import sentence_of

BLOBS_MAX = 64
BYTES_MAX = 64 << 20
_NAME = "layout"  # The image's, in the store that is thrown away.

Stamp = tuple[tuple[str, int, int], ...]
_known: dict[LayoutAt, tuple[Stamp, LayoutSeen]] = {}


@ask.register
async def _(question: LayoutAt, lab: LabPort) -> LayoutSeen | Unseen:
    machine = lab.machines.get(question.machine)
    if machine is None:
        return Unseen(_NO_MACHINE.format(name=question.machine))
    try:
        with ExitStack() as stack:
            fd = await in_thread(_open, machine.pid, question.path)
            stack.callback(os.close, fd)
            return await _look(question, Path(f"/proc/self/fd/{fd}"))
    except (FileNotFoundError, NotADirectoryError, ProcessLookupError):
        return LayoutSeen(is_there=False)
    except OSError as error:
        return Unseen(_UNREADABLE.format(path=question.path, error=error.strerror or error))


def _open(pid: int, path: str) -> int:
    root_fd = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return open_beneath(root_fd, path, follow=True)
    finally:
        os.close(root_fd)


async def _look(question: LayoutAt, layout: Path) -> LayoutSeen | Unseen:
    stamp = await in_thread(_stamp, layout)
    if question in _known and _known[question][0] == stamp:
        return _known[question][1]
    if len(stamp) > BLOBS_MAX or sum(size for _, size, _ in stamp) > BYTES_MAX:
        return Unseen(_TOO_LARGE.format(path=question.path))
    misnamed, count = await in_thread(_hash, layout)
    seen = await _load(layout, question.path, LayoutSeen(count, misnamed))
    _known.clear()  # Only one lesson is open.
    _known[question] = stamp, seen
    return seen


def _stamp(layout: Path) -> Stamp:
    """Return what changes when anything is written. Raises OSError: it is no directory."""
    names = [f"{layout}/{name}" for name in os.listdir(layout)]  # noqa: PTH208 - plain names are enough
    files = [Path(name) for name in (*names, *map(str, _blobs(layout)))]
    statuses = [(path.name, path.lstat()) for path in sorted(files)]
    return tuple((name, s.st_size, s.st_mtime_ns) for name, s in statuses if not stat.S_ISDIR(s.st_mode))


def _blobs(layout: Path) -> list[Path]:
    try:
        return sorted((layout / "blobs" / "sha256").iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _hash(layout: Path) -> tuple[tuple[str, ...], int]:
    """Return the names that are wrong, and how many are right."""
    right = {path.name: _sha256(path) == path.name for path in _blobs(layout)}
    return tuple(name for name, is_right in right.items() if not is_right), sum(right.values())


def _sha256(path: Path) -> str:
    """Return the digest, "" of what is no regular file: a fifo would keep whoever reads it."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        is_file = stat.S_ISREG(os.fstat(fd).st_mode)
        return hashlib.file_digest(file, "sha256").hexdigest() if is_file else ""


async def _load(layout: Path, path: str, seen: LayoutSeen) -> LayoutSeen:
    with tempfile.TemporaryDirectory(prefix="kubelab-layout-") as place:
        try:
            store = await in_thread(ImageStore.open, Path(place))
            images = await store.load(layout, name=_NAME)
        except ImageError as error:
            said = sentence_of(error)
            refusal = Text(said.es.replace(str(layout), path), said.en.replace(str(layout), path))
            return LayoutSeen(seen.blobs, seen.misnamed, refusal)
        return _loaded(seen, images[0])


def _loaded(seen: LayoutSeen, image: Image) -> LayoutSeen:
    return LayoutSeen(seen.blobs, seen.misnamed, None, len(image.layers), " ".join(image.argv))


_NO_MACHINE = Text("no hay máquina {name}", "there is no machine {name}")
_UNREADABLE = Text("no se puede mirar {path} ({error})", "cannot look at {path} ({error})")
_TOO_LARGE = Text(
    "{path} tiene demasiado para comprobarlo: caben 64 blobs y 64 MiB",
    "there is too much in {path} to be checked: 64 blobs and 64 MiB are the most",
)
