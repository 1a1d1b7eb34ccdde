"""What an object's write adds to its transaction for the things that it alone may hold (`kind.Claims`)."""

from collections.abc import Sequence

from kubelab.cluster.apiserver.kind import Kind
from kubelab.cluster.objects import Object
from kubelab.cluster.store.protocol import Compare, Delete, Put

Writes = list[Put | Delete]


def claiming(
    kind: Kind, new: Object | None, old: Object | None, key: bytes
) -> tuple[Sequence[Compare], Writes]:
    """Return what must hold, and what is written, when *old* becomes *new* (None: it is not there)."""
    if kind.claims is None:
        return (), []
    wanted = kind.claims.held(new) if new is not None else frozenset()
    had = kind.claims.held(old) if old is not None else frozenset()
    taken, left = sorted(wanted - had), sorted(had - wanted)
    writes: Writes = [Put(claim, key) for claim in taken]
    return [Compare(claim, 0) for claim in taken], [*writes, *map(Delete, left)]
