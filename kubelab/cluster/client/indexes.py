"""Functions by which informers find objects beside by name: for `Informer(indexes=...)`. Pure.

Source: kubernetes, staging/src/k8s.io/client-go/tools/cache/index.go (MetaNamespaceIndexFunc).
"""

from collections.abc import Callable, Iterable

from kubelab.cluster.objects import Object, controller_of, labels_of

NAMESPACE, OWNER, CONTROLLER = "namespace", "owner", "controller"


def namespace(obj: Object) -> Iterable[str]:
    return (obj["metadata"].get("namespace", ""),)


def owner_uids(obj: Object) -> Iterable[str]:
    return (reference["uid"] for reference in obj["metadata"].get("ownerReferences") or ())


def controller_uid(obj: Object) -> Iterable[str]:
    owner = controller_of(obj)
    return (owner["uid"],) if owner else ()


def label(name: str) -> Callable[[Object], Iterable[str]]:
    """Return the index by the value of the label *name*; objects without it are not found."""

    def value(obj: Object) -> Iterable[str]:
        found = labels_of(obj).get(name)
        return () if found is None else (found,)

    return value
