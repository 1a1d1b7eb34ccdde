"""Conditions in the form that newer kinds share (metav1.Condition).

Source: kubernetes, staging/src/k8s.io/apimachinery/pkg/apis/meta/v1/validation/validation.go
(ValidateConditions).
"""

import re
from collections.abc import Iterator

from kubelab.cluster.apiserver.fields import (
    FieldError,
    duplicate,
    indexed,
    invalid_value,
    label_key,
    not_negative,
    required,
    too_long,
    unsupported_value,
    word,
)
from kubelab.cluster.objects import Object

MESSAGE_BYTES_MAX = 32 * 1024
REASON_BYTES_MAX = 1024
_REASON = "[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?"
_REASON_MISMATCH = (
    "a condition reason must start with alphabetic character, optionally followed by a string of "
    "alphanumeric characters or '_,:', and must end with an alphanumeric character or '_' (e.g. 'my_name',  "
    f"or 'MY_NAME',  or 'MyName',  or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex used for validation is "
    f"'{_REASON}')"
)


def validate(conditions: list[Object] | None, field: str) -> Iterator[FieldError]:
    seen: set[str] = set()
    for place, condition in indexed(conditions, field):
        type_ = condition.get("type", "")
        if type_ in seen:
            yield duplicate(f"{place}.type", type_)
        seen.add(type_)
        yield from _condition(condition, place)


def _condition(condition: Object, field: str) -> Iterator[FieldError]:
    yield from word(condition.get("type", ""), f"{field}.type", label_key)
    if condition.get("status") not in {"False", "True", "Unknown"}:
        supported = ("False", "True", "Unknown")
        yield unsupported_value(f"{field}.status", condition.get("status", ""), supported)
    yield from not_negative(condition.get("observedGeneration"), f"{field}.observedGeneration")
    if not condition.get("lastTransitionTime"):
        yield required(f"{field}.lastTransitionTime", "must be set")
    yield from _reason(condition.get("reason", ""), f"{field}.reason")
    if len(condition.get("message", "").encode()) > MESSAGE_BYTES_MAX:
        yield too_long(f"{field}.message", MESSAGE_BYTES_MAX)


def _reason(reason: str, field: str) -> Iterator[FieldError]:
    if not reason:
        yield required(field, "must be set")
        return
    if not re.fullmatch(_REASON, reason):
        yield invalid_value(field, reason, _REASON_MISMATCH)
    if len(reason.encode()) > REASON_BYTES_MAX:
        yield too_long(field, REASON_BYTES_MAX)
