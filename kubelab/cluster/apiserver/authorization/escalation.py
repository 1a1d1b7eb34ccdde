"""Nobody hands out rights that they do not have: refused for roles, and for bindings of roles.

Who may `escalate` roles or `bind` the role in question may do it all the same, and so may `system:masters`.
Source: kubernetes, pkg/registry/rbac/{escalation_check.go,validation/rule.go (ConfirmNoEscalation)} and
pkg/registry/rbac/{role,clusterrole,rolebinding,clusterrolebinding}/policybased/storage.go.
"""

from collections.abc import Callable, Sequence

from kubelab.cluster.apiserver import refusals
from kubelab.cluster.apiserver.admission import Attributes
from kubelab.cluster.apiserver.authorization.attributes import RequestAttributes
from kubelab.cluster.apiserver.authorization.policy import GROUP, Decision, Policy
from kubelab.cluster.apiserver.authorization.rules import FULL_AUTHORITY, Rule, compact, rules_of, uncovered
from kubelab.cluster.apiserver.caller import MASTERS, User
from kubelab.cluster.apiserver.quoting import quoted
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import Object

Authorize = Callable[[RequestAttributes], Decision]
_ROLES = {"Role": "roles", "ClusterRole": "clusterroles"}
_BINDINGS = frozenset({"RoleBinding", "ClusterRoleBinding"})
_FOR_COLLECTION = ("ownerReferences", "finalizers")  # What the garbage collector changes.


class RoleEscalation:
    """The admission plug-in."""

    def __init__(self, policy: Policy, authorize: Authorize) -> None:
        self._policy = policy
        self._authorize = authorize

    async def admit(self, attributes: Attributes) -> None:
        return

    async def validate(self, attributes: Attributes) -> None:
        """Raise 403 when the caller would grant more than it has."""
        new, kind = attributes.new, attributes.kind.resource.kind
        if attributes.kind.resource.group != GROUP or new is None or MASTERS in attributes.caller.user.groups:
            return
        if (
            attributes.old
            and _changed(attributes.old, new) <= {"metadata"}
            and _only_for_collection(attributes.old["metadata"], new["metadata"])
        ):
            return
        if kind in _ROLES and not self._may(attributes, "escalate", _ROLES[kind], attributes.name):
            self._check_role(attributes, new)
        elif kind in _BINDINGS:
            self._check_binding(attributes, new["roleRef"])

    def _check_role(self, attributes: Attributes, role: Object) -> None:
        before = (attributes.old or {}).get("aggregationRule")
        if role.get("aggregationRule") and role["aggregationRule"] != before:
            self._confirm(attributes, FULL_AUTHORITY)  # It may gather everything.
        self._confirm(attributes, rules_of(role))

    def _check_binding(self, attributes: Attributes, reference: Object) -> None:
        if self._may(attributes, "bind", _ROLES[reference["kind"]], reference["name"]):
            return
        rules = self._policy.role_rules(reference, attributes.namespace)
        if rules is None:
            raise _no_such_role(reference)
        self._confirm(attributes, rules)

    def _may(self, attributes: Attributes, verb: str, resource: str, name: str) -> bool:
        user = attributes.caller.user
        asked = RequestAttributes(user, verb, GROUP, resource, namespace=attributes.namespace, name=name)
        return self._authorize(asked).allowed

    def _confirm(self, attributes: Attributes, rules: Sequence[Rule]) -> None:
        user = attributes.caller.user
        missing = uncovered(self._policy.rules_for(user, attributes.namespace), rules)
        if missing:
            raise refusals.forbidden(attributes.kind.resource, attributes.name, _attempt(user, missing))


def _attempt(user: User, missing: Sequence[Rule]) -> str:
    groups = " ".join(map(quoted, user.groups))
    shown = "\n".join(sorted({str(rule) for rule in compact(missing)}))
    return (
        f"user {quoted(user.name)} (groups=[{groups}]) is attempting to grant RBAC permissions "
        f"not currently held:\n{shown}"
    )


def _no_such_role(reference: Object) -> ApiError:
    kind, name = reference["kind"].lower(), reference["name"]
    message = f"{kind}.{GROUP} {quoted(name)} not found"
    return ApiError(404, "NotFound", message, {"name": name, "group": GROUP, "kind": kind})


def _changed(old: Object, new: Object) -> set[str]:
    return {key for key in old.keys() | new.keys() if old.get(key) != new.get(key)}


def _only_for_collection(old: Object, new: Object) -> bool:
    return _changed(old, new) <= {*_FOR_COLLECTION, "resourceVersion", "managedFields"}
