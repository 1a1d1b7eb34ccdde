"""Whose the fields of an object are: notes every write in its managedFields, and applies configurations.

Source: kubernetes, staging/src/k8s.io/apiserver/pkg/endpoints/handlers/{create,update,patch}.go (where
upstream follows a write: behind the defaults, before admission and before what only the server sets);
fieldmanager/equality.go; pkg/registry/*/*/strategy.go (GetResetFields).
As there, a write is noted in the version in which it came, whichever the object is kept in.
Left out: bindings, deletions and the server's own changes are nobody's, as upstream.
"""

from functools import lru_cache
from typing import Any

from kubelab.cluster.apiserver import field_types, kinds, refusals
from kubelab.cluster.apiserver.kind import Kind, Write
from kubelab.cluster.apply import (
    ApplyError,
    ConflictError,
    FieldManager,
    Type,
    Version,
    from_structural_schema,
)
from kubelab.cluster.clock import rfc3339
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import Object

_MANAGERS_KEPT = 1024  # A few for each kind; those of custom resources that are gone fall out.
_TOO_DEEP = "the object is nested too deeply"
_STATUS = {"f:status": dict[str, Any]()}
_SPEC = {"f:spec": dict[str, Any]()}


def note(kind: Kind, live: Object | None, new: Object, write: Write) -> None:
    """Set the managedFields of *new*, which *write* makes of *live* (None: creates), in place."""
    if write.applied:
        return
    asked = write.through or kind
    manager = field_manager(asked, write.subresource)
    before, after = live and _shown(asked, live), _shown(asked, new)
    try:
        entries = manager.updated(before, after, write.caller.field_manager, rfc3339(write.now))
    except RecursionError as error:
        raise refusals.bad_request(_TOO_DEEP) from error
    metadata = new["metadata"]
    if entries:
        metadata["managedFields"] = entries
    else:
        metadata.pop("managedFields", None)


def applied(kind: Kind, live: Object | None, config: Object, write: Write, *, force: bool) -> Object:
    """Return *live* (None: a new object) with *config* applied, its owners noted.

    Raises:
        ApiError: it is not for this kind or not of its type, or it changes what others own.
    """
    _check_type(kind, config)
    if config.get("metadata", {}).get("managedFields") is not None:
        raise refusals.bad_request("metadata.managedFields must be nil")
    manager = field_manager(kind, write.subresource)
    try:
        return manager.applied(live, config, write.caller.field_manager, rfc3339(write.now), force=force)
    except ConflictError as error:
        raise _conflict(error) from error
    except RecursionError as error:
        raise refusals.bad_request(_TOO_DEEP) from error
    except ApplyError as error:
        raise ApiError(500, "", str(error)) from error


def settled(new: Object, old: Object) -> Object:
    """Return *new*, with the times of *old* if nothing else changed: that alone is no write."""
    entries, before = new["metadata"].get("managedFields"), old["metadata"].get("managedFields")
    if not entries or not before or entries == before or _timeless(entries) != _timeless(before):
        return new
    unchanged = new | {"metadata": new["metadata"] | {"managedFields": before}}
    version = old["metadata"].get("resourceVersion")
    same = unchanged | {"metadata": unchanged["metadata"] | {"resourceVersion": version}} == old
    return unchanged if same else new


def _timeless(entries: list[Object]) -> list[Object]:
    return [{key: value for key, value in entry.items() if key != "time"} for entry in entries]


@lru_cache(_MANAGERS_KEPT)
def field_manager(kind: Kind, subresource: str) -> FieldManager:
    """Return who follows the writes to objects of *kind*, or to their *subresource*."""
    resource = kind.resource
    return FieldManager(
        *(_type(kind), resource.api_version, resource.kind, _empty(kind), subresource),
        ignored=_ignored(kind, subresource),
        other_version=lambda api_version: _other_version(kind, api_version, subresource),
    )


def _ignored(kind: Kind, subresource: str) -> Object:
    return _STATUS if kind.has_status and not subresource else _SPEC if subresource == "status" else {}


def _other_version(kind: Kind, api_version: str, subresource: str) -> Version | None:
    other = _sibling(kind, api_version)
    if other is None:
        return None
    return Version(
        api_version,
        _type(other),
        _ignored(other, subresource),
        told=lambda obj: _shown(other, _stored(kind, obj)),
        back=lambda obj: _shown(kind, _stored(other, obj)),
    )


def _sibling(kind: Kind, api_version: str) -> Kind | None:
    """Return the kind whose objects those of *kind* are, too, in another version."""
    if kind.custom:
        return kind.custom.versions.get(api_version)
    same = (each for each in kinds.KINDS if each.resource.api_version == api_version)
    return next((each for each in same if each.stored_as == kind.stored_as), None)


def _shown(kind: Kind, stored: Object) -> Object:
    """Return what is stored as *kind* shows it; of a custom resource, as upstream, with no more defaults."""
    if kind.conversion:
        return kind.conversion.from_storage(stored)
    if kind.custom and stored.get("apiVersion") != kind.resource.api_version:
        return stored | {"apiVersion": kind.resource.api_version}
    return stored


def _stored(kind: Kind, shown: Object) -> Object:
    return kind.conversion.to_storage(shown) if kind.conversion else shown


def _type(kind: Kind) -> Type:
    types = field_types.bundled()
    if types.has(kind.go_type):
        return types.of_name(kind.go_type)
    return from_structural_schema(kind.schema, types.of_name(field_types.OBJECT_META))


def _empty(kind: Kind) -> Object:
    types = field_types.bundled()
    return types.empty(kind.go_type) if types.has(kind.go_type) else {}


def _check_type(kind: Kind, config: Object) -> None:
    resource = kind.resource
    if (config.get("apiVersion"), config.get("kind")) != (resource.api_version, resource.kind):
        group, _, version = str(config.get("apiVersion") or "").rpartition("/")
        raise refusals.bad_request(f"invalid object type: {group}/{version}, Kind={config.get('kind') or ''}")


def _conflict(error: ConflictError) -> ApiError:
    causes = [
        {"reason": "FieldManagerConflict", "message": each.message, "field": each.field}
        for each in error.conflicts
    ]
    return ApiError(409, "Conflict", str(error), {"causes": causes})
