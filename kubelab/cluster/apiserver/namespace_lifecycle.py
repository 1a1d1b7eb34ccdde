"""NamespaceLifecycle: nothing comes into a namespace that is not there or on its way out; three never go.

Source: kubernetes, staging/src/k8s.io/apiserver/pkg/admission/plugin/namespace/lifecycle/admission.go.
"""

from kubelab.cluster.apiserver import refusals
from kubelab.cluster.apiserver.admission import Attributes
from kubelab.cluster.apiserver.listers import Reader
from kubelab.cluster.objects import NAMESPACES, Object

IMMORTAL = frozenset({"default", "kube-system", "kube-public"})


class NamespaceLifecycle:
    def __init__(self, namespaces: Reader) -> None:
        self._namespaces = namespaces

    async def admit(self, attributes: Attributes) -> None:
        if attributes.is_of(NAMESPACES, "DELETE") and attributes.name in IMMORTAL:
            raise attributes.forbidden("this namespace may not be deleted")
        if attributes.operation == "DELETE" or not attributes.kind.resource.namespaced:
            return
        check(attributes, await self._namespaces.get("", attributes.namespace))

    async def validate(self, attributes: Attributes) -> None:
        """All was said before anything was changed."""


def check(attributes: Attributes, namespace: Object | None) -> None:
    """Refuse what may not be in *namespace*: anything if it is not there, what is new if it is going."""
    name = attributes.namespace
    if namespace is None:
        raise refusals.not_found(NAMESPACES, name)
    if attributes.operation != "CREATE" or (namespace.get("status") or {}).get("phase") != "Terminating":
        return
    cause = {
        "reason": "NamespaceTerminating",
        "message": f"namespace {name} is being terminated",
        "field": "metadata.namespace",
    }
    why = f"unable to create new content in namespace {name} because it is being terminated"
    raise attributes.forbidden(why, unnamed=True, causes=[cause])
