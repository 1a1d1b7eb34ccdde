"""Which mount is seen at a path: of several over each other the topmost, and none that another one hides.

Source: fs/namei.c (path lookup goes on to the mount on a mount point until there is no more), proc(5) on
mountinfo. Paths are taken as they are written: symbolic links are not followed.
"""

from collections.abc import Iterable, Iterator, Sequence

from kubelab.lessons.observation import Mount


def mount_at(mounts: Sequence[Mount], path: str) -> Mount | None:
    """Return the mount whose root directory is seen at *path*, from the root of the mount namespace."""
    path = clean(path)
    found = file_system_of(mounts, path)
    return found if found is not None and clean(found.point) == path else None


def file_system_of(mounts: Sequence[Mount], path: str) -> Mount | None:
    """Return the mount that what is seen at *path* lies on."""
    current = _root(mounts)
    if current is None:
        return None
    children = _children(mounts)
    for prefix in _prefixes(clean(path)):
        while over := children.get((current.id, prefix)):
            current = over
    return current


def clean(path: str) -> str:
    """Return the absolute path without doubled or trailing slashes."""
    return "/" + "/".join(part for part in path.split("/") if part not in ("", "."))


def join(root: str, path: str) -> str:
    """Return *path*, as a process with that root directory writes it, from the root of its mounts."""
    return clean(f"{root}/{path}")


def _root(mounts: Sequence[Mount]) -> Mount | None:
    """Return the mount below all others: its own parent, or that of none in the table."""
    ids = {mount.id for mount in mounts}
    roots = [mount for mount in mounts if mount.parent_id == mount.id or mount.parent_id not in ids]
    return min(roots, key=lambda mount: len(clean(mount.point)), default=None)


def _children(mounts: Iterable[Mount]) -> dict[tuple[int, str], Mount]:
    return {(mount.parent_id, clean(mount.point)): mount for mount in mounts if mount.parent_id != mount.id}


def _prefixes(path: str) -> Iterator[str]:
    """Yield "/", "/a", "/a/b" for "/a/b"."""
    yield "/"
    parts = path.strip("/").split("/")
    for count in range(1, len(parts) + 1):
        if path != "/":
            yield "/" + "/".join(parts[:count])
