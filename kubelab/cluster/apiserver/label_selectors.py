"""Label selectors as fields of objects: what they must be.

Source: kubernetes, staging/src/k8s.io/apimachinery/pkg/apis/meta/v1/validation/validation.go.
"""

from collections.abc import Iterator

from kubelab.cluster.apiserver.fields import (
    FieldError,
    forbidden_field,
    indexed,
    invalid_value,
    label_key,
    label_value,
    labels,
    required,
    word,
)
from kubelab.cluster.objects import Object


def validate(selector: Object | None, field: str) -> Iterator[FieldError]:
    """Yield what is wrong with *selector*; None is not."""
    if selector is None:
        return
    yield from labels(selector.get("matchLabels"), f"{field}.matchLabels")
    for place, requirement in indexed(selector.get("matchExpressions"), f"{field}.matchExpressions"):
        yield from _requirement(requirement, place)


def _requirement(requirement: Object, field: str) -> Iterator[FieldError]:
    operator, values = requirement.get("operator", ""), requirement.get("values") or []
    if operator in {"In", "NotIn"}:
        if not values:
            yield required(f"{field}.values", "must be specified when `operator` is 'In' or 'NotIn'")
    elif operator in {"Exists", "DoesNotExist"}:
        if values:
            detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            yield forbidden_field(f"{field}.values", detail)
    else:
        yield invalid_value(f"{field}.operator", operator, "not a valid selector operator")
    yield from word(requirement.get("key", ""), f"{field}.key", label_key)
    for place, value in indexed(values, f"{field}.values"):
        yield from word(value, place, label_value)
