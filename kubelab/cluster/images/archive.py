"""Images in files: an OCI image layout, as a directory or in a tar archive, and what `docker save` writes.

Source: OCI image specification, image-layout.md; moby, image/tarexport/save.go (manifest.json, and since
Docker 25 an OCI layout beside it); containerd, pkg/archive's annotation io.containerd.image.name.
A tar archive may be compressed. It is read once: each file in it becomes a blob of the store by its digest,
so nothing in it is believed that the index or the manifest does not name. The same name twice is refused.
Left out: archives from standard input (they are looked at twice), Docker's format before 1.10.
"""

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from kubelab.cluster.images import manifest, reference
from kubelab.cluster.images.compression import Digesting, decompressed
from kubelab.cluster.images.content import UNPACKED_BYTES_MAX, Content, Heartbeat
from kubelab.cluster.images.image import ImageError
from kubelab.cluster.images.manifest import Descriptor, Index, Platform
from kubelab.cluster.images.reference import shown
from kubelab.cluster.images.tar import Entry, TarReader
from kubelab.language import Text

FILES_MAX = 20_000
_CHUNK = 1 << 20
_DOCUMENTS = ("index.json", "manifest.json", "oci-layout", "repositories")
_IMAGE_NAME = "io.containerd.image.name"
_REF_NAME = "org.opencontainers.image.ref.name"
_MAGIC = {b"\x1f\x8b": "+gzip", b"\x28\xb5": "+zstd"}

Fetch = Callable[[Descriptor, Heartbeat], None]


@dataclass(frozen=True, slots=True)
class Offer:
    """One image that an archive has. `name` is a full reference, empty where the archive does not say."""

    name: str
    descriptor: Descriptor


@dataclass(frozen=True, slots=True)
class Archive:
    """`fetch` brings a blob of it into the store; it may be slow."""

    offers: tuple[Offer, ...]
    fetch: Fetch


@dataclass(slots=True)
class _Files:
    """What was found in an archive, by name."""

    documents: dict[str, bytes] = field(default_factory=dict)
    blobs: dict[str, tuple[str, int]] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)

    def names(self) -> int:
        return len(self.documents) + len(self.blobs) + len(self.links)

    def __contains__(self, name: str) -> bool:
        return name in self.documents or name in self.blobs or name in self.links

    def blob(self, name: str) -> tuple[str, int]:
        """Return digest and size of what is called *name*, through one link if need be."""
        found = self.blobs.get(self.links.get(name, name))
        if found is None:
            raise ImageError(_MISSING.format(name=shown(name)))
        return found


