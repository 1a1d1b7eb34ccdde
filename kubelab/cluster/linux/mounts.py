"""Mounts: the table of a process, and the few compositions that roots of machines and containers are made of.

Source: mount(2), mount_setattr(2), pivot_root(2), proc(5) on mountinfo.
"""
# ruff: noqa: PTH123 - the shim imports this, and pathlib is slow to

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass

from kubelab.cluster.linux.syscalls import (
    MNT_DETACH,
    MOUNT_ATTR_RDONLY,
    MS_BIND,
    MS_PRIVATE,
    MS_REC,
    mount,
    pivot_root,
    set_mount_attributes,
    umount,
)

_ESCAPE = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class MountEntry:
    """One line of mountinfo. `root` is the directory of the file system that is mounted at `target`."""

    root: str
    target: str
    kind: str
    source: str
    options: tuple[str, ...]


def parse_mountinfo(lines: Iterable[str]) -> tuple[MountEntry, ...]:
    return tuple(_entry(line) for line in lines)


def mount_table(pid: int | str = "thread-self") -> tuple[MountEntry, ...]:
    with open(f"/proc/{pid}/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
        return parse_mountinfo(lines)


def _entry(line: str) -> MountEntry:
    fields = line.rstrip("\n").split(" ")  # The source may be empty.
    separator = fields.index("-")
    kind, source, options = fields[separator + 1 : separator + 4]
    return MountEntry(_unescape(fields[3]), _unescape(fields[4]), kind, source, tuple(options.split(",")))


def _unescape(path: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), path)


def bind(source: str, target: str, *, read_only: bool = False) -> None:
    """Show *source*, with the mounts below it, at *target*."""
    mount(source, target, flags=MS_BIND | MS_REC)
    if read_only:
        set_mount_attributes(target, MOUNT_ATTR_RDONLY)


def make_private() -> None:
    """Stop mounts from being passed on between this mount namespace and others."""
    mount("none", "/", flags=MS_REC | MS_PRIVATE)


def enter_root(new_root: str) -> None:
    """Make *new_root*, a mount point, the root of this mount namespace and drop the old one.

    Source: pivot_root(2), NOTES: `pivot_root(".", ".")` stacks the old root on the new one; no directory is
    needed.
    """
    os.chdir(new_root)
    pivot_root(".", ".")
    umount(".", MNT_DETACH)
    os.chdir("/")
