"""Roles, ClusterRoles and their bindings: defaults, what they must be, what may not change, their columns.

Source: kubernetes, pkg/apis/rbac/v1/defaults.go, pkg/apis/rbac/validation/validation.go,
pkg/printers/internalversion/printers.go. That nobody grants more than he has is authorization's to see to.
"""

from collections.abc import Iterator
from datetime import datetime

from kubelab.cluster.apiserver import label_selectors, pod_templates
from kubelab.cluster.apiserver.columns import AGE, NAME, Cells, Column, age
from kubelab.cluster.apiserver.fields import (
    FieldError,
    dns_subdomain,
    indexed,
    invalid_value,
    required,
    unsupported_value,
    word,
)
from kubelab.cluster.apiserver.path_segments import path_segment
from kubelab.cluster.objects import Object

GROUP = "rbac.authorization.k8s.io"
_SUBJECTS = ("ServiceAccount", "User", "Group")


def _binding_columns(kind: str) -> tuple[Column, ...]:
    word = kind[0].lower() + kind[1:]
    return (
        NAME,
        Column("Role", documents=f"k8s.io/api/rbac/v1.{kind}.roleRef"),
        AGE,
        Column("Users", priority=1, description=f"Users in the {word}"),
        Column("Groups", priority=1, description=f"Groups in the {word}"),
        Column("ServiceAccounts", priority=1, description=f"ServiceAccounts in the {word}"),
    )


BINDING_COLUMNS = _binding_columns("RoleBinding")
CLUSTER_BINDING_COLUMNS = _binding_columns("ClusterRoleBinding")


def binding_cells(binding: Object, now: datetime) -> Cells:
    role = binding.get("roleRef") or {}
    shown = f"{role.get('kind', '')}/{role.get('name', '')}"
    subjects = [_subjects_text(binding, kind) for kind in ("User", "Group", "ServiceAccount")]
    return [binding["metadata"]["name"], shown, age(binding, now), *subjects]


def _subjects_text(binding: Object, kind: str) -> str:
    subjects = [each for each in binding.get("subjects") or () if each.get("kind") == kind]
    if kind != "ServiceAccount":
        return ", ".join(each.get("name", "") for each in subjects)
    return ", ".join("/".join(filter(None, (each.get("namespace"), each.get("name")))) for each in subjects)


# Roles


def set_role_defaults(role: Object) -> None:
    role.setdefault("rules", None)  # As upstream shows an aggregated role: there, but not yet filled.


def validate_role(role: Object) -> Iterator[FieldError]:
    for place, rule in indexed(role.get("rules"), "rules"):
        yield from _rule(rule, place, namespaced=True)


def validate_cluster_role(role: Object) -> Iterator[FieldError]:
    for place, rule in indexed(role.get("rules"), "rules"):
        yield from _rule(rule, place, namespaced=False)
    if (aggregation := role.get("aggregationRule")) is None:
        return
    field, selectors = "aggregationRule.clusterRoleSelectors", aggregation.get("clusterRoleSelectors")
    if not selectors:
        yield required(field, "at least one clusterRoleSelector required if aggregationRule is non-nil")
    for place, selector in indexed(selectors, field):
        yield from label_selectors.validate(selector, place)
        if pod_templates.parsed(selector) is None:
            yield invalid_value(place, selector, "invalid label selector.")


def _rule(rule: Object, field: str, *, namespaced: bool) -> Iterator[FieldError]:
    if not rule.get("verbs"):
        yield required(f"{field}.verbs", "verbs must contain at least one value")
    if urls := rule.get("nonResourceURLs"):
        if namespaced:
            detail = "namespaced rules cannot apply to non-resource URLs"
            yield invalid_value(f"{field}.nonResourceURLs", urls, detail)
        if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
            detail = "rules cannot apply to both regular resources and non-resource URLs"
            yield invalid_value(f"{field}.nonResourceURLs", urls, detail)
        return
    if not rule.get("apiGroups"):
        yield required(f"{field}.apiGroups", "resource rules must supply at least one api group")
    if not rule.get("resources"):
        yield required(f"{field}.resources", "resource rules must supply at least one resource")


# Bindings


def set_binding_defaults(binding: Object) -> None:
    role = binding.setdefault("roleRef", {})
    role["apiGroup"] = role.get("apiGroup") or GROUP
    for subject in binding.get("subjects") or ():
        if not subject.get("apiGroup") and subject.get("kind") in {"User", "Group"}:
            subject["apiGroup"] = GROUP


def validate_binding(binding: Object) -> Iterator[FieldError]:
    yield from _binding(binding, ("Role", "ClusterRole"), namespaced=True)


def validate_cluster_binding(binding: Object) -> Iterator[FieldError]:
    yield from _binding(binding, ("ClusterRole",), namespaced=False)


def _binding(binding: Object, kinds: tuple[str, ...], *, namespaced: bool) -> Iterator[FieldError]:
    role = binding.get("roleRef") or {}
    if role.get("apiGroup") != GROUP:
        yield unsupported_value("roleRef.apiGroup", role.get("apiGroup", ""), (GROUP,))
    if role.get("kind") not in kinds:
        yield unsupported_value("roleRef.kind", role.get("kind", ""), kinds)
    if name := role.get("name"):
        yield from word(name, "roleRef.name", path_segment)
    else:
        yield required("roleRef.name")
    for place, subject in indexed(binding.get("subjects"), "subjects"):
        yield from _subject(subject, place, namespaced=namespaced)


def _subject(subject: Object, field: str, *, namespaced: bool) -> Iterator[FieldError]:
    kind, name, group = subject.get("kind", ""), subject.get("name", ""), subject.get("apiGroup", "")
    if not name:
        yield required(f"{field}.name")
    if kind not in _SUBJECTS:
        yield unsupported_value(f"{field}.kind", kind, _SUBJECTS)
    elif kind != "ServiceAccount":
        if group != GROUP:
            yield unsupported_value(f"{field}.apiGroup", group, (GROUP,))
    else:
        if name:
            yield from word(name, f"{field}.name", dns_subdomain)
        if group:
            yield unsupported_value(f"{field}.apiGroup", group, ("",))
        if not namespaced and not subject.get("namespace"):
            yield required(f"{field}.namespace")


def validate_binding_update(new: Object, old: Object) -> Iterator[FieldError]:
    if new.get("roleRef") != old.get("roleRef"):
        yield invalid_value("roleRef", new.get("roleRef"), "cannot change roleRef")
