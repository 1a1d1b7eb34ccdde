"""Images made by hand, layer by layer and byte by byte, as tools make them and as no tool would."""

import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import zstandard

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
OCI = "application/vnd.oci.image"
PACKED = {"": lambda raw: raw, "+gzip": lambda raw: gzip.compress(raw, mtime=0), "+zstd": zstandard.compress}


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def entry(name: str, type_: bytes = tarfile.REGTYPE, **fields: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = type_
    info.mode = 0o755 if type_ == tarfile.DIRTYPE else 0o644
    for key, value in fields.items():
        setattr(info, key, value)
    return info


def directory(name: str, **fields: object) -> tarfile.TarInfo:
    return entry(name, tarfile.DIRTYPE, **fields)


def symlink(name: str, target: str) -> tarfile.TarInfo:
    return entry(name, tarfile.SYMTYPE, linkname=target)


def hard_link(name: str, target: str) -> tarfile.TarInfo:
    return entry(name, tarfile.LNKTYPE, linkname=target)


Item = tarfile.TarInfo | tuple[str, bytes] | tuple[tarfile.TarInfo, bytes]


def tar(items: Iterable[Item], format_: int = tarfile.PAX_FORMAT) -> bytes:
    """Return an archive: entries, or (name or entry, content)."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=format_) as archive:
        for item in items:
            info, content = item if isinstance(item, tuple) else (item, b"")
            info = entry(info) if isinstance(info, str) else info
            if content:
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return written.getvalue()


@dataclass
class Made:
    """An image's blobs, and the descriptor of its manifest."""

    blobs: dict[str, bytes]
    manifest: dict[str, object]
    config: dict[str, object]
    layers: list[bytes]
    diff_ids: list[str] = field(default_factory=list)


def made(layers: Iterable[bytes], packing: str = "+gzip", **config: object) -> Made:
    """Return the image of these tar archives, the lowest first."""
    raw = list(layers)
    diff_ids = [sha256(layer) for layer in raw]
    document: dict[str, object] = {
        "architecture": ARCHITECTURE,
        "os": "linux",
        "created": "2026-01-01T00:00:00Z",
        "config": {"Cmd": ["sh"], **config},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": [{"created_by": f"layer {number}"} for number in range(len(raw))]
        + [{"created_by": "CMD sh", "empty_layer": True}],
    }
    packed = [PACKED[packing](layer) for layer in raw]
    config_blob = json.dumps(document).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{OCI}.manifest.v1+json",
        "config": described(config_blob, f"{OCI}.config.v1+json"),
        "layers": [described(layer, f"{OCI}.layer.v1.tar{packing}") for layer in packed],
    }
    return with_manifest(manifest, [config_blob, *packed], document, raw)


def with_manifest(
    manifest: Mapping[str, object], blobs: list[bytes], config: dict[str, object], layers: list[bytes]
) -> Made:
    document = json.dumps(manifest).encode()
    every = {sha256(blob): blob for blob in [*blobs, document]}
    return Made(every, described(document, str(manifest["mediaType"])), config, layers)


def described(blob: bytes, media_type: str, **more: object) -> dict[str, object]:
    return {"mediaType": media_type, "digest": sha256(blob), "size": len(blob), **more}


def layout_files(image: Made, name: str) -> dict[str, bytes]:
    """Return the files of an OCI layout with one image."""
    annotations = {"org.opencontainers.image.ref.name": name} if name else {}
    index = {"schemaVersion": 2, "manifests": [{**image.manifest, "annotations": annotations}]}
    files = {f"blobs/sha256/{digest[7:]}": blob for digest, blob in image.blobs.items()}
    return files | {"index.json": json.dumps(index).encode(), "oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}


def write_layout(path: Path, image: Made, name: str) -> Path:
    for file, content in layout_files(image, name).items():
        (path / file).parent.mkdir(parents=True, exist_ok=True)
        (path / file).write_bytes(content)
    return path


def write_archive(path: Path, image: Made, name: str) -> Path:
    path.write_bytes(tar(layout_files(image, name).items()))
    return path


def docker_save(image: Made, name: str) -> bytes:
    """Return what Docker before 25 writes: the second layer of two alike is a link to the first."""
    config = json.dumps(image.config).encode()
    config_name = f"{sha256(config)[7:]}.json"
    items: list[Item] = [(config_name, config)]
    names: list[str] = []
    seen: dict[bytes, str] = {}
    for number, layer in enumerate(image.layers):
        file = f"{number:064x}/layer.tar"
        items.append(directory(f"{number:064x}/"))
        items.append(symlink(file, f"../{seen[layer]}") if layer in seen else (file, layer))
        seen.setdefault(layer, file)
        names.append(file)
    index = [{"Config": config_name, "RepoTags": [name] if name else None, "Layers": names}]
    return tar([*items, ("manifest.json", json.dumps(index).encode())], tarfile.USTAR_FORMAT)


def everything(path: Path) -> set[str]:
    """Return the names of all that a store holds, but for its locks and empty directories."""
    return {
        str(each.relative_to(path))
        for each in path.rglob("*")
        if not each.is_dir() and each.name not in ("lock", "busy")
    }
