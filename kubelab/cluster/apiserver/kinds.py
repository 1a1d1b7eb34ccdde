"""The one table of kinds: routes, discovery, schemas, printed tables, selectors and validation follow it.

A kind is added by an entry in the table of its area and, where it has rules of its own, a module with its
defaults and validation (`configmaps.py` is a short one). Custom resources come and go while the server runs.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

from kubelab.cluster.apiserver import core_kinds, crd_kinds, policy_kinds, review_kinds, workload_kinds
from kubelab.cluster.apiserver.kind import Kind
from kubelab.cluster.objects import Resource

KINDS: tuple[Kind, ...] = (
    *core_kinds.KINDS,
    *workload_kinds.KINDS,
    *policy_kinds.KINDS,
    *review_kinds.KINDS,
    *crd_kinds.KINDS,
)


class Catalogue:
    """The kinds that one server serves: those of the table, and custom resources.

    `all` is a new tuple whenever something changed, so that what is made of it can be kept by its identity.
    """

    def __init__(self, kinds: tuple[Kind, ...] = KINDS) -> None:
        self.all: tuple[Kind, ...] = ()
        self.generation = 0
        self._farewells: dict[Resource, set[Callable[[], None]]] = {}
        self._set(kinds)

    def _set(self, kinds: tuple[Kind, ...]) -> None:
        self.all = kinds
        self.generation += 1
        self._by_resource = {kind.resource: kind for kind in kinds}
        by_path = {_path_of(kind.resource): kind for kind in kinds}
        self.by_path: Mapping[tuple[str, str, str], Kind] = MappingProxyType(by_path)

    def add(self, *kinds: Kind) -> None:
        """Serve *kinds*, each in place of one of the same group, version and plural.

        To watches that is the same kind; `remove` it first, when it is not.
        """
        paths = {_path_of(kind.resource) for kind in kinds}
        self._set((*(each for each in self.all if _path_of(each.resource) not in paths), *kinds))

    def remove(self, *resources: Resource) -> None:
        paths = {_path_of(resource) for resource in resources}
        self._set(tuple(each for each in self.all if _path_of(each.resource) not in paths))
        for resource in resources:
            for tell in tuple(self._farewells.get(resource, ())):
                tell()

    @contextmanager
    def told_of_removal(self, resource: Resource, tell: Callable[[], None]) -> Iterator[None]:
        """Call *tell* if *resource* is removed during the block, even if it is added anew at once."""
        farewells = self._farewells.setdefault(resource, set())
        farewells.add(tell)
        try:
            yield
        finally:
            farewells.discard(tell)
            if not farewells:
                self._farewells.pop(resource, None)

    def get(self, resource: Resource) -> Kind | None:
        return self._by_resource.get(resource)

    def __getitem__(self, resource: Resource) -> Kind:
        return self._by_resource[resource]


def _path_of(resource: Resource) -> tuple[str, str, str]:
    return resource.group, resource.version, resource.plural


BY_RESOURCE: Mapping[Resource, Kind] = MappingProxyType({kind.resource: kind for kind in KINDS})
