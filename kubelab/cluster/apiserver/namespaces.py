"""Namespaces: a life cycle of their own. They end when their finalizers, in spec, are gone.

Source: kubernetes, pkg/registry/core/namespace/strategy.go and storage/storage.go,
pkg/apis/core/validation/validation.go (ValidateNamespace, ValidateNamespaceStatusUpdate).
"""

from collections.abc import Iterator

from kubelab.cluster.apiserver.fields import FieldError, invalid_value, label_key, word
from kubelab.cluster.objects import Object

BOOTSTRAP = ("default", "kube-system", "kube-public", "kube-node-lease")
NAME_LABEL = "kubernetes.io/metadata.name"
FINALIZER = "kubernetes"


def set_defaults(namespace: Object) -> None:
    """Every namespace carries its own name as a label, so that selectors can pick it."""
    metadata = namespace["metadata"]
    if name := metadata.get("name"):
        metadata["labels"] = (metadata.get("labels") or {}) | {NAME_LABEL: name}
    namespace.setdefault("spec", {}).setdefault("finalizers", [FINALIZER])


def initial_status(namespace: Object) -> Object:
    return {"phase": "Active"}


def terminating(namespace: Object) -> Object:
    """Return the *namespace* as its deletion leaves it until it is empty."""
    return namespace | {"status": (namespace.get("status") or {}) | {"phase": "Terminating"}}


def validate(namespace: Object) -> Iterator[FieldError]:
    for finalizer in namespace["spec"].get("finalizers") or ():
        yield from word(finalizer, "spec.finalizers", label_key)
        if "/" not in finalizer and finalizer != FINALIZER:
            detail = "name is neither a standard finalizer name nor is it fully qualified"
            yield invalid_value("spec.finalizers", finalizer, detail)


def validate_status(new: Object, old: Object) -> Iterator[FieldError]:
    deleted = "deletionTimestamp" in new["metadata"]
    phase, expected = (new.get("status") or {}).get("phase", ""), "Terminating" if deleted else "Active"
    if phase != expected:
        state = "is not empty" if deleted else "is empty"
        detail = f"may only be '{expected}' if `deletionTimestamp` {state}"
        yield invalid_value("status.Phase", phase, detail)
