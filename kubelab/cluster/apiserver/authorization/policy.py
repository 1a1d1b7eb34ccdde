"""What roles and bindings grant to whom: RBAC, decided on a copy of them that others keep up to date. Pure.

A question is answered from what was put together for the same user and namespace before, until a role or
binding changes; nothing is read for it.
Source: kubernetes, pkg/registry/rbac/validation/rule.go (DefaultRuleResolver) and
plugin/pkg/auth/authorizer/rbac/rbac.go.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from kubelab.cluster.apiserver.authorization.attributes import RequestAttributes
from kubelab.cluster.apiserver.authorization.rules import Rule, rules_of
from kubelab.cluster.apiserver.caller import User, service_account_name
from kubelab.cluster.apiserver.quoting import quoted
from kubelab.cluster.objects import Key, Object, key_of

GROUP = "rbac.authorization.k8s.io"
_REMEMBERED_MAX = 4096  # Users and namespaces; some 100 KB.


@dataclass(frozen=True, slots=True)
class Grant:
    """What one binding gives to a user: rules, or the reason why they cannot be found."""

    source: str
    rules: tuple[Rule, ...] = ()
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """`allowed` False is no veto: another authorizer may allow it."""

    allowed: bool
    reason: str = ""


class Policy:
    """Roles and bindings; those of the cluster have the namespace ""."""

    def __init__(self) -> None:
        self._rules: dict[Key, tuple[Rule, ...]] = {}
        self._bindings: dict[tuple[str, str], dict[Key, Object]] = {}  # By namespace and subject.
        self._grants: dict[tuple[str, tuple[str, ...], str], tuple[Grant, ...]] = {}

    def role_changed(self, old: Object | None, new: Object | None) -> None:
        """Take note of a Role or ClusterRole before and after a change; None is "not there"."""
        if new:
            self._rules[key_of(new)] = rules_of(new)
        elif old:
            self._rules.pop(key_of(old), None)
        self._grants.clear()

    def binding_changed(self, old: Object | None, new: Object | None) -> None:
        """Take note of a RoleBinding or ClusterRoleBinding before and after a change."""
        for subject in _subjects(old) if old else ():
            self._bindings.get(subject, {}).pop(key_of(old or {}), None)
        for subject in _subjects(new) if new else ():
            self._bindings.setdefault(subject, {})[key_of(new or {})] = new or {}
        self._grants.clear()

    def authorize(self, attributes: RequestAttributes) -> Decision:
        grants = self.grants(attributes.user, attributes.namespace)
        for grant in grants:
            for rule in grant.rules:
                if rule.allows(attributes):
                    return Decision(True, f"RBAC: allowed by {grant.source}")
        missing = list(dict.fromkeys(grant.missing for grant in grants if grant.missing))
        if not missing:
            return Decision(False)
        shown = missing[0] if len(missing) == 1 else f"[{', '.join(missing)}]"
        return Decision(False, f"RBAC: {shown}")

    def grants(self, user: User, namespace: str) -> tuple[Grant, ...]:
        """Return all that is granted to *user* in the cluster, and in *namespace* if there is one."""
        key = (user.name, user.groups, namespace)
        known = self._grants.get(key)
        if known is None:
            if len(self._grants) >= _REMEMBERED_MAX:
                self._grants.clear()
            known = self._grants[key] = tuple(self._find(user, namespace))
        return known

    def rules_for(self, user: User, namespace: str) -> list[Rule]:
        return [rule for grant in self.grants(user, namespace) for rule in grant.rules]

    def role_rules(self, reference: Object, namespace: str) -> tuple[Rule, ...] | None:
        """Return the rules of the role that a binding's roleRef names; None if there is no such role."""
        return self._rules.get(Key(namespace if reference["kind"] == "Role" else "", reference["name"]))

    def _find(self, user: User, namespace: str) -> Iterator[Grant]:
        for where in ("", namespace) if namespace else ("",):
            found: dict[Key, Object] = {}
            for subject in (f"User {user.name}", *(f"Group {group}" for group in user.groups)):
                found |= self._bindings.get((where, subject), {})
            for binding in found.values():
                yield self._grant(binding, user)

    def _grant(self, binding: Object, user: User) -> Grant:
        reference, namespace = binding["roleRef"], key_of(binding).namespace
        rules = self.role_rules(reference, namespace)
        if rules is None:
            kind = reference["kind"].lower()
            return Grant("", missing=f"{kind}.{GROUP} {quoted(reference['name'])} not found")
        return Grant(_described(binding, user), rules)


def _subjects(binding: Object) -> Iterator[tuple[str, str]]:
    """Yield under which namespace and subject *binding* is found."""
    namespace = key_of(binding).namespace
    for subject in binding.get("subjects") or ():
        if word := _word(subject, namespace):
            yield namespace, word


def _word(subject: Object, namespace: str) -> str:
    """Return *subject* as a user or group; "" for one that stands for nobody."""
    if subject["kind"] != "ServiceAccount":
        return f"{subject['kind']} {subject['name']}"
    within = subject.get("namespace") or namespace
    return f"User {service_account_name(within, subject['name'])}" if within else ""


def _described(binding: Object, user: User) -> str:
    """Return which binding it is, of what, to which subject, as upstream names it in reasons."""
    key = key_of(binding)
    words = {f"User {user.name}", *(f"Group {group}" for group in user.groups)}
    subject = next(each for each in binding["subjects"] if _word(each, key.namespace) in words)
    to = subject["name"]
    if subject["kind"] == "ServiceAccount":
        to = f"{to}/{subject.get('namespace') or key.namespace}"
    name = f"{key.name}/{key.namespace}" if key.namespace else key.name
    kind = "RoleBinding" if key.namespace else "ClusterRoleBinding"
    reference = binding["roleRef"]
    role = f"{reference['kind']} {quoted(reference['name'])}"
    return f"{kind} {quoted(name)} of {role} to {subject['kind']} {quoted(to)}"
