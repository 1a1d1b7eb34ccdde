"""The kinds of objects that a check can name: `pod`, `pods` or `Pod`."""

from dataclasses import dataclass

from kubelab.cluster import objects
from kubelab.cluster.objects import Resource
from kubelab.language import Text
from kubelab.lessons.located import Node, unknown

RESOURCES = (
    objects.NAMESPACES,
    objects.NODES,
    objects.PODS,
    objects.CONFIGMAPS,
    objects.EVENTS,
    objects.REPLICASETS,
    objects.DEPLOYMENTS,
    objects.LEASES,
)
_BY_NAME = {name: resource for resource in RESOURCES for name in (resource.kind.lower(), resource.plural)}


@dataclass(frozen=True, slots=True)
class KindName:
    """A kind of object in singular or plural, in capitals or not."""

    resource: Resource

    @classmethod
    def read(cls, node: Node) -> "KindName":
        name = node.text().lower()
        if name not in _BY_NAME:
            raise unknown(node, Text("clase de objeto", "kind of object"), name, _BY_NAME)
        return cls(_BY_NAME[name])

    def __str__(self) -> str:
        return self.resource.kind.lower()
