"""The Node authorizer: a kubelet may read what its pods use, and write what is its own. Pure.

What cannot be told from the request alone (whose Node is updated, which pod's status) is the business of
NodeRestriction, an admission plug-in.
Source: kubernetes, plugin/pkg/auth/authorizer/node/node_authorizer.go.
Left out: devices, volume attachments and CSI nodes (this lab serves none).
"""

from collections.abc import Callable, Mapping

from kubelab.cluster.apiserver.authorization.attributes import RequestAttributes
from kubelab.cluster.apiserver.authorization.default_roles import NODE_RULES
from kubelab.cluster.apiserver.authorization.node_graph import NodeGraph
from kubelab.cluster.apiserver.authorization.policy import Decision
from kubelab.cluster.apiserver.caller import node_name
from kubelab.cluster.apiserver.quoting import quoted

LEASE_NAMESPACE = "kube-node-lease"
_ALLOWED = Decision(True)
_NO_OPINION = Decision(False)
_READ = frozenset({"get", "list", "watch"})
_LEASE_VERBS = frozenset({"get", "create", "update", "patch", "delete"})
_WRITES_OF_NODE = frozenset({"create", "update", "patch"})
_OF_SUBRESOURCES = frozenset(
    {("pods", "status", "update"), ("pods", "status", "patch"), ("pods", "eviction", "create")}
    | {("nodes", "status", "update"), ("nodes", "status", "patch")}
)

_Authorize = Callable[[str, RequestAttributes], Decision]


class NodeAuthorizer:
    def __init__(self, graph: NodeGraph) -> None:
        self._graph = graph
        self._special: Mapping[tuple[str, str], _Authorize] = {
            ("", "secrets"): self._read,
            ("", "configmaps"): self._read,
            ("", "persistentvolumeclaims"): self._get,
            ("", "persistentvolumes"): self._get,
            ("", "serviceaccounts"): self._create_token,
            ("coordination.k8s.io", "leases"): self._lease,
            ("", "nodes"): self._node,
            ("", "pods"): self._pod,
        }

    def authorize(self, attributes: RequestAttributes) -> Decision:
        node = node_name(attributes.user)
        if node is None:
            return _NO_OPINION
        if not node:
            return Decision(False, f"unknown node for user {quoted(attributes.user.name)}")
        if special := self._special.get((attributes.group, attributes.resource)):
            return special(node, attributes)
        return _ALLOWED if any(rule.allows(attributes) for rule in NODE_RULES) else _NO_OPINION

    def _read(self, node: str, attributes: RequestAttributes) -> Decision:
        if attributes.verb not in _READ:
            return Decision(False, "can only read resources of this type")
        if attributes.subresource:
            return Decision(False, "cannot read subresource")
        if not attributes.namespace:
            return Decision(False, "can only read namespaced object of this type")
        return self._related(node, attributes)

    def _get(self, node: str, attributes: RequestAttributes) -> Decision:
        if attributes.verb != "get":
            return Decision(False, "can only get individual resources of this type")
        if attributes.subresource:
            return Decision(False, "cannot get subresource")
        return self._related(node, attributes)

    def _related(self, node: str, attributes: RequestAttributes) -> Decision:
        if not attributes.name:
            return Decision(False, "No Object name found")
        if self._graph.reaches(node, attributes.resource, attributes.namespace, attributes.name):
            return _ALLOWED
        return Decision(False, f"no relationship found between node '{node}' and this object")

    def _create_token(self, node: str, attributes: RequestAttributes) -> Decision:
        if attributes.verb == "get" and not attributes.subresource:
            return self._related(node, attributes)  # For credentials of images, by service account.
        if attributes.verb != "create" or not attributes.name:
            return Decision(False, "can only create tokens for individual service accounts")
        if attributes.subresource != "token":
            return Decision(False, "can only create token subresource of serviceaccount")
        return self._related(node, attributes)

    def _lease(self, node: str, attributes: RequestAttributes) -> Decision:
        if attributes.verb not in _LEASE_VERBS:
            return Decision(False, "can only get, create, update, patch, or delete a node lease")
        if attributes.namespace != LEASE_NAMESPACE:
            return Decision(
                False, f"can only access leases in the {quoted(LEASE_NAMESPACE)} system namespace"
            )
        if attributes.verb != "create" and attributes.name != node:
            why = "can only access node lease with the same name as the requesting node"
            return Decision(False, why)
        return _ALLOWED

    def _node(self, node: str, attributes: RequestAttributes) -> Decision:
        if attributes.subresource:
            return self._of_subresource(attributes)
        if attributes.verb in _WRITES_OF_NODE:
            return _ALLOWED
        if attributes.verb not in _READ:
            return _NO_OPINION
        if attributes.name == node:
            return _ALLOWED
        what = f"'{attributes.name}'" if attributes.name else "all nodes"
        return Decision(False, f"node '{node}' cannot read {what}, only its own Node object")

    def _pod(self, node: str, attributes: RequestAttributes) -> Decision:
        if attributes.subresource:
            return self._of_subresource(attributes)
        if attributes.verb in {"create", "delete"}:
            return _ALLOWED
        if attributes.verb == "get":
            return self._get(node, attributes)
        if attributes.verb not in _READ:
            return _NO_OPINION
        if f"spec.nodeName={node}" in attributes.field_selector.split(","):
            return _ALLOWED
        if attributes.name:
            return self._related(node, attributes)
        return Decision(False, "can only list/watch pods with spec.nodeName field selector")

    def _of_subresource(self, attributes: RequestAttributes) -> Decision:
        key = (attributes.resource, attributes.subresource, attributes.verb)
        return _ALLOWED if key in _OF_SUBRESOURCES else _NO_OPINION
