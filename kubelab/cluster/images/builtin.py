"""The images of the course: had without any network, made of files that come with the lab.

`kubelab/shell` has no layers: it is a view of the tools of the machine that a container is on (its /usr).
The others are that view and two real layers: the skeleton of a root, and a program for the machine's python3.
Their archives are written here, byte by byte the same on every host with the same kind of /usr, so that their
digests can be compared.
Left out: hosts without python3 in /usr, where only kubelab/shell runs.
"""

import hashlib
import importlib.resources
import io
import json
import os
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from kubelab.cluster.images import manifest
from kubelab.cluster.images.manifest import Descriptor, Platform
from kubelab.cluster.images.reference import Reference, parse

NAMESPACE = "docker.io/kubelab/"
VIEW_LABEL = "lab.kubelab.view"  # On an image that shows the machine's /usr.
_CREATED = "2026-01-01T00:00:00Z"
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PYTHON = ("python3", "-I", "-S")
_PROGRAMS = "/opt/kubelab"
# Stays until it is told to end. A plain `sleep` as pid 1 would not notice SIGTERM: the kernel delivers to pid
# 1 of a namespace only the signals that it handles, and the pod would take its whole grace period to go.
_STAY = ("sh", "-c", "trap 'exit 0' TERM INT; sleep infinity & wait")

_DIRECTORIES = "dev etc home mnt opt proc root run srv sys tmp usr var var/log var/tmp".split()  # noqa: SIM905
_MODES = {"root": 0o700, "tmp": 0o1777, "var/tmp": 0o1777}
_FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n",
    "etc/group": "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
}
_MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_SHOWN_OF_ETC = ("alternatives", "ld.so.cache", "ssl/certs", "terminfo", "protocols", "services")


@dataclass(frozen=True, slots=True)
class Recipe:
    """`program`: the file of `programs` that it runs; none, then it has no layers."""

    name: str
    argv: tuple[str, ...]
    program: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()


def _runs(program: str) -> tuple[str, ...]:
    return (*_PYTHON, f"{_PROGRAMS}/{program}")


RECIPES = (
    Recipe("kubelab/shell:latest", (), cmd=_STAY),
    Recipe("kubelab/web:1", _runs("web.py"), "web.py", {"VERSION": "1"}, ("8080/tcp",)),
    Recipe("kubelab/web:2", _runs("web.py"), "web.py", {"VERSION": "2"}, ("8080/tcp",)),
    Recipe("kubelab/load:latest", _runs("load.py"), "load.py", cmd=("--help",)),
    Recipe("kubelab/crash:latest", _runs("crash.py"), "crash.py"),
)


@dataclass(frozen=True, slots=True)
class Built:
    """The blobs of an image, by digest, and which of them is its manifest."""

    reference: Reference
    descriptor: Descriptor
    blobs: Mapping[str, bytes]


def is_ours(reference: Reference) -> bool:
    """Return whether the name is one that the lab answers for, and no registry."""
    return str(reference).startswith(NAMESPACE)


def references() -> tuple[Reference, ...]:
    return tuple(parse(recipe.name) for recipe in RECIPES)


@cache
def build(reference: Reference) -> Built | None:
    """Return the image; None if the lab has none of that name."""
    recipe = next((each for each in RECIPES if parse(each.name) == reference), None)
    if recipe is None:
        return None
    layers = [_skeleton(), _program(recipe.program)] if recipe.program else []
    config = _config(recipe, [_digest(layer) for layer in layers])
    blobs = {_digest(blob): blob for blob in (config, *layers)}
    document = manifest.written(
        Descriptor(manifest.OCI_CONFIG, _digest(config), len(config)),
        [Descriptor(manifest.OCI_LAYER, _digest(layer), len(layer)) for layer in layers],
    )
    blobs[_digest(document)] = document
    return Built(reference, Descriptor(manifest.OCI_MANIFEST, _digest(document), len(document)), blobs)


@cache
def binds() -> tuple[str, ...]:
    """Return what a view shows of its machine: tools, libraries, and what those need of /etc (their
    alternatives, the loader's cache, certificates, terminals). Looked for once: a container is started every
    few milliseconds, and what it asks for is the same for all."""
    apart = tuple(f"/{name}" for name in _MERGED if Path(f"/{name}").is_dir() and not _is_merged(name))
    of_etc = (f"/etc/{name}" for name in _SHOWN_OF_ETC)
    return ("/usr", *apart, *(path for path in of_etc if Path(path).exists()))


def _is_merged(name: str) -> bool:
    return Path(f"/{name}").is_symlink()


def _config(recipe: Recipe, diff_ids: list[str]) -> bytes:
    platform = Platform.of_machine(os.uname().machine)
    env = [_PATH, *(f"{name}={value}" for name, value in recipe.env.items())]
    config: dict[str, object] = {
        "Entrypoint": list(recipe.argv),
        "Env": env,
        "Labels": {VIEW_LABEL: "usr", "org.opencontainers.image.title": recipe.name},
    }
    if recipe.cmd:
        config["Cmd"] = list(recipe.cmd)
    if recipe.ports:
        config["ExposedPorts"] = {port: {} for port in recipe.ports}
    document = {
        "created": _CREATED,
        "architecture": platform.architecture,
        "os": platform.os,
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": _history(recipe),
    }
    return json.dumps(document, separators=(",", ":")).encode()


def _history(recipe: Recipe) -> list[dict[str, object]]:
    layers = ["the skeleton of a root; /usr is the machine's", f"COPY {recipe.program} {_PROGRAMS}/"]
    steps: list[dict[str, object]] = [
        {"created": _CREATED, "created_by": step} for step in (layers if recipe.program else [])
    ]
    rest = [f"ENV {name}={value}" for name, value in recipe.env.items()]
    rest += [f"EXPOSE {port}" for port in recipe.ports]
    rest += [f"ENTRYPOINT {json.dumps(recipe.argv)}"]
    rest += [f"CMD {json.dumps(recipe.cmd)}"] if recipe.cmd else []
    return steps + [{"created": _CREATED, "created_by": step, "empty_layer": True} for step in rest]


def _skeleton() -> bytes:
    entries = [_directory(name, _MODES.get(name, 0o755)) for name in _DIRECTORIES]
    entries += [_link("var/run", "/run")]
    entries += [_link(name, str(Path(f"/{name}").readlink())) for name in _MERGED if _is_merged(name)]
    return _archive(entries, {name: content.encode() for name, content in _FILES.items()})


def _program(name: str) -> bytes:
    source = importlib.resources.files("kubelab.cluster.images.programs") / name
    entries = [_directory("opt", 0o755), _directory("opt/kubelab", 0o755)]
    return _archive(entries, {f"{_PROGRAMS[1:]}/{name}": source.read_bytes()})


def _directory(name: str, mode: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.mode = tarfile.DIRTYPE, mode
    return info


def _link(name: str, target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = tarfile.SYMTYPE, target, 0o777
    return info


def _archive(entries: list[tarfile.TarInfo], files: Mapping[str, bytes]) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for entry in entries:
            archive.addfile(entry)
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return written.getvalue()


def _digest(blob: bytes) -> str:
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"
