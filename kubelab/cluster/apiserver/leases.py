"""Leases: what they must be.

Source: kubernetes, pkg/apis/coordination/validation/validation.go.
"""

from collections.abc import Iterator

from kubelab.cluster.apiserver.fields import FieldError, invalid_value, not_negative
from kubelab.cluster.objects import Object


def validate(lease: Object) -> Iterator[FieldError]:
    spec = lease.get("spec") or {}
    duration_s = spec.get("leaseDurationSeconds")
    if duration_s is not None and duration_s <= 0:
        yield invalid_value("spec.leaseDurationSeconds", duration_s, "must be greater than 0")
    transitions = spec.get("leaseTransitions")
    yield from not_negative(transitions, "spec.leaseTransitions")
