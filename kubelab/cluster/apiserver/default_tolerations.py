"""DefaultTolerationSeconds: a pod stays five minutes on a node that is not ready or out of reach.

Source: kubernetes, plugin/pkg/admission/defaulttolerationseconds/admission.go.
"""

from kubelab.cluster.apiserver.admission import Attributes
from kubelab.cluster.objects import PODS, Object

SECONDS = 300
_KEYS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


class DefaultTolerationSeconds:
    async def admit(self, attributes: Attributes) -> None:
        if attributes.is_of(PODS, "CREATE", "UPDATE") and attributes.new is not None:
            add_tolerations(attributes.new["spec"])

    async def validate(self, attributes: Attributes) -> None:
        """Nothing is refused."""


def add_tolerations(spec: Object) -> None:
    """Add what is missing; a toleration of everything, or of one's own length, is enough."""
    tolerations = spec.get("tolerations") or []
    missing = [key for key in _KEYS if not any(_covers(each, key) for each in tolerations)]
    if missing:
        spec["tolerations"] = [*tolerations, *map(_toleration, missing)]


def _covers(toleration: Object, key: str) -> bool:
    return toleration.get("key", "") in ("", key) and toleration.get("effect", "") in ("", "NoExecute")


def _toleration(key: str) -> Object:
    return {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": SECONDS}
