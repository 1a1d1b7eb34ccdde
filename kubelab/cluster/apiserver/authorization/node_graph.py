"""Which nodes have to do with an object: those whose pods use it. Pure.

Source: kubernetes, plugin/pkg/auth/authorizer/node/{graph,graph_populator}.go,
pkg/api/v1/pod/util.go (VisitPodSecretNames, VisitPodConfigmapNames).
Left out: claims of devices; persistent volumes behind claims (this lab serves none).
"""

from collections import Counter
from collections.abc import Iterator

from kubelab.cluster.objects import Key, Object, key_of

MIRROR = "kubernetes.io/config.mirror"
Vertex = tuple[str, str, str]  # Resource, namespace, name.


class NodeGraph:
    """Follows the pods that are bound to nodes, and keeps no more of them than what they use."""

    def __init__(self) -> None:
        self._pods: dict[Key, tuple[str, frozenset[Vertex]]] = {}
        self._nodes: dict[Vertex, Counter[str]] = {}

    def clear(self) -> None:
        """Forget all pods."""
        self._pods.clear()
        self._nodes.clear()

    def pod_changed(self, old: Object | None, new: Object | None) -> None:
        """Take note of a pod before and after a change; None is "not there"."""
        if pod := new or old:
            self._note(key_of(pod), _bound(new))

    def _note(self, key: Key, after: tuple[str, frozenset[Vertex]] | None) -> None:
        before = self._pods.pop(key, None)
        if after:
            self._pods[key] = after
        if before == after:
            return
        if before:
            self._count(*before, -1)
        if after:
            self._count(*after, +1)

    def reaches(self, node: str, resource: str, namespace: str, name: str) -> bool:
        return node in self._nodes.get((resource, namespace, name), ())

    def _count(self, node: str, used: frozenset[Vertex], change: int) -> None:
        for vertex in used:
            nodes = self._nodes.setdefault(vertex, Counter())
            nodes[node] += change
            if not nodes[node]:
                del nodes[node]
            if not nodes:
                del self._nodes[vertex]


def _bound(pod: Object | None) -> tuple[str, frozenset[Vertex]] | None:
    """Return which node *pod* is bound to, and what it uses; None for one that is not (yet)."""
    node = pod["spec"].get("nodeName") if pod else None
    return (str(node), _used(pod)) if pod and node else None


def _used(pod: Object) -> frozenset[Vertex]:
    """Return the pod itself and what it names; a mirror pod, which its kubelet made, opens nothing."""
    namespace, name = key_of(pod)
    used = frozenset({("pods", namespace, name)})
    if MIRROR in (pod["metadata"].get("annotations") or {}):
        return used
    return used | {(resource, namespace, each) for resource, each in _named(pod["spec"]) if each}


def _named(spec: Object) -> Iterator[tuple[str, str]]:
    yield "serviceaccounts", spec.get("serviceAccountName", "")
    for reference in spec.get("imagePullSecrets") or ():
        yield "secrets", reference.get("name", "")
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(kind) or ():
            yield from _of_container(container)
    for volume in spec.get("volumes") or ():
        yield from _of_volume(volume)


def _of_container(container: Object) -> Iterator[tuple[str, str]]:
    for source in container.get("envFrom") or ():
        yield "secrets", (source.get("secretRef") or {}).get("name", "")
        yield "configmaps", (source.get("configMapRef") or {}).get("name", "")
    for variable in container.get("env") or ():
        source = variable.get("valueFrom") or {}
        yield "secrets", (source.get("secretKeyRef") or {}).get("name", "")
        yield "configmaps", (source.get("configMapKeyRef") or {}).get("name", "")


def _of_volume(volume: Object) -> Iterator[tuple[str, str]]:
    yield "secrets", (volume.get("secret") or {}).get("secretName", "")
    yield "configmaps", (volume.get("configMap") or {}).get("name", "")
    yield "persistentvolumeclaims", (volume.get("persistentVolumeClaim") or {}).get("claimName", "")
    for source in (volume.get("projected") or {}).get("sources") or ():
        yield "secrets", (source.get("secret") or {}).get("name", "")
        yield "configmaps", (source.get("configMap") or {}).get("name", "")