def read(path: Path, content: Content, platform: Platform, heartbeat: Heartbeat) -> Archive:
    """Return the images in the archive or layout at *path*.

    Raises:
        ImageError: there are none, or they are not to be trusted.
    """
    if path.is_dir():
        return _directory(path, content, platform)
    with _opened(path) as file:
        stream = Digesting(decompressed(file), UNPACKED_BYTES_MAX)
        files = _take_in(TarReader(stream), content, heartbeat)
    return Archive(tuple(_offers(files, content, platform)), _fetch_from_store(content))


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise ImageError(_UNREADABLE.format(path=path, why=error.strerror)) from None
    with os.fdopen(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise ImageError(_UNREADABLE.format(path=path, why="not a regular file"))
        yield file


def _directory(path: Path, content: Content, platform: Platform) -> Archive:
    def fetch(blob: Descriptor, heartbeat: Heartbeat) -> None:
        if content.has(blob):
            return
        with _opened(path / "blobs" / blob.digest.replace(":", "/")) as file, content.ingest() as ingest:
            while chunk := file.read(_CHUNK):
                if ingest.size_bytes + len(chunk) > blob.size_bytes:
                    raise ImageError(_LONGER.format(digest=blob.digest, size=blob.size_bytes))
                ingest.write(chunk)
                heartbeat(len(chunk))
            ingest.commit(blob)

    if not (path / "index.json").is_file():
        raise ImageError(_NEITHER.format(path=path))
    with _opened(path / "index.json") as file:
        document = file.read(manifest.DOCUMENT_BYTES_MAX + 1)
    return Archive(tuple(_offers_of_layout(document, platform)), fetch)


def _fetch_from_store(content: Content) -> Fetch:
    def fetch(blob: Descriptor, _: Heartbeat) -> None:
        if not content.has(blob):
            raise ImageError(_MISSING.format(name=blob.digest))

    return fetch


def _take_in(archive: TarReader, content: Content, heartbeat: Heartbeat) -> _Files:
    files = _Files()
    for entry in archive:
        name = _name(entry)
        if entry.kind == "directory":
            continue
        if name in files:
            raise ImageError(_TWICE.format(name=shown(name)))
        if files.names() >= FILES_MAX:
            raise ImageError(_TOO_MANY.format(count=FILES_MAX))
        _take(files, entry, name, archive, content, heartbeat)
    return files


def _take(
    files: _Files, entry: Entry, name: str, archive: TarReader, content: Content, heartbeat: Heartbeat
) -> None:
    if entry.kind in ("symlink", "link"):
        base = os.path.dirname(name) if entry.kind == "symlink" else ""
        files.links[name] = os.path.normpath(os.path.join(base, entry.link))
    elif entry.kind != "file":
        raise ImageError(_STRANGE.format(name=shown(name)))
    elif name in _DOCUMENTS:
        if entry.size_bytes > manifest.DOCUMENT_BYTES_MAX:
            raise manifest.malformed(name, f"{entry.size_bytes} bytes")
        files.documents[name] = b"".join(archive.data())
    else:
        files.blobs[name] = _ingest(archive, name, content, heartbeat)


def _ingest(archive: TarReader, name: str, content: Content, heartbeat: Heartbeat) -> tuple[str, int]:
    with content.ingest() as ingest:
        for chunk in archive.data():
            ingest.write(chunk)
            heartbeat(len(chunk))
        if name.startswith("blobs/sha256/") and not ingest.digest.endswith(f":{name[13:]}"):
            raise ImageError(_FORGED.format(name=shown(name), digest=ingest.digest))
        return ingest.commit(), ingest.size_bytes


def _name(entry: Entry) -> str:
    parts = [part for part in entry.name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ImageError(_STRANGE.format(name=shown(entry.name)))
    return "/".join(parts)


def _offers(files: _Files, content: Content, platform: Platform) -> Iterator[Offer]:
    if "index.json" in files.documents and "oci-layout" in files.documents:
        yield from _offers_of_layout(files.documents["index.json"], platform)
    elif "manifest.json" in files.documents:
        yield from _offers_of_docker(files, content)
    else:
        raise ImageError(_NEITHER.format(path="tar"))


def _offers_of_layout(document: bytes, platform: Platform) -> Iterator[Offer]:
    index = manifest.parse(document, manifest.OCI_INDEX)
    assert isinstance(index, Index)
    by_name: dict[str, list[Descriptor]] = {}
    for each in index.manifests:
        by_name.setdefault(_offered_name(each.annotations), []).append(each)
    if not by_name:
        raise ImageError(_EMPTY)
    for name, candidates in by_name.items():
        if len(candidates) == 1:
            yield Offer(name, candidates[0])
        else:
            yield Offer(name, manifest.choose(Index(tuple(candidates)), platform))


def _offered_name(annotations: Mapping[str, str]) -> str:
    """Return the full reference. A `ref.name` alone is often but a tag, and says nothing about the name."""
    named, ref = annotations.get(_IMAGE_NAME, ""), annotations.get(_REF_NAME, "")
    if named:
        return str(reference.parse(named))
    return str(reference.parse(ref)) if "/" in ref or ":" in ref else ""


def _offers_of_docker(files: _Files, content: Content) -> Iterator[Offer]:
    images = manifest.load_list(files.documents["manifest.json"], "manifest.json")
    if not images:
        raise ImageError(_EMPTY)
    for image in images[: manifest.MANIFESTS_MAX]:
        descriptor = _made_manifest(image, files, content)
        tags = image.get("RepoTags") or [""]
        if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
            raise manifest.malformed("manifest.json", f"RepoTags {tags!r}")
        for tag in tags:
            yield Offer(str(reference.parse(tag)) if tag else "", descriptor)


def _made_manifest(image: Any, files: _Files, content: Content) -> Descriptor:
    """Write the manifest that the archive's image would have in a registry."""
    layers = image.get("Layers") if isinstance(image, dict) else None
    config = image.get("Config") if isinstance(image, dict) else None
    if not (isinstance(config, str) and isinstance(layers, list)):
        raise manifest.malformed("manifest.json", f"Config {config!r}")
    if len(layers) > manifest.LAYERS_MAX or not all(isinstance(layer, str) for layer in layers):
        raise manifest.malformed("manifest.json", f"{len(layers)} layers")
    made = manifest.written(
        _descriptor(files, os.path.normpath(config), manifest.OCI_CONFIG),
        [_layer(files, os.path.normpath(layer), content) for layer in layers],
    )
    return Descriptor(manifest.OCI_MANIFEST, content.put(made), len(made))


def _descriptor(files: _Files, name: str, media_type: str) -> Descriptor:
    return Descriptor(media_type, *files.blob(name))


def _layer(files: _Files, name: str, content: Content) -> Descriptor:
    digest, _ = files.blob(name)
    with content.blob(digest).open("rb") as file:
        packing = _MAGIC.get(file.read(2), "")
    return _descriptor(files, name, manifest.OCI_LAYER + packing)


_UNREADABLE = Text(
    es="{path} no se puede leer ({why}): indica un archivo tar o un directorio OCI",
    en="{path} cannot be read ({why}): name a tar archive or an OCI directory",
)
_NEITHER = Text(
    es="{path} no es una imagen: se espera un layout OCI (index.json) o lo que escribe `docker save`",
    en="{path} is no image: an OCI layout (index.json), or what `docker save` writes, is expected",
)
_EMPTY = Text(
    es="el archivo no contiene ninguna imagen: vuelve a crearlo",
    en="the archive contains no image: make it again",
)
_MISSING = Text(
    es="al archivo le falta {name}: consigue la imagen entera",
    en="the archive lacks {name}: get the whole image",
)
_TWICE = Text(
    es="el archivo contiene dos veces {name}: consíguelo de otra fuente",
    en="the archive contains {name} twice: get it from another source",
)
_STRANGE = Text(
    es="el archivo contiene {name}, que no es propio de una imagen: consíguelo de otra fuente",
    en="the archive contains {name}, which is no part of an image: get it from another source",
)
_FORGED = Text(
    es="{name} es en realidad {digest}: el archivo está dañado o falsificado",
    en="{name} is in fact {digest}: the archive is damaged or forged",
)
_LONGER = Text(
    es="el blob {digest} tiene más de {size} bytes: está dañado o falsificado",
    en="the blob {digest} has more than {size} bytes: it is damaged or forged",
)
_TOO_MANY = Text(
    es="el archivo contiene más de {count} archivos: consíguelo de otra fuente",
    en="the archive contains more than {count} files: get it from another source",
)
