"""Nodes: their defaults and what they must be.

Source: kubernetes, pkg/apis/core/v1/defaults.go (SetDefaults_NodeStatus) and
pkg/apis/core/validation/validation.go.
"""

from collections.abc import Iterator

from kubelab.cluster.apiserver.fields import FieldError, choice, forbidden_field, label_key, required, word
from kubelab.cluster.objects import Object

_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def set_defaults(node: Object) -> None:
    """A node that does not say what pods may use offers all that it has."""
    node.setdefault("spec", {})
    status = node.setdefault("status", {})
    if "capacity" in status:
        status.setdefault("allocatable", dict(status["capacity"]))


def validate(node: Object) -> Iterator[FieldError]:
    for index, taint in enumerate((node.get("spec") or {}).get("taints") or ()):
        field = f"spec.taints[{index}]"
        if not taint.get("effect"):
            yield required(f"{field}.effect")
        yield from choice(taint.get("effect") or None, f"{field}.effect", _EFFECTS)
        yield from word(taint.get("key", ""), f"{field}.key", label_key)


def validate_update(new: Object, old: Object) -> Iterator[FieldError]:
    for key in ("podCIDR", "providerID"):
        before = (old.get("spec") or {}).get(key)
        if before and (new.get("spec") or {}).get(key) != before:
            yield forbidden_field("spec", f'node updates may not change {key} except from "" to valid')
