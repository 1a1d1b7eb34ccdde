"""All namespaces of this host that processes are in, as `lsns` lists them: whose they are and what is above.

Source: ioctl_ns(2), namespaces(7); util-linux, sys-utils/lsns.c. Of what is above this process's own user and
pid namespaces the kernel tells nothing, and of other people's processes root alone is told. One look takes
about 0.1 ms for each process: from an event loop, by `threads.in_thread`.
Left out: namespaces that only a mount or a descriptor keeps alive, unless others are below them.
"""
# ruff: noqa: PTH208 - as everywhere here, paths of /proc are text

import errno
import fcntl
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux.namespaces import NAMESPACE_TYPES, NamespaceType, namespace_id, open_namespace

_NS_GET_USERNS, _NS_GET_PARENT, _NS_GET_OWNER_UID = 0xB701, 0xB702, 0xB704
_HIERARCHICAL: tuple[NamespaceType, ...] = ("pid", "user")
_UNTOLD = (errno.EPERM, errno.EINVAL, errno.ENOTTY)


@dataclass(frozen=True, slots=True)
class Namespace:
    """`pid` is the lowest of its `processes`; 0 if there is none in it itself. `parent` (of pid and user
    namespaces) and `user_namespace`, which it belongs to, are ids; 0 where the kernel does not tell.
    `owner_uid` is who made that user namespace; of a user namespace, who made itself."""

    type: NamespaceType
    id: int
    pid: int
    processes: int
    parent: int
    user_namespace: int
    owner_uid: int | None


def list_namespaces(types: Iterable[NamespaceType] = NAMESPACE_TYPES) -> tuple[Namespace, ...]:
    """Return the namespaces of these types, in the order of the types and their ids."""
    return tuple(namespace for type_ in types for namespace in _of_type(type_))


def _of_type(type_: NamespaceType) -> list[Namespace]:
    counts: Counter[int] = Counter()
    found: dict[int, Namespace] = {}
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdecimal()):
        if id_ := _id_of(pid, type_):
            counts[id_] += 1
            if id_ not in found or not found[id_].pid:
                found |= {ns.id: ns for ns in _with_those_above(pid, type_) if ns.id not in found or ns.pid}
    return [_counted(found[id_], counts[id_]) for id_ in sorted(found)]


def _id_of(pid: int, type_: NamespaceType) -> int:
    try:
        return namespace_id(pid, type_)
    except (ProcessLookupError, PermissionError):
        return 0


def _counted(namespace: Namespace, processes: int) -> Namespace:
    n = namespace
    return Namespace(n.type, n.id, n.pid, processes, n.parent, n.user_namespace, n.owner_uid)


def _with_those_above(pid: int, type_: NamespaceType) -> Iterator[Namespace]:
    """Yield the process's namespace, and those above it, in which there need be nobody."""
    try:
        fd = open_namespace(pid, type_)
    except KernelError:  # It has ended meanwhile.
        return
    while fd >= 0:
        above = _related(fd, _NS_GET_PARENT) if type_ in _HIERARCHICAL else -1
        try:
            yield _describe(fd, type_, pid, above)
        finally:
            os.close(fd)
        fd, pid = above, 0


def _describe(fd: int, type_: NamespaceType, pid: int, above: int) -> Namespace:
    parent = os.fstat(above).st_ino if above >= 0 else 0
    owner = _related(fd, _NS_GET_USERNS)
    try:
        user_namespace = os.fstat(owner).st_ino if owner >= 0 else 0
        uid = _owner_uid(fd if type_ == "user" else owner)
        return Namespace(type_, os.fstat(fd).st_ino, pid, 0, parent, user_namespace, uid)
    finally:
        if owner >= 0:
            os.close(owner)


def _related(fd: int, request: int) -> int:
    """Return a descriptor of the namespace above, or of the user namespace that owns it; -1 if it is none of
    ours to see."""
    try:
        return fcntl.ioctl(fd, request)
    except OSError as error:
        if error.errno in _UNTOLD:
            return -1
        raise KernelError("ioctl", f"namespace {hex(request)}", error.errno or 0) from None


def _owner_uid(fd: int) -> int | None:
    if fd < 0:
        return None
    answer = bytearray(4)
    try:
        fcntl.ioctl(fd, _NS_GET_OWNER_UID, answer)
    except OSError as error:
        if error.errno in _UNTOLD:
            return None
        raise KernelError("ioctl", "NS_GET_OWNER_UID", error.errno or 0) from None
    return int.from_bytes(answer, "little")
