"""Manifests, indexes and configs, parsed out of bytes that anybody may have written. Pure.

Source: OCI image specification, descriptor.md, manifest.md, image-index.md, config.md; Docker's image
manifest version 2, schema 2, which differs in media types alone. JSON with a name twice in one object is
refused: two readers would see two documents in it.
Left out: artifacts that are no images, Docker's schema 1, digests other than sha256.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from kubelab.cluster.images.image import History, ImageConfig, ImageError, Layer
from kubelab.cluster.images.reference import is_digest, shown
from kubelab.language import Text

DOCUMENT_BYTES_MAX = 4 << 20  # As containerd and docker bound a manifest.
LAYERS_MAX = 200  # The kernel stacks 500; their names must fit into one page for mount(2).
MANIFESTS_MAX = 1000
HISTORY_MAX = 2000

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_INDEXES, MANIFESTS = (OCI_INDEX, DOCKER_INDEX), (OCI_MANIFEST, DOCKER_MANIFEST)
ACCEPTED = (*MANIFESTS, *_INDEXES)
_CONFIGS = (OCI_CONFIG, "application/vnd.docker.container.image.v1+json", "")
_LAYER_PREFIXES = (
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
)
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "riscv64": "riscv64", "s390x": "s390x"}

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Platform:
    architecture: str
    os: str = "linux"
    variant: str = ""

    @classmethod
    def of_machine(cls, machine: str) -> "Platform":
        """Return the platform of a kernel whose uname says *machine*."""
        return cls(_ARCHITECTURES.get(machine, machine))

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


@dataclass(frozen=True, slots=True)
class Descriptor:
    media_type: str
    digest: str
    size_bytes: int
    platform: Platform | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        found = {"mediaType": self.media_type, "digest": self.digest, "size": self.size_bytes}
        return found | ({"annotations": dict(self.annotations)} if self.annotations else {})


@dataclass(frozen=True, slots=True)
class Manifest:
    config: Descriptor
    layers: tuple[Descriptor, ...]


@dataclass(frozen=True, slots=True)
class Index:
    manifests: tuple[Descriptor, ...]


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """The whole of an image's config document; `config` is what runs."""

    config: ImageConfig
    platform: Platform
    created: str
    diff_ids: tuple[str, ...]
    steps: tuple[Mapping[str, Any], ...]

    def history(self, layers: tuple[Layer, ...]) -> tuple[History, ...]:
        """Return how the image was built, first step first."""
        remaining = iter(layers)
        return tuple(
            History(
                _string(step, "created"),
                _string(step, "created_by"),
                _string(step, "comment"),
                None if step.get("empty_layer") is True else next(remaining, None),
            )
            for step in self.steps
        )


def load(document: bytes, what: str) -> dict[str, Any]:
    """Return the JSON object in *document*.

    Raises:
        ImageError: it is none, or not to be trusted.
    """
    return _is(_decoded(document, what), dict, what, "")


def load_list(document: bytes, what: str) -> list[Any]:
    """As `load`, for a JSON array."""
    return _is(_decoded(document, what), list, what, "")


