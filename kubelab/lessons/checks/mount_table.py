"""Which mount is seen at a path: of several over each other the topmost, and none that another one hides.

Source: fs/namei.c (path lookup goes on to the mount on a mount point until there is no more), proc(5) on
mountinfo. Paths are taken as they are written: symbolic links are not followed.
"""

from collections.abc import Iterator, Sequence, Set

from kubelab.lessons.observation import Mount

# What the root mount is mounted on; and, where a table shows only what is below a chroot, the mounts there.
_OUTSIDE = -1


def mount_at(mounts: Sequence[Mount], path: str) -> Mount | None:
    """Return the mount whose root directory is seen at *path*, from the root of the mount namespace."""
    path = clean(path)
    found = file_system_of(mounts, path)
    return found if found is not None and clean(found.point) == path else None


def file_system_of(mounts: Sequence[Mount], path: str) -> Mount | None:
    """Return the mount that what is seen at *path* lies on."""
    children = _children(mounts)
    current: Mount | None = None
    for prefix in _prefixes(clean(path)):
        while over := children.get((current.id if current else _OUTSIDE, prefix)):
            current = over
    return current


def clean(path: str) -> str:
    """Return the absolute path without doubled or trailing slashes."""
    return "/" + "/".join(part for part in path.split("/") if part not in ("", "."))


def join(root: str, path: str) -> str:
    """Return *path*, as a process with that root directory writes it, from the root of its mounts."""
    return clean(f"{root}/{path}")


def _children(mounts: Sequence[Mount]) -> dict[tuple[int, str], Mount]:
    """Return the mounts by that which they are mounted on, and where."""
    ids = {mount.id for mount in mounts}
    return {(_parent(mount, ids), clean(mount.point)): mount for mount in mounts}


def _parent(mount: Mount, ids: Set[int]) -> int:
    return mount.parent_id if mount.parent_id in ids and mount.parent_id != mount.id else _OUTSIDE


def _prefixes(path: str) -> Iterator[str]:
    """Yield "/", "/a", "/a/b" for "/a/b"."""
    yield "/"
    parts = path.strip("/").split("/")
    for count in range(1, len(parts) + 1):
        if path != "/":
            yield "/" + "/".join(parts[:count])
