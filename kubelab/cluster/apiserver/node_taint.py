"""TaintNodesByCondition: a new node takes no pods until the node controller has seen that it is ready.

Source: kubernetes, plugin/pkg/admission/nodetaint/admission.go.
"""

from kubelab.cluster.apiserver.admission import Attributes
from kubelab.cluster.objects import NODES, Object

NOT_READY = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}


class NodeTaint:
    async def admit(self, attributes: Attributes) -> None:
        if attributes.is_of(NODES, "CREATE") and attributes.new is not None:
            taint(attributes.new)

    async def validate(self, attributes: Attributes) -> None:
        """Nothing is refused."""


def taint(node: Object) -> None:
    spec = node.setdefault("spec", {})
    taints = spec.get("taints") or []
    if all((each["key"], each["effect"]) != tuple(NOT_READY.values()) for each in taints):
        spec["taints"] = [*taints, dict(NOT_READY)]