def _decoded(document: bytes, what: str) -> object:
    if len(document) > DOCUMENT_BYTES_MAX:
        raise malformed(what, f"{len(document)} bytes")
    try:
        value: object = json.loads(document, object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise malformed(what, str(error)) from None
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("duplicate name in an object")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def parse(document: bytes, media_type: str = "") -> Manifest | Index:
    """Return the manifest or index in *document*, which calls itself *media_type*.

    Raises:
        ImageError: it is neither.
    """
    value = load(document, "manifest")
    if value.get("schemaVersion") != 2:
        raise malformed("manifest", f"schemaVersion {value.get('schemaVersion')!r}")
    own = _string(value, "mediaType") or media_type
    if media_type and own != media_type:
        raise malformed("manifest", f"mediaType {own!r} in a {media_type!r}")
    if ("manifests" in value) == ("layers" in value) or own not in ("", *ACCEPTED):
        raise malformed("manifest", f"mediaType {own!r}")
    if "manifests" in value:
        _belongs(own, _INDEXES)
        return Index(_list(value, "manifests", MANIFESTS_MAX, descriptor))
    _belongs(own, MANIFESTS)
    return _manifest(value)


def _belongs(media_type: str, allowed: tuple[str, ...]) -> None:
    if media_type and media_type not in allowed:
        raise malformed("manifest", f"mediaType {media_type!r}")


def _manifest(value: dict[str, Any]) -> Manifest:
    config = descriptor(_is(value.get("config"), dict, "manifest", "config"))
    if config.media_type not in _CONFIGS:
        raise ImageError(_NO_IMAGE.format(kind=shown(config.media_type)))
    if config.size_bytes > DOCUMENT_BYTES_MAX:
        raise malformed("config", f"{config.size_bytes} bytes")
    layers = _list(value, "layers", LAYERS_MAX, descriptor)
    for layer in layers:
        if not layer.media_type.startswith(_LAYER_PREFIXES):
            raise ImageError(_NO_IMAGE.format(kind=shown(layer.media_type)))
    return Manifest(config, layers)


def descriptor(value: object) -> Descriptor:
    found = _is(value, dict, "manifest", "descriptor")
    size, digest = found.get("size"), found.get("digest")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < 1 << 50:
        raise malformed("manifest", f"size {size!r}")
    if not is_digest(digest):
        raise malformed("manifest", f"digest {digest!r}")
    annotations = _strings_by_name(found.get("annotations"), "annotations")
    return Descriptor(_string(found, "mediaType"), str(digest), size, _platform(found), annotations)


def _platform(found: Mapping[str, Any]) -> Platform | None:
    value = found.get("platform")
    if value is None:
        return None
    named = _is(value, dict, "manifest", "platform")
    return Platform(_string(named, "architecture"), _string(named, "os"), _string(named, "variant"))


def parse_config(document: bytes) -> ConfigFile:
    """Return an image's config.

    Raises:
        ImageError: it is none.
    """
    value = load(document, "config")
    rootfs = _is(value.get("rootfs") or {}, dict, "config", "rootfs")
    diff_ids = _list(rootfs, "diff_ids", LAYERS_MAX, _digest)
    steps = _list(value, "history", HISTORY_MAX, lambda step: _is(step, dict, "config", "history"))
    platform = Platform(*(_string(value, name) for name in ("architecture", "os", "variant")))
    inner = _is(value.get("config") or {}, dict, "config", "config")
    return ConfigFile(_image_config(inner), platform, _string(value, "created"), diff_ids, steps)


def _image_config(value: Mapping[str, Any]) -> ImageConfig:
    def strings(name: str) -> tuple[str, ...]:
        return _list(value, name, 10_000, lambda item: _is(item, str, "config", name))

    return ImageConfig(
        entrypoint=strings("Entrypoint"),
        cmd=strings("Cmd"),
        env=strings("Env"),
        working_dir=_string(value, "WorkingDir"),
        user=_string(value, "User"),
        stop_signal=_string(value, "StopSignal"),
        labels=_strings_by_name(value.get("Labels"), "Labels"),
        exposed_ports=tuple(_is(value.get("ExposedPorts") or {}, dict, "config", "ExposedPorts")),
        volumes=tuple(_is(value.get("Volumes") or {}, dict, "config", "Volumes")),
    )


def layers_of(manifest: Manifest, config: ConfigFile) -> tuple[Layer, ...]:
    """Return the layers, the lowest first.

    Raises:
        ImageError: manifest and config do not belong together.
    """
    if len(manifest.layers) != len(config.diff_ids):
        raise malformed("config", f"{len(config.diff_ids)} diff_ids, {len(manifest.layers)} layers")
    return tuple(
        Layer(blob.digest, diff_id, blob.size_bytes, blob.media_type)
        for blob, diff_id in zip(manifest.layers, config.diff_ids, strict=True)
    )


def choose(index: Index, wanted: Platform) -> Descriptor:
    """Return the manifest for the *wanted* platform; one that names no platform is for all.

    Raises:
        ImageError: there is none.
    """
    for candidate in index.manifests:
        platform = candidate.platform
        if candidate.media_type not in ("", *ACCEPTED):
            continue
        if platform is None or (platform.os, platform.architecture) == (wanted.os, wanted.architecture):
            return candidate
    found = ", ".join(sorted({str(each.platform) for each in index.manifests if each.platform})) or "-"
    raise ImageError(_NO_PLATFORM.format(wanted=wanted, found=shown(found)))


def written(config: Descriptor, layers: Sequence[Descriptor]) -> bytes:
    """Return the document of a manifest, always the same for the same blobs."""
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": config.to_json(),
        "layers": [layer.to_json() for layer in layers],
    }
    return json.dumps(document, separators=(",", ":")).encode()


def _digest(value: object) -> str:
    if not is_digest(value):
        raise malformed("config", f"diff_id {value!r}")
    return str(value)


def _list(
    value: Mapping[str, Any], name: str, length_max: int, parse_one: Callable[[Any], _T]
) -> tuple[_T, ...]:
    found = _is(value.get(name) or [], list, name, name)
    if len(found) > length_max:
        raise malformed(name, f"{len(found)} > {length_max}")
    return tuple(parse_one(item) for item in found)


def _string(value: Mapping[str, Any], name: str) -> str:
    found = value.get(name)
    return "" if found is None else _is(found, str, name, name)


def _strings_by_name(value: object, what: str) -> dict[str, str]:
    found = _is(value or {}, dict, what, what)
    return {str(name): _is(text, str, what, str(name)) for name, text in found.items()}


def _is(value: Any, kind: type[_T], what: str, name: str) -> _T:
    if not isinstance(value, kind):
        raise malformed(what, f"{name} {value!r}")
    return value


def malformed(what: str, why: str) -> ImageError:
    return ImageError(_MALFORMED.format(what=what, why=shown(why)))


_MALFORMED = Text(
    es="la imagen tiene un documento ({what}) que no se puede aceptar ({why}): consíguela de otra fuente",
    en="the image has a document ({what}) that cannot be accepted ({why}): get it from another source",
)
_NO_IMAGE = Text(
    es="esto no es una imagen de contenedor, sino {kind}: indica otra referencia",
    en="this is no container image but {kind}: name another reference",
)
_NO_PLATFORM = Text(
    es="la imagen no existe para {wanted}, solo para {found}: elige otra imagen",
    en="the image does not exist for {wanted}, only for {found}: choose another image",
)
