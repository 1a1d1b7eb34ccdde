"""Namespaces: a life cycle of their own. They end when their finalizers, in spec, are gone.

Source: kubernetes, pkg/registry/core/namespace/strategy.go and storage/storage.go.
"""

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
