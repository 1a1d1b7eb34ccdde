"""A mount's options in the words of mount(8) and the OCI runtime specification, as what the kernel takes.

Source: runtime-spec, config.md, Linux mount options; runc, libcontainer/specconv/spec_linux.go. What is no
word of these is data for the file system. Pure.
"""

from dataclasses import dataclass, field

from kubelab.cluster.linux.detached_mounts import (
    ATTR_ATIME,
    ATTR_NOATIME,
    ATTR_NODEV,
    ATTR_NODIRATIME,
    ATTR_NOEXEC,
    ATTR_NOSUID,
    ATTR_NOSYMFOLLOW,
    ATTR_RDONLY,
    ATTR_RELATIME,
    ATTR_STRICTATIME,
    PRIVATE,
    SHARED,
    SLAVE,
    UNBINDABLE,
)

# Set, cleared.
_ATTRIBUTES = {
    "ro": (ATTR_RDONLY, 0),
    "rw": (0, ATTR_RDONLY),
    "nosuid": (ATTR_NOSUID, 0),
    "suid": (0, ATTR_NOSUID),
    "nodev": (ATTR_NODEV, 0),
    "dev": (0, ATTR_NODEV),
    "noexec": (ATTR_NOEXEC, 0),
    "exec": (0, ATTR_NOEXEC),
    "nodiratime": (ATTR_NODIRATIME, 0),
    "diratime": (0, ATTR_NODIRATIME),
    "nosymfollow": (ATTR_NOSYMFOLLOW, 0),
    "symfollow": (0, ATTR_NOSYMFOLLOW),
    "relatime": (ATTR_RELATIME, ATTR_ATIME),
    "norelatime": (ATTR_STRICTATIME, ATTR_ATIME),
    "noatime": (ATTR_NOATIME, ATTR_ATIME),
    "atime": (ATTR_RELATIME, ATTR_ATIME),
    "strictatime": (ATTR_STRICTATIME, ATTR_ATIME),
    "nostrictatime": (ATTR_RELATIME, ATTR_ATIME),
}
_PROPAGATIONS = {"private": PRIVATE, "slave": SLAVE, "shared": SHARED, "unbindable": UNBINDABLE}
_WITHOUT_MEANING = frozenset({"defaults", "async", "noacl", "loud", "nomand", "noiversion", "nolazytime"})


@dataclass(slots=True)
class MountOptions:
    """`recursive_*`: for all mounts below as well (rro and the like)."""

    set: int = 0
    clear: int = 0
    recursive_set: int = 0
    recursive_clear: int = 0
    bind: bool = False
    recursive: bool = False
    propagation: int = 0
    propagation_recursive: bool = False
    idmap: bool = False
    idmap_recursive: bool = False
    copy_up: bool = False
    data: list[str] = field(default_factory=list)


def parse_options(options: tuple[str, ...]) -> MountOptions:
    """Return what *options* ask for; later ones win."""
    parsed = MountOptions()
    for option in options:
        _apply(parsed, option)
    return parsed


def propagation_of(word: str) -> tuple[int, bool]:
    """Return the kernel's propagation and whether it is recursive; 0 if *word* is none."""
    if word in _PROPAGATIONS:
        return _PROPAGATIONS[word], False
    return _PROPAGATIONS.get(word.removeprefix("r"), 0), True


def _apply(parsed: MountOptions, option: str) -> None:
    if option in _ATTRIBUTES:
        add, remove = _ATTRIBUTES[option]
        parsed.set, parsed.clear = parsed.set & ~remove | add, parsed.clear & ~add | remove
    elif option[:1] == "r" and option[1:] in _ATTRIBUTES:
        add, remove = _ATTRIBUTES[option[1:]]
        parsed.recursive_set = parsed.recursive_set & ~remove | add
        parsed.recursive_clear = parsed.recursive_clear & ~add | remove
    elif propagation_of(option)[0]:
        parsed.propagation, parsed.propagation_recursive = propagation_of(option)
    elif option in ("bind", "rbind"):
        parsed.bind, parsed.recursive = True, option == "rbind"
    elif option in ("idmap", "ridmap"):
        parsed.idmap, parsed.idmap_recursive = True, option == "ridmap"
    elif option == "tmpcopyup":
        parsed.copy_up = True
    elif option and option not in _WITHOUT_MEANING:
        parsed.data.append(option)
