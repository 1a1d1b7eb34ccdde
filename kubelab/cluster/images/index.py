"""Which image each reference names: index.json, in the form of an OCI image layout.

Changed under the store's lock, and replaced as a whole, so that readers need none.
Source: OCI image specification, image-layout.md; the reference is written as podman and containerd do.
"""

import functools
import json
import os
from collections.abc import Mapping
from pathlib import Path

from kubelab.cluster.images import manifest
from kubelab.cluster.images.manifest import Descriptor, Index

_IMAGE_NAME = "io.containerd.image.name"
_DOCUMENTS_MAX = 4
_REF_NAME = "org.opencontainers.image.ref.name"


def read(directory: Path) -> dict[str, Descriptor]:
    """Return the descriptors of manifests or indexes by full reference."""
    try:
        document = (directory / "index.json").read_bytes()
    except FileNotFoundError:
        return {}
    return dict(_named(document))


def version(directory: Path) -> tuple[int, ...]:
    """Return what is another one after each `write`: that puts a new file in the old one's place."""
    try:
        status = (directory / "index.json").stat()
    except FileNotFoundError:
        return ()
    return (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@functools.lru_cache(maxsize=_DOCUMENTS_MAX)
def _named(document: bytes) -> Mapping[str, Descriptor]:
    """It is asked for each image, and is seldom another then."""
    found = manifest.parse(document, manifest.OCI_INDEX)
    assert isinstance(found, Index)
    return {each.annotations[_REF_NAME]: each for each in found.manifests if _REF_NAME in each.annotations}


def write(directory: Path, images: Mapping[str, Descriptor]) -> None:
    """Replace the index; the caller holds the store's lock."""
    entries = [_entry(reference, images[reference]) for reference in sorted(images)]
    document = {"schemaVersion": 2, "mediaType": manifest.OCI_INDEX, "manifests": entries}
    _replace(directory / "oci-layout", {"imageLayoutVersion": "1.0.0"})
    _replace(directory / "index.json", document)


def _entry(reference: str, image: Descriptor) -> dict[str, object]:
    names = {_IMAGE_NAME: reference, _REF_NAME: reference}
    return Descriptor(image.media_type, image.digest, image.size_bytes, annotations=names).to_json()


def _replace(path: Path, document: Mapping[str, object]) -> None:
    fresh = path.with_name(f"{path.name}.new")
    with fresh.open("w", encoding="utf-8") as file:
        json.dump(document, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
