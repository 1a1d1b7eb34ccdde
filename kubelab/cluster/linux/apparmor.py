"""What AppArmor keeps this program from, and the one command that mends it.

The kernel tells the profile that a process is under in a line: `unconfined`, or `docker-default (enforce)`.
It tells it in AppArmor's own directory of attributes (since Linux 5.8) and in the file that all such modules
share, which belongs to whichever came first.
Source: security/apparmor/lsm.c and label.c (apparmor_getprocattr, aa_label_printk), apparmorfs.c (.remove);
Documentation/admin-guide/LSM/apparmor.rst; docker(1), --security-opt.
Left out: SELinux, Smack.
"""
# ruff: noqa: PTH123 - the shim imports this, and pathlib is slow to

import errno
import re
from collections.abc import Callable
from dataclasses import dataclass

from kubelab.language import Text

ENABLED = "/sys/module/apparmor/parameters/enabled"
OWN = "/proc/thread-self/attr/apparmor/current"
SHARED = "/proc/thread-self/attr/current"
REMOVE = "/sys/kernel/security/apparmor/.remove"
_LINE = re.compile(r"(?P<profile>.+) \((?P<mode>\w+)\)")
_HARMLESS = ("complain", "unconfined")
# What engines put their containers under: docker and podman, containerd, CRI-O, LXC and Incus.
_OF_CONTAINERS = re.compile(r"docker-|containers-default-|cri-containerd|crio-default|lxc-|lxd-|incus-")

Read = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Confinement:
    """The profile that this program is under, and its mode."""

    profile: str
    mode: str

    @property
    def forbids(self) -> bool:
        return self.mode not in _HARMLESS


def read(path: str) -> str:
    """Return the text of the kernel's file, "" where there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def confinement(read: Read = read) -> Confinement | None:
    """Return what this thread is under; None without AppArmor, and where no profile is meant for it."""
    if read(ENABLED).strip() != "Y":
        return None
    line = (read(OWN) or read(SHARED)).rstrip("\0\n")
    found = _LINE.fullmatch(line)
    return Confinement(found["profile"], found["mode"]) if found else None


def mend(error: int, read: Read = read) -> Text | None:
    """Return what to do about a refusal with that errno, if it can be a profile's."""
    found = confinement(read) if error in (errno.EPERM, errno.EACCES) else None
    if found is None or not found.forbids:
        return None
    told = _MEND_CONTAINER if _OF_CONTAINERS.match(found.profile) else _MEND_PROFILE
    return told.format(profile=found.profile, remove=REMOVE)


_MEND_CONTAINER = Text(
    es="el perfil de AppArmor {profile} lo impide: arranca el contenedor en que estás con --security-opt "
    "apparmor=unconfined",
    en="AppArmor's profile {profile} prevents it: start the container that you are in with --security-opt "
    "apparmor=unconfined",
)
_MEND_PROFILE = Text(
    es="el perfil de AppArmor {profile} lo impide; esto lo retira hasta el próximo arranque: "
    "printf %s '{profile}' | sudo tee {remove}",
    en="AppArmor's profile {profile} prevents it; this takes it away until the next boot: "
    "printf %s '{profile}' | sudo tee {remove}",
)
