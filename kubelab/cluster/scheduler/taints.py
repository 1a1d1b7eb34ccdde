"""Taints and tolerations.

Source: kubernetes, staging/src/k8s.io/component-helpers/scheduling/corev1/helpers.go and
staging/src/k8s.io/api/core/v1/toleration.go (ToleratesTaint).
Left out: the operators Lt and Gt.
"""

from collections.abc import Iterable

from kubelab.cluster.objects import Object

UNSCHEDULABLE = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}


def taints_of(node: Object) -> list[Object]:
    return node["spec"].get("taints") or []


def tolerates(pod: Object, taint: Object) -> bool:
    return any(_matches(toleration, taint) for toleration in pod["spec"].get("tolerations") or ())


def _matches(toleration: Object, taint: Object) -> bool:
    """An empty effect or key matches all; `Equal` (the default) compares the value, `Exists` does not."""
    if toleration.get("effect") and toleration["effect"] != taint["effect"]:
        return False
    if toleration.get("key") and toleration["key"] != taint["key"]:
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return True
    return bool(toleration.get("key")) and toleration.get("value", "") == taint.get("value", "")


def untolerated(pod: Object, node: Object, effects: Iterable[str]) -> list[Object]:
    wanted = set(effects)
    return [taint for taint in taints_of(node) if taint["effect"] in wanted and not tolerates(pod, taint)]
