"""Leases: what they must be, and how they are shown.

Source: kubernetes, pkg/apis/coordination/validation/validation.go, pkg/printers/internalversion/printers.go.
"""

from collections.abc import Iterator
from datetime import datetime

from kubelab.cluster.apiserver.columns import AGE, NAME, Cells, Column, age
from kubelab.cluster.apiserver.fields import (
    FieldError,
    forbidden_field,
    invalid_value,
    label_key,
    not_negative,
    unsupported_value,
    word,
)
from kubelab.cluster.objects import Object

STRATEGIES = ("OldestEmulationVersion",)

COLUMNS = (NAME, Column("Holder", documents="k8s.io/api/coordination/v1.LeaseSpec.holderIdentity"), AGE)


def cells(lease: Object, now: datetime) -> Cells:
    holder = (lease.get("spec") or {}).get("holderIdentity", "")
    return [lease["metadata"]["name"], holder, age(lease, now)]


def validate(lease: Object) -> Iterator[FieldError]:
    spec = lease.get("spec") or {}
    duration_s, strategy = spec.get("leaseDurationSeconds"), spec.get("strategy")
    if duration_s is not None and duration_s <= 0:
        yield invalid_value("spec.leaseDurationSeconds", duration_s, "must be greater than 0")
    yield from not_negative(spec.get("leaseTransitions"), "spec.leaseTransitions")
    if strategy is not None:
        yield from _strategy(strategy, "spec.strategy.strategy")  # Upstream's own slip: the name twice.
    if spec.get("preferredHolder") and not strategy:
        detail = "may only be specified if `strategy` is defined"
        yield forbidden_field("spec.preferredHolder", detail)


def _strategy(strategy: str, field: str) -> Iterator[FieldError]:
    if "/" in strategy:
        yield from word(strategy, field, label_key)
    elif strategy not in STRATEGIES:
        yield unsupported_value(field, strategy, STRATEGIES)
