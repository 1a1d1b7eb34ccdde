"""How an object goes: at once, gracefully, or when its last finalizer is gone.

Source: kubernetes, staging/src/k8s.io/apiserver/pkg/registry/rest/delete.go (BeforeDelete) and
registry/generic/registry/store.go (Delete, deletionFinalizersForGarbageCollection).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from kubelab.cluster.apiserver import namespaces, refusals
from kubelab.cluster.apiserver.kind import Kind
from kubelab.cluster.apiserver.metadata import FINALIZER_FOREGROUND, FINALIZER_ORPHAN
from kubelab.cluster.clock import rfc3339
from kubelab.cluster.objects import NAMESPACES, Object

Propagation = Literal["Background", "Foreground", "Orphan"]


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    grace_period_s: int | None = None
    uid: str | None = None
    resource_version: str | None = None
    propagation: Propagation | None = None
    dry_run: bool = False


def check_preconditions(kind: Kind, obj: Object, options: DeleteOptions) -> None:
    metadata = obj["metadata"]
    for what, wanted, actual in (
        ("UID", options.uid, metadata["uid"]),
        ("ResourceVersion", options.resource_version, metadata.get("resourceVersion")),
    ):
        if wanted and wanted != actual:
            why = f"Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {actual}"
            raise refusals.conflict(kind.resource, metadata["name"], why)


def delete(kind: Kind, obj: Object, options: DeleteOptions, now: datetime) -> Object | None:
    """Return what *obj* becomes when it is asked to go; None if it goes at once."""
    metadata: dict[str, Any] = dict(obj["metadata"])
    propagation = options.propagation or ("Orphan" if kind.orphans_dependents else None)
    finalizers = _finalizers(metadata.get("finalizers") or [], propagation)
    metadata.pop("finalizers", None)
    if finalizers:
        metadata["finalizers"] = finalizers
    if "deletionTimestamp" in metadata:
        _shorten_grace(metadata, options.grace_period_s)
    else:
        grace_s = kind.grace_period_s(obj, options.grace_period_s) if kind.grace_period_s else 0
        metadata["deletionTimestamp"] = rfc3339(now + timedelta(seconds=grace_s))
        metadata["deletionGracePeriodSeconds"] = grace_s
        if "generation" in metadata:
            metadata["generation"] += 1
    marked = obj | {"metadata": metadata}
    if kind.on_delete and "deletionTimestamp" not in obj["metadata"]:
        marked = kind.on_delete(marked, now)
    if kind.resource == NAMESPACES:
        marked = namespaces.terminating(marked)
    return None if is_finished(marked) else marked


def is_finished(obj: Object) -> bool:
    """Tell whether nothing keeps a deleted *obj* any longer: no grace period, no finalizer of either sort."""
    metadata = obj["metadata"]
    if "deletionTimestamp" not in metadata or metadata.get("deletionGracePeriodSeconds"):
        return False
    if obj["kind"] == NAMESPACES.kind and (obj.get("spec") or {}).get("finalizers"):
        return False
    return not metadata.get("finalizers")


def _shorten_grace(metadata: Object, asked_s: int | None) -> None:
    """An object that is already going may be told to go sooner, never later."""
    current_s = metadata.get("deletionGracePeriodSeconds", 0)
    if asked_s is None or asked_s >= current_s:
        return
    asked_s = 1 if asked_s < 0 else asked_s
    deadline = datetime.fromisoformat(metadata["deletionTimestamp"])
    metadata["deletionTimestamp"] = rfc3339(deadline - timedelta(seconds=current_s - asked_s))
    metadata["deletionGracePeriodSeconds"] = asked_s


def _finalizers(finalizers: list[str], propagation: Propagation | None) -> list[str]:
    """Tell the garbage collector, by a finalizer, what is to become of the dependents."""
    if propagation is None:
        return finalizers
    kept = [each for each in finalizers if each not in {FINALIZER_ORPHAN, FINALIZER_FOREGROUND}]
    chosen = {"Orphan": [FINALIZER_ORPHAN], "Foreground": [FINALIZER_FOREGROUND], "Background": []}
    return kept + chosen[propagation]
