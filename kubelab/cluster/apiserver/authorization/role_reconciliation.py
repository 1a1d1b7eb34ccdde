"""Bringing the default roles and bindings back when the server starts: what people added stays. Pure.

An object whose annotation `rbac.authorization.kubernetes.io/autoupdate` says "false" is left as it is.
Source: kubernetes, pkg/registry/rbac/reconciliation/{reconcile_role,reconcile_rolebindings}.go;
https://kubernetes.io/docs/reference/access-authn-authz/rbac/#auto-reconciliation.
"""

from kubelab.cluster.apiserver.authorization.default_roles import AUTOUPDATE
from kubelab.cluster.apiserver.authorization.rules import rules_of, uncovered
from kubelab.cluster.objects import Object


def reconciled(existing: Object, expected: Object) -> Object | None:
    """Return *existing* with what it lacks of *expected*; None if it lacks nothing or is to be left alone."""
    if (existing["metadata"].get("annotations") or {}).get(AUTOUPDATE, "true") == "false":
        return None
    new = existing | {"metadata": _with_marks(existing["metadata"], expected["metadata"])}
    if "roleRef" in expected:
        new |= _with_subjects(existing, expected)
    elif "aggregationRule" in expected:
        new |= {"aggregationRule": existing.get("aggregationRule") or expected["aggregationRule"]}
    else:
        new |= _with_rules(existing, expected)
    return None if new == existing else new


def must_be_made_anew(existing: Object, expected: Object) -> bool:
    """Whether a binding is to another role: that cannot be changed."""
    return "roleRef" in expected and existing["roleRef"] != expected["roleRef"]


def _with_marks(existing: Object, expected: Object) -> Object:
    marks = {key: (expected.get(key) or {}) | (existing.get(key) or {}) for key in ("annotations", "labels")}
    return existing | {key: values for key, values in marks.items() if values}


def _with_rules(existing: Object, expected: Object) -> Object:
    missing = uncovered(rules_of(existing), rules_of(expected))
    if not missing:
        return {}
    return {"rules": [*(existing.get("rules") or ()), *(rule.to_json() for rule in missing)]}


def _with_subjects(existing: Object, expected: Object) -> Object:
    present = existing.get("subjects") or []
    missing = [subject for subject in expected.get("subjects") or () if subject not in present]
    return {"subjects": [*present, *missing]} if missing else {}
