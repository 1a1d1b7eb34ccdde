"""The root of a container: layers of an image under a tmpfs, a directory, or a view of this machine's /usr.

Source: OCI runtime specification, config.md, Root; Documentation/filesystems/overlayfs.rst; containerd's
overlayfs snapshotter. What the container writes stays on a tmpfs of a fixed size, for upper directories on a
disk slow down tenfold under churn; it goes with the container.
In the view, libraries and tools are the machine's, read-only; of /etc it has what they need, and no more.
"""
# ruff: noqa: PTH101, PTH102, PTH103, PTH110, PTH112, PTH114, PTH115, PTH123, PTH211, SIM905

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kubelab.cluster.errors import KernelError
from kubelab.cluster.images import overlay
from kubelab.cluster.linux import detached_mounts, syscalls
from kubelab.cluster.linux.detached_mounts import ATTR_IDMAP, opened
from kubelab.cluster.linux.mounts import bind
from kubelab.cluster.linux.syscalls import MS_NODEV, mount, set_mount_attributes

ROOT = "/run/kubelab/root"
DIRECTORIES = "dev etc home mnt opt proc root run srv sys tmp usr var var/log var/tmp".split()
MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
# What programs of /usr need of /etc: their alternatives (vi, awk), the loader's cache, certificates,
# terminals.
SHOWN_OF_ETC = ("alternatives", "ld.so.cache", "ssl/certs", "terminfo", "protocols", "services")
ETC = {
    "passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n",
    "group": "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n",
    "nsswitch.conf": "hosts: files dns\n",
}


@dataclass(frozen=True, slots=True)
class Rootfs:
    """`lowers`: the image's layers, uppermost first, under a tmpfs of `disk_bytes`; `layers_fd`: the lent
    mount that they are in (see `images`), -1 if they can be seen as it is. `path`: this directory as it is.
    None of them: the view of /usr."""

    lowers: tuple[str, ...] = ()
    layers_fd: int = -1
    disk_bytes: int = 64 * 1024 * 1024
    path: str = ""


def mount_root(rootfs: Rootfs, userns_fd: int = -1, covered: frozenset[str] = frozenset()) -> str:
    """Mount the root, so that it is a mount point of its own; return where. In the view nothing is shown
    where a mount will cover it, as those of the image do.

    Raises:
        KernelError, OSError: it cannot be made.
    """
    if rootfs.path:
        with opened(detached_mounts.clone(rootfs.path, recursive=True)) as tree, _open(rootfs.path) as target:
            detached_mounts.attach(tree, target, rootfs.path)
        return rootfs.path
    if rootfs.layers_fd >= 0:
        overlay.attach(rootfs.layers_fd)
    options = f"mode=0755,size={rootfs.disk_bytes}"
    mount("kubelab/root", ROOT, "tmpfs", MS_NODEV, options)
    if not rootfs.lowers:
        _make_view(covered)
        return ROOT
    for name in ("upper", "work", "merged"):
        os.mkdir(f"{ROOT}/{name}")
    with contextlib.ExitStack() as stack:
        lowers = [stack.enter_context(_lower(each, userns_fd)) for each in rootfs.lowers]
        overlay.mount_root(f"{ROOT}/merged", lowers, f"{ROOT}/upper", f"{ROOT}/work")
    return f"{ROOT}/merged"


@contextlib.contextmanager
def _open(path: str) -> Iterator[int]:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError as error:
        raise KernelError("open", path, error.errno or 0) from None
    with opened(fd):
        yield fd


@contextlib.contextmanager
def _lower(path: str, userns_fd: int) -> Iterator[str]:
    """Yield where the layer is with the owners that the user namespace gives it, if its file system can: else
    it shows owners that nobody in the container is."""
    if userns_fd < 0:
        yield path
        return
    with opened(detached_mounts.clone(path, recursive=False)) as tree:
        try:
            detached_mounts.set_attributes(tree, ATTR_IDMAP, userns_fd=userns_fd)
        except KernelError:
            yield path
            return
        yield f"/proc/self/fd/{tree}"


def _make_view(covered: frozenset[str]) -> None:
    for directory in DIRECTORIES:
        os.mkdir(f"{ROOT}/{directory}")
    for directory in ("tmp", "var/tmp"):
        os.chmod(f"{ROOT}/{directory}", 0o1777)  # noqa: S103 - as on every system
    os.chmod(f"{ROOT}/root", 0o700)
    os.symlink("/run", f"{ROOT}/var/run")
    if "/usr" not in covered:
        bind("/usr", f"{ROOT}/usr", read_only=True)
    _show_merged_directories()
    for name, content in ETC.items():
        with open(f"{ROOT}/etc/{name}", "w", encoding="utf-8") as file:
            file.write(content)
    for name in SHOWN_OF_ETC:
        if os.path.exists(f"/etc/{name}"):
            _show_of_etc(name, is_covered=f"/etc/{name}" in covered)


def _show_merged_directories() -> None:
    for name in MERGED:
        if os.path.islink(f"/{name}"):
            os.symlink(os.readlink(f"/{name}"), f"{ROOT}/{name}")
        elif os.path.isdir(f"/{name}"):
            os.mkdir(f"{ROOT}/{name}")
            bind(f"/{name}", f"{ROOT}/{name}", read_only=True)


def _show_of_etc(name: str, *, is_covered: bool) -> None:
    source, target = f"/etc/{name}", f"{ROOT}/etc/{name}"
    if os.path.isdir(source):
        os.makedirs(target)
    else:
        with open(target, "wb"):
            pass
    if not is_covered:
        bind(source, target, read_only=True)


def write_files(root_fd: int, files: Mapping[str, str]) -> None:
    """Write what the container has of its own (/etc/hosts and the like) into its root; a symlink leads
    nowhere outside.

    Raises:
        KernelError, OSError: a file cannot be written.
    """
    for path, content in files.items():
        os.close(detached_mounts.make_within(root_fd, path, directory=False))
        with open(detached_mounts.open_within(root_fd, path, os.O_WRONLY | os.O_TRUNC), "wb") as file:
            file.write(content.encode())
            os.fchmod(file.fileno(), 0o644)


def make_read_only(path: str = "/") -> None:
    set_mount_attributes(path, syscalls.MOUNT_ATTR_RDONLY, recursive=False)
