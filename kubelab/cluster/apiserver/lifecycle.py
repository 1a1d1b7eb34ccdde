"""What the server makes of an object before it is written: pure decisions, refusals raised as `ApiError`.

Source: kubernetes, staging/src/k8s.io/apiserver/pkg/registry/rest/create.go and update.go; the strategies of
pkg/registry. Every function returns an object of its own making; what it was handed stays as it was, except
that `begin_create` and `begin_update` may take over the parts of the new object.
What admission may change lies between `begin_*` and `finish_*`.
Left out: create on update.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from kubelab.cluster.apiserver import metadata as metadata_rules
from kubelab.cluster.apiserver import ownership, refusals, zero_values
from kubelab.cluster.apiserver.caller import SYSTEM, Caller
from kubelab.cluster.apiserver.fields import FieldError
from kubelab.cluster.apiserver.kind import Kind, Write
from kubelab.cluster.clock import rfc3339
from kubelab.cluster.objects import Object

GENERATED_SUFFIX_LENGTH = 5
_GENERATED_PREFIX_LENGTH_MAX = 63 - GENERATED_SUFFIX_LENGTH
_SERVER_SET = (
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "selfLink",
    "resourceVersion",
)
_OF_STATUS = frozenset({"status", "approval"})  # Subresources by which only the status can be written.
_KEPT_ON_UPDATE = (
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
)


def ordered(kind: Kind, obj: Object, metadata: Object) -> Object:
    """Return *obj* with its type and *metadata* first (where `versions` puts the resource version in)."""
    head = {"kind": kind.resource.kind, "apiVersion": kind.resource.api_version, "metadata": metadata}
    return head | {key: value for key, value in obj.items() if key not in head}


def begin_create(
    kind: Kind,
    obj: Object,
    namespace: str,
    *,
    uid: str,
    suffix: Callable[[], str],
    now: datetime,
    caller: Caller = SYSTEM,
    applied: bool = False,
    through: Kind | None = None,
) -> Object:
    """Return *obj* named, with its defaults and with what only the server may set.

    *suffix* makes the end of a generated name; it is asked only for such a one.
    """
    write = Write(caller, now, applied=applied, through=through)
    given = obj.get("metadata") or {}
    if given.get("resourceVersion"):
        raise refusals.bad_request("resourceVersion should not be set on objects to be created")
    metadata = {key: value for key, value in given.items() if key not in _SERVER_SET}
    if not metadata.get("name") and metadata.get("generateName"):
        metadata["name"] = metadata["generateName"][:_GENERATED_PREFIX_LENGTH_MAX] + suffix()
    if kind.resource.namespaced:
        metadata["namespace"] = namespace
    metadata["uid"] = uid
    if kind.has_generation:
        metadata["generation"] = 1
    metadata["creationTimestamp"] = rfc3339(now)
    new = ordered(kind, obj, metadata)
    kind.set_defaults(new)
    if kind.has_status and kind.initial_status is None:
        new["status"] = zero_values.completed(kind, "status", new.get("status") or {})
    ownership.note(kind, None, new, write)
    kind.prepare_create(new, write)
    return new


def finish_create(kind: Kind, new: Object) -> Object:
    """Return *new* as it is to be stored, its first status made; raises ApiError 422 if it is not valid."""
    metadata = new["metadata"]
    errors = [*metadata_rules.validate(metadata, kind.resource, kind.name_check), *kind.validate(new)]
    _refuse_invalid(kind, new, [*errors, *kind.validate_create(new)])
    if kind.initial_status is not None:
        new["status"] = kind.initial_status(new)
    return new


def begin_update(kind: Kind, new: Object, old: Object, write: Write) -> Object:
    """Return what *old* becomes when a client wants *new*: the parts that it may change, defaulted."""
    metadata, subresource = _merged_metadata(kind, new, old), write.subresource
    if subresource in _OF_STATUS:
        status = zero_values.completed(kind, "status", new.get("status") or {})
        merged = ordered(kind, old | {"status": status}, metadata)
        ownership.note(kind, old, merged, write)
        kind.prepare_update(merged, old, write)
        return merged
    merged = ordered(kind, new, metadata)
    if subresource == "finalize":
        merged = ordered(kind, old | {"spec": new.get("spec") or {}}, metadata)
    if kind.has_status:
        merged.pop("status", None)
        merged |= {"status": old["status"]} if "status" in old else {}
    if subresource != "finalize":
        kind.set_defaults(merged)
        _keep_namespace_finalizers(kind, merged, old)
    ownership.note(kind, old, merged, write)
    if subresource != "finalize":
        kind.prepare_update(merged, old, write)
    return merged


def finish_update(kind: Kind, merged: Object, old: Object, subresource: str = "") -> Object:
    """Return *merged* as it is to be stored; raises ApiError 422 if it is not valid or may not change so."""
    metadata = merged["metadata"]
    if subresource in _OF_STATUS:
        errors = [*metadata_rules.validate_update(metadata, old["metadata"])]
        if check := kind.validate_parts.get(subresource):
            errors += check(merged, old)
        _refuse_invalid(kind, merged, errors)
        return merged
    if kind.has_generation and merged.get("spec") != old.get("spec"):
        metadata["generation"] = old["metadata"].get("generation", 0) + 1
    errors = [*metadata_rules.validate_update(metadata, old["metadata"])]
    validate_change = kind.validate_parts.get(subresource, kind.validate_update)
    errors += [*validate_change(merged, old), *(kind.validate(merged) if not errors else ())]
    _refuse_invalid(kind, merged, errors)
    return merged


def _keep_namespace_finalizers(kind: Kind, merged: Object, old: Object) -> None:
    """Only the finalize subresource changes the finalizers in a namespace's spec."""
    if "finalize" in kind.subresources:
        merged["spec"] = merged["spec"] | {"finalizers": old["spec"].get("finalizers", [])}


def _merged_metadata(kind: Kind, new: Object, old: Object) -> Object:
    """Return the metadata of *new*, with what only the server sets taken from *old*."""
    before = old["metadata"]
    metadata = {key: value for key, value in (new.get("metadata") or {}).items() if key != "resourceVersion"}
    metadata.pop("selfLink", None)
    wanted_uid = metadata.get("uid")
    if wanted_uid and wanted_uid != before["uid"]:
        why = f"Precondition failed: UID in precondition: {wanted_uid}, UID in object meta: {before['uid']}"
        raise refusals.conflict(kind.resource, before["name"], why)
    for key in _KEPT_ON_UPDATE:
        metadata.pop(key, None)
        if key in before:
            metadata[key] = before[key]
    metadata.setdefault("name", before["name"])
    if "namespace" in before:
        metadata.setdefault("namespace", before["namespace"])
    return metadata


def _refuse_invalid(kind: Kind, obj: Object, errors: list[FieldError]) -> None:
    if errors:
        metadata: dict[str, Any] = obj["metadata"]
        raise refusals.invalid(
            kind.resource, metadata.get("name") or metadata.get("generateName", ""), errors
        )
