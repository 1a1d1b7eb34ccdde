"""What the server knows of one kind of object; everything that it does with objects follows it.

Source: kubernetes, staging/src/k8s.io/apiserver/pkg/registry/rest/{create,update,delete}.go (the strategies).
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from kubelab.cluster.apiserver import columns
from kubelab.cluster.apiserver.caller import Caller
from kubelab.cluster.apiserver.fields import Check, FieldError, dns_subdomain
from kubelab.cluster.objects import (
    ENDPOINTS,
    NODES,
    REPLICATIONCONTROLLERS,
    SERVICES,
    Object,
    Resource,
)
from kubelab.cluster.store.protocol import Store

if TYPE_CHECKING:
    from kubelab.cluster.apiserver.registry import Registry

_STORED_AS = {  # Names that are older than those of the resources.
    ENDPOINTS: "services/endpoints",
    NODES: "minions",
    REPLICATIONCONTROLLERS: "controllers",
    SERVICES: "services/specs",
}

Act = Callable[["Registry", "Call"], Awaitable[Object]]


@dataclass(frozen=True, slots=True)
class Call:
    """A document that was POSTed: to a subresource of the object at `namespace` and `name`, or for review."""

    kind: "Kind"
    namespace: str
    name: str
    body: Object
    caller: Caller
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Write:
    """Who writes an object, or that part of it which `subresource` stands for, and when.

    With `applied` the new object comes of a configuration, and tells already who owns what. `through` is the
    kind that was asked for, if its objects are kept as another one's.
    """

    caller: Caller
    now: datetime
    subresource: str = ""
    applied: bool = False
    through: "Kind | None" = None


class Claims(Protocol):
    """What the objects of a kind hold for themselves alone: addresses and ports, say.

    Each is a key of the store. The registry writes and removes them in the transaction that writes or
    removes their object: no two objects hold the same, and none stays held when its object has gone.
    """

    def held(self, obj: Object) -> frozenset[bytes]:
        """Return the keys of all that *obj* holds."""

    async def assign(self, store: Store, new: Object, old: Object | None) -> None:
        """Choose what *new* needs beside what it has; it may be asked again, when another was quicker.

        Raises:
            ApiError: another object holds what *new* names, or nothing is left.
        """


@dataclass(frozen=True, slots=True)
class Action:
    """A subresource to which documents of another kind are POSTed (binding, eviction, token).

    `run` returns what the client is answered. `also` are older versions of the document, of the same fields.
    """

    api_version: str
    kind: str
    go_type: str
    run: Act
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Conversion:
    """How a kind that is kept as another one (`storage`) is read and written; both functions are pure.

    They get and return whole objects, with apiVersion and kind, and leave what they are handed as it is.
    """

    storage: Resource
    to_storage: Callable[[Object], Object]
    from_storage: Callable[[Object], Object]


@dataclass(frozen=True, slots=True)
class ScalePaths:
    """Where a custom resource has what its `Scale` shows; no selector if it has none."""

    replicas: tuple[str, ...]
    status_replicas: tuple[str, ...]
    selector: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Custom:
    """What the kind of a custom resource has in place of a Go type; see the package `crd`.

    `schema` is its structural schema (OpenAPI v3) as the definition has it. `fit` returns an object with its
    known fields alone, and what was strictly wrong with it. `read` returns an object as this version shows
    what is stored, `write` as it is stored; both leave what they are handed as it is. `deprecation` is told
    with every answer. A `terminating` one takes no new objects. `versions` are the kinds of all versions that
    the definition knows, by apiVersion, also those that are not served: an object's fields may be owned in
    any of them; `storage_version` is the one that is stored.
    """

    schema: Object
    list_kind: str
    storage_version: str
    fit: Callable[[Object], tuple[Object, list[str]]]
    read: Callable[[Object], Object]
    write: Callable[[Object], Object]
    scale: ScalePaths | None = None
    deprecation: str = ""
    terminating: bool = False
    versions: Mapping[str, "Kind"] = field(default_factory=dict, repr=False, compare=False)


def _nothing(_: Object) -> None:
    return None


def _no_errors(*_: Object) -> Iterator[FieldError]:
    return iter(())


def _no_warnings(_: Object) -> Iterator[str]:
    return iter(())


def _as_wanted(*_: Any) -> None:
    return None


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """All that the server knows of one kind.

    `go_type` is the type that kubectl decodes it into (its schema). `fields` are the paths that field
    selectors may name beside the object's name and namespace. `initial_status` makes the status of a new
    object (what the client sent is dropped); None keeps the client's. `warnings` tells what of an object
    this lab ignores. `grace_period_s` decides how long a deletion may take (None: at once).
    `returns_deleted` as upstream: DELETE answers with the object. `prepare_create` and `prepare_update` set
    what only the server may set, behind the defaults. `validate` is for every object,
    `validate_create` for a new one alone. `validate_parts` gets the new object and the old one when a
    subresource that is a part of it (status, approval) is written. `computed_fields` can be selected by
    as well, though they are no path. Without `unconditional_update`, a PUT must name the version that it
    replaces; with `creates_on_update` it may also make the object. With `orphans_dependents` a deletion that
    does not say otherwise leaves them. With a `conversion` the objects are kept as another kind's. `actions`
    are the subresources that are no part of the object. With a `review` nothing is kept: a creation is
    answered with what it returns. `on_delete` makes of an object that is asked to go what it is until it has
    gone. What is done `in_threads` may take longer than the loop can wait. A `custom` kind has no Go type.
    `deprecation` is told with every answer. `verbs` are all that there are, if not the usual ones.
    """

    resource: Resource
    go_type: str
    singular: str
    columns: tuple[columns.Column, ...]
    cells: Callable[[Object, datetime], list[Any]]
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    name_check: Check = dns_subdomain
    has_generation: bool = False
    set_defaults: Callable[[Object], None] = _nothing
    initial_status: Callable[[Object], Object] | None = None
    validate: Callable[[Object], Iterator[FieldError]] = _no_errors
    validate_create: Callable[[Object], Iterator[FieldError]] = _no_errors
    validate_update: Callable[[Object, Object], Iterator[FieldError]] = _no_errors
    prepare_create: Callable[[Object, Write], None] = _as_wanted
    prepare_update: Callable[[Object, Object, Write], None] = _as_wanted
    validate_parts: Mapping[str, Callable[[Object, Object], Iterator[FieldError]]] = field(
        default_factory=dict
    )
    computed_fields: Mapping[str, Callable[[Object], str]] = field(default_factory=dict)
    unconditional_update: bool = True
    creates_on_update: bool = False
    orphans_dependents: bool = False
    warnings: Callable[[Object], Iterator[str]] = _no_warnings
    grace_period_s: Callable[[Object, int | None], int] | None = None
    returns_deleted: bool = False
    conversion: Conversion | None = None
    claims: Claims | None = None
    actions: Mapping[str, Action] = field(default_factory=dict)
    review: Act | None = None
    on_delete: Callable[[Object, datetime], Object] | None = None
    in_threads: bool = False
    custom: Custom | None = None
    deprecation: str = ""
    verbs: tuple[str, ...] = ()

    @property
    def list_kind(self) -> str:
        return self.custom.list_kind if self.custom else f"{self.resource.kind}List"

    @property
    def schema(self) -> Object | None:
        """Return the OpenAPI v3 schema of a custom resource."""
        return self.custom.schema if self.custom else None

    @property
    def all_subresources(self) -> tuple[str, ...]:
        return tuple(sorted({*self.subresources, *self.actions}))

    @property
    def has_status(self) -> bool:
        return "status" in self.subresources

    @property
    def stored_as(self) -> Resource:
        return self.conversion.storage if self.conversion else self.resource

    def prefix(self, namespace: str = "") -> bytes:
        """Return where the store keeps these objects, as a real etcd of Kubernetes shows it."""
        resource = self.stored_as
        group = f"{resource.group}/" if self.custom else ""
        root = f"/registry/{group}{_STORED_AS.get(resource, resource.plural)}/"
        return (f"{root}{namespace}/" if namespace else root).encode()

    def key(self, namespace: str, name: str) -> bytes:
        return self.prefix(namespace) + name.encode()
