"""Numbers that may also be a share of another one: `3`, `"25%"`.

Source: kubernetes, pkg/apis/apps/validation/validation.go (ValidatePositiveIntOrPercent) and
staging/src/k8s.io/apimachinery/pkg/util/validation/validation.go (IsValidPercent).
"""

import re
from collections.abc import Iterator

from kubelab.cluster.apiserver.fields import FieldError, invalid_value, not_negative

IntOrPercent = int | str

_MISMATCH = (
    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', "
    "regex used for validation is '[0-9]+%')"
)


def number(value: IntOrPercent | None) -> int:
    """Return the number in *value*, whatever it is a number of; 0 if there is none."""
    match = re.fullmatch("([0-9]+)%?", str(value))
    return int(match[1]) if match else 0


def validate(value: IntOrPercent | None, field: str) -> Iterator[FieldError]:
    if isinstance(value, int):
        yield from not_negative(value, field)
    elif isinstance(value, str) and not re.fullmatch("[0-9]+%", value):
        yield invalid_value(field, value, _MISMATCH)


def at_most_all(value: IntOrPercent | None, field: str) -> Iterator[FieldError]:
    """Yield an error if *value* is more than 100%; as a number it may be anything."""
    if isinstance(value, str) and re.fullmatch("[0-9]+%", value) and number(value) > 100:
        yield invalid_value(field, value, "must not be greater than 100%")
