"""What the scheduler counts on: nodes, the pods bound to them, and the pods it has just decided about.

A pod is *assumed* on its node from the decision on. So the next decision counts it, although the informer
shows the binding only later; without that, a burst of pods would all see the same free node.

Source: kubernetes, pkg/scheduler/backend/cache/cache.go.
Left out: the expiry of assumptions: a binding that fails is taken back at once.
"""

from kubelab.cluster.objects import Object, key_of, uid_of
from kubelab.cluster.pods import is_finished
from kubelab.cluster.scheduler.nodeinfo import NodeInfo, node_info


class Cache:
    def __init__(self) -> None:
        self._nodes: dict[str, Object] = {}
        self._pods: dict[str, dict[str, Object]] = {}  # By node, by uid.
        self._node_of: dict[str, str] = {}  # By uid.
        self._infos: dict[str, NodeInfo] = {}  # What is missing is added up when it is asked for.

    def snapshot(self) -> list[NodeInfo]:
        """Return all nodes with their sums, by name."""
        return [self._info(name) for name in sorted(self._nodes)]

    def see_node(self, old: Object | None, new: Object | None) -> None:
        name = key_of(new or old or {}).name
        self._infos.pop(name, None)
        if new is None:
            self._nodes.pop(name, None)
        else:
            self._nodes[name] = new

    def see_pod(self, old: Object | None, new: Object | None) -> None:
        """Take over what the informer shows; an unbound pod leaves an assumption as it is."""
        if new is None or is_finished(new):
            self.forget(new or old or {})
        elif node := new["spec"].get("nodeName"):
            self.assume(new, node)

    def assume(self, pod: Object, node: str) -> None:
        uid = uid_of(pod)
        if self._node_of.get(uid) == node:
            self._pods[node][uid] = pod
            return
        self.forget(pod)
        self._node_of[uid] = node
        self._pods.setdefault(node, {})[uid] = pod
        if node in self._infos:
            self._infos[node] = self._infos[node].with_pod(pod)

    def forget(self, pod: Object) -> None:
        uid = uid_of(pod)
        node = self._node_of.pop(uid, None)
        if node is not None:
            del self._pods[node][uid]
            self._infos.pop(node, None)

    def _info(self, name: str) -> NodeInfo:
        if name not in self._infos:
            self._infos[name] = node_info(self._nodes[name], self._pods.get(name, {}).values())
        return self._infos[name]
