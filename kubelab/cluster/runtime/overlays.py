"""Overlays on a machine's own tmpfs: parts of the host that can be written to without harm to it.

Every layer lies in a directory of the stage, a tmpfs in the machine's mount namespace that is covered once
the machine has its root. In a user namespace overlays keep their notes in `user.` attributes (`userxattr`),
and a lower directory may have no mount of the host's below it.
Source: Documentation/filesystems/overlayfs.rst; fs/namespace.c, clone_private_mount.
"""
# ruff: noqa: PTH101, PTH103, PTH116, PTH208

import contextlib
import os

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux import user_namespace
from kubelab.cluster.linux.mounts import bind
from kubelab.cluster.linux.syscalls import MS_NODEV, MS_RDONLY, mount

STAGE = "/tmp"  # noqa: S108 - exists on every host; covered in this mount namespace only
ROOT = f"{STAGE}/root"


def overlay(lower: str, target: str) -> str:
    """Show *lower* at *target*, writable; return the directory that is written into."""
    layer = _new_layer("upper", "work")
    os.makedirs(target, exist_ok=True)
    os.chmod(f"{layer}/upper", os.stat(lower).st_mode & 0o7777)
    options = f"lowerdir={lower},upperdir={layer}/upper,workdir={layer}/work"
    mount("overlay", target, "overlay", MS_NODEV, options + _attributes())
    return f"{layer}/upper"


def overlay_or_bind(path: str) -> str | None:
    """Show the host's *path* in the root, by an overlay if possible; return the directory that is written
    into, if any."""
    try:
        return overlay(path, ROOT + path)
    except (KernelError, OSError):
        bind_if_possible(path)
        return None


def bind_if_possible(path: str) -> None:
    """Some file systems are their user's alone (FUSE), or their server is gone: the lab can do without."""
    with contextlib.suppress(KernelError):
        bind(path, ROOT + path, read_only=True)


def read_only_view(directory: str) -> str | None:
    """Return where *directory* is seen through a read-only overlay, if there can be one.

    An overlay without an upper directory needs two lower ones: the second is empty.
    """
    layer = _new_layer("view", "nothing")
    options = f"lowerdir={directory}:{layer}/nothing{_attributes()}"
    try:
        mount("overlay", f"{layer}/view", "overlay", MS_NODEV | MS_RDONLY, options)
    except KernelError:
        return None
    return f"{layer}/view"


def _new_layer(*directories: str) -> str:
    layers = f"{STAGE}/layers"
    os.makedirs(layers, exist_ok=True)
    layer = f"{layers}/{len(os.listdir(layers))}"
    for name in directories:
        os.makedirs(f"{layer}/{name}")
    return layer


def _attributes() -> str:
    return ",userxattr" if user_namespace.is_nested() else ""
