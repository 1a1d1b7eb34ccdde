"""Types as structured-merge-diff's own tests have them, and an object that several managers write."""

from typing import Any

from kubelab.cluster.apply import ListType, MapType, Scalar, Type, fields, updater
from kubelab.cluster.apply.managed_fields import Manager, Owned
from kubelab.cluster.apply.versions import Version, Versions
from kubelab.cluster.objects import Object

STRING = Type(Scalar.STRING)
NUMERIC = Type(Scalar.NUMERIC)
BOOLEAN = Type(Scalar.BOOLEAN)


def struct(*, atomic: bool = False, **named: Type) -> Type:
    return Type(map=MapType(named, atomic=atomic))


def map_of(element: Type, *, atomic: bool = False) -> Type:
    return Type(map=MapType(element=element, atomic=atomic))


def atomic_list(element: Type = STRING) -> Type:
    return Type(list=ListType(element))


def set_of(element: Type = STRING) -> Type:
    return Type(list=ListType(element, atomic=False))


def list_by(element: Type, **keys: Any) -> Type:
    return Type(list=ListType(element, atomic=False, keys=keys))


ITEM = struct(name=STRING, value=NUMERIC)
ROOT = struct(
    numeric=NUMERIC,
    string=STRING,
    bool=BOOLEAN,
    set=set_of(),
    numbers=set_of(NUMERIC),
    sequence=atomic_list(),
    list=list_by(ITEM, name=None),
    labels=map_of(STRING),
    selector=map_of(STRING, atomic=True),
    struct=struct(name=STRING, value=NUMERIC),
    ports=list_by(struct(port=NUMERIC, protocol=STRING, name=STRING), port=None, protocol="TCP"),
)


class Written:
    """An object of *type_* and who owns what in it."""

    def __init__(self, type_: Type = ROOT) -> None:
        self.type = type_
        self.object: Object = {}
        self.owners: dict[Manager, Owned] = {}

    @property
    def versions(self) -> Versions:
        return Versions(Version("v1", self.type, {}))

    def apply(self, manager: str, config: Object, *, force: bool = False) -> None:
        new, owners = updater.apply(
            self.versions, self.object, config, self.owners, Manager(manager, "Apply"), force=force
        )
        self.object, self.owners = new, dict(owners)

    def update(self, manager: str, new: Object) -> None:
        others, written = updater.update(self.versions, self.object, new, self.owners)
        self.object, self.owners = new, dict(others)
        who = Manager(manager, "Update", "v1")
        before = self.owners[who].fields if who in self.owners else {}
        if owned := fields.union(before, written):
            self.owners[who] = Owned(owned, "v1")

    def owned(self, manager: str) -> set[str]:
        """Return the paths of what *manager* owns."""
        sets = [owned.fields for who, owned in self.owners.items() if who.name == manager]
        return {fields.shown(path) for each in sets for path in fields.paths(each)}
