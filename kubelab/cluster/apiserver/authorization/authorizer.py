"""May this user do this: `system:masters` may; for others the Node authorizer and RBAC are asked. Pure.

Source: kubernetes, staging/src/k8s.io/apiserver/pkg/authorization/union/union.go and
../authorizerfactory/builtin.go (privileged groups); `--authorization-mode=Node,RBAC`.
"""

from kubelab.cluster.apiserver.authorization.attributes import RequestAttributes, forbidden
from kubelab.cluster.apiserver.authorization.node import NodeAuthorizer
from kubelab.cluster.apiserver.authorization.node_graph import NodeGraph
from kubelab.cluster.apiserver.authorization.policy import Decision, Policy
from kubelab.cluster.apiserver.caller import MASTERS

_ALLOWED = Decision(True)


class Authorizer:
    """`policy` and `graph` are kept up to date by `following`."""

    def __init__(self) -> None:
        self.policy = Policy()
        self.graph = NodeGraph()
        self._node = NodeAuthorizer(self.graph)

    def authorize(self, attributes: RequestAttributes) -> Decision:
        if MASTERS in attributes.user.groups:
            return _ALLOWED
        by_node = self._node.authorize(attributes)
        if by_node.allowed:
            return by_node
        by_rbac = self.policy.authorize(attributes)
        if by_rbac.allowed or not by_node.reason:
            return by_rbac
        return Decision(False, "\n".join(filter(None, (by_node.reason, by_rbac.reason))))

    def check(self, attributes: RequestAttributes) -> None:
        """Raise 403, in upstream's words, unless the user may do it."""
        decision = self.authorize(attributes)
        if not decision.allowed:
            raise forbidden(attributes, decision.reason)
