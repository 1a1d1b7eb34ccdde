"""The kinds of objects that a check can name: `pod`, `pods`, `Pod`, `widgets.example.com`.

Those that the lab's own cluster serves are watched. Every other one is asked for while a check wants it, by
discovery: whether an API serves it is known only then.
Source: https://kubernetes.io/docs/reference/kubernetes-api/ (the built-in kinds).
Left out: short names (`po`), versions other than the one that the server prefers.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from kubelab.cluster import objects
from kubelab.cluster.objects import Key, Object, Resource
from kubelab.language import Text
from kubelab.lessons.checks.check import Needs, answer_to, resource_state
from kubelab.lessons.located import Node, unknown
from kubelab.lessons.observation import Observation, ResourceState
from kubelab.lessons.question import Question

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
"""What the lab's own cluster serves."""

_ELSEWHERE = """
v1: Service Secret ServiceAccount Endpoints PersistentVolumeClaim PersistentVolume* ReplicationController
v1: PodTemplate ResourceQuota LimitRange
apps/v1: StatefulSet DaemonSet ControllerRevision
batch/v1: Job CronJob
autoscaling/v2: HorizontalPodAutoscaler
policy/v1: PodDisruptionBudget
discovery.k8s.io/v1: EndpointSlice
networking.k8s.io/v1: Ingress IngressClass* NetworkPolicy
rbac.authorization.k8s.io/v1: Role RoleBinding ClusterRole* ClusterRoleBinding*
scheduling.k8s.io/v1: PriorityClass*
storage.k8s.io/v1: StorageClass* VolumeAttachment* CSIDriver* CSINode*
node.k8s.io/v1: RuntimeClass*
certificates.k8s.io/v1: CertificateSigningRequest*
apiextensions.k8s.io/v1: CustomResourceDefinition*
admissionregistration.k8s.io/v1: MutatingWebhookConfiguration* ValidatingWebhookConfiguration*
"""
"""The kinds that Kubernetes has besides; those with a star are in no namespace."""


@dataclass(frozen=True, slots=True)
class Served:
    """What an API that serves the *resource* has of it."""

    resource: Resource
    state: ResourceState


@dataclass(frozen=True, slots=True)
class Objects(Question[Served]):
    """The objects of a kind that is not watched."""

    plural: str
    group: str

    far: ClassVar[bool] = True


def _built_in() -> Iterator[Resource]:
    yield from RESOURCES
    known = {resource.kind for resource in RESOURCES}
    for line in _ELSEWHERE.strip().splitlines():
        api_version, names = line.split(": ")
        group, _, version = api_version.rpartition("/")
        for name in names.split():
            if (kind := name.rstrip("*")) not in known:
                yield Resource(group, version, _plural(kind.lower()), kind, namespaced=name == kind)


def _plural(kind: str) -> str:
    if kind.endswith("cy"):
        return f"{kind[:-1]}ies"
    return f"{kind}es" if kind.endswith("ss") else kind if kind.endswith("s") else f"{kind}s"


_BY_NAME = {
    name: resource for resource in _built_in() for name in (resource.kind.lower(), resource.group_resource)
} | {resource.plural: resource for resource in _built_in()}
_CUSTOM = re.compile(r"([a-z][-a-z0-9]*)\.([a-z0-9][-a-z0-9]*(?:\.[a-z0-9][-a-z0-9]*)+)")


@dataclass(frozen=True, slots=True)
class KindName:
    """A kind of object in singular or plural, in capitals or not: any that Kubernetes has. A custom resource
    is written as its plural and group: `widgets.example.com`."""

    resource: Resource

    @classmethod
    def read(cls, node: Node) -> "KindName":
        name = node.text().lower()
        if name in _BY_NAME:
            return cls(_BY_NAME[name])
        if custom := _CUSTOM.fullmatch(name):
            return cls(Resource(custom[2], "", custom[1], "", namespaced=True))
        raise unknown(node, Text("clase de objeto", "kind of object"), name, _BY_NAME)

    def __str__(self) -> str:
        return self.resource.kind.lower() or self.resource.group_resource

    @property
    def is_watched(self) -> bool:
        return self.resource in RESOURCES

    def needs(self) -> Needs:
        return Needs(resources=frozenset({self.resource} if self.is_watched else ()))

    def questions(self) -> frozenset[Question[Any]]:
        return frozenset() if self.is_watched else frozenset({self._question()})

    def served(self, observation: Observation) -> Served:
        """Return the objects that are there. Raises CannotSee, also when the API serves no such kind."""
        if self.is_watched:
            return Served(self.resource, resource_state(observation, self.resource))
        return answer_to(observation, self._question())

    def _question(self) -> Objects:
        return Objects(self.resource.plural, self.resource.group)


def key_in(resource: Resource, namespace: str, name: str) -> Key:
    """Return the key of the object of that name; without a *namespace* it is in `default`, if in any."""
    return Key((namespace or "default") if resource.namespaced else "", name)


def in_namespace(resource: Resource, namespace: str, obj: Object) -> bool:
    return not resource.namespaced or objects.key_of(obj).namespace == (namespace or "default")


SERVICE = KindName(_BY_NAME["service"])
