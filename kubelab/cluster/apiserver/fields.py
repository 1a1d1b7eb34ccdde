"""Errors of single fields, and the checks of words and numbers that all kinds share, in upstream's words.

Source: kubernetes, staging/src/k8s.io/apimachinery/pkg/util/validation/field/errors.go, ../validation.go and
pkg/api/validate/content. Paths are plain strings (`spec.containers[0].name`).
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec

LABEL_LENGTH_MAX = 63
SUBDOMAIN_LENGTH_MAX = 253
PORT_NAME_LENGTH_MAX = 15
PORT_MAX = 65535

Check = Callable[[str], Iterator[str]]  # Yields each thing that is wrong with a word.


@dataclass(frozen=True, slots=True)
class FieldError:
    """`reason` is upstream's error type: FieldValueRequired, FieldValueInvalid, ..."""

    reason: str
    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"

    def cause(self) -> dict[str, str]:
        return {"reason": self.reason, "message": self.message, "field": self.field}


def _shown(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def required(field: str, detail: str = "") -> FieldError:
    return FieldError(
        "FieldValueRequired", field, f"Required value: {detail}" if detail else "Required value"
    )


def invalid_value(field: str, value: Any, detail: str) -> FieldError:
    return FieldError("FieldValueInvalid", field, f"Invalid value: {_shown(value)}: {detail}")


def unsupported_value(field: str, value: Any, supported: Iterable[str]) -> FieldError:
    choices = ", ".join(_shown(choice) for choice in supported)
    message = f"Unsupported value: {_shown(value)}: supported values: {choices}"
    return FieldError("FieldValueNotSupported", field, message)


def too_many(field: str, actual: int, maximum: int) -> FieldError:
    message = f"Too many: {actual}: must have at most {maximum} item{'' if maximum == 1 else 's'}"
    return FieldError("FieldValueTooMany", field, message)


def forbidden_field(field: str, detail: str) -> FieldError:
    return FieldError("FieldValueForbidden", field, f"Forbidden: {detail}")


def duplicate(field: str, value: Any) -> FieldError:
    return FieldError("FieldValueDuplicate", field, f"Duplicate value: {_shown(value)}")


def too_long(field: str, length_max: int) -> FieldError:
    return FieldError("FieldValueTooLong", field, f"Too long: may not be more than {length_max} bytes")


def immutable(field: str, value: Any) -> FieldError:
    return invalid_value(field, value, "field is immutable")


def not_found_value(field: str, value: Any) -> FieldError:
    return FieldError("FieldValueNotFound", field, f"Not found: {_shown(value)}")


def _mismatch(sentence: str, regex: str, *examples: str) -> str:
    shown = " or ".join(f"'{example}', " for example in examples)
    return f"{sentence} (e.g. {shown}regex used for validation is '{regex}')"


_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_KEY = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_VALUE = f"({_KEY})?"
_CONFIG_KEY = "[-._a-zA-Z0-9]+"
_DNS_1035_LABEL = "[a-z]([-a-z0-9]*[a-z0-9])?"
_HTTP_HEADER = "[-A-Za-z0-9]+"

_LABEL_MISMATCH = _mismatch(
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start "
    "and end with an alphanumeric character",
    _LABEL,
    "my-name",
    "123-abc",
)
_SUBDOMAIN_MISMATCH = _mismatch(
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must "
    "start and end with an alphanumeric character",
    _SUBDOMAIN,
    "example.com",
)
_KEY_MISMATCH = _mismatch(
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character",
    _KEY,
    "MyName",
    "my.name",
    "123-abc",
)
_VALUE_MISMATCH = _mismatch(
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must "
    "start and end with an alphanumeric character",
    _VALUE,
    "MyValue",
    "my_value",
    "12345",
)
_CONFIG_KEY_MISMATCH = _mismatch(
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
    _CONFIG_KEY,
    "key.name",
    "KEY_NAME",
    "key-name",
)
_DNS_1035_LABEL_MISMATCH = _mismatch(
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic "
    "character, and end with an alphanumeric character",
    _DNS_1035_LABEL,
    "my-name",
    "abc-123",
)
_HTTP_HEADER_MISMATCH = _mismatch(
    "a valid HTTP header must consist of alphanumeric characters or '-'", _HTTP_HEADER, "X-Header-Name"
)
_ENV_NAME_MISMATCH = (
    "a valid environment variable name must consist only of printable ASCII characters other than '='"
)


def _bytes_max(value: str, length_max: int) -> Iterator[str]:
    if len(value.encode()) > length_max:
        yield f"must be no more than {length_max} bytes"


def dns_label(value: str) -> Iterator[str]:
    """Yield what keeps *value* from being an RFC 1123 label."""
    yield from _bytes_max(value, LABEL_LENGTH_MAX)
    if not re.fullmatch(_LABEL, value):
        yield "must not contain dots" if re.fullmatch(_SUBDOMAIN, value) else _LABEL_MISMATCH


def dns_1035_label(value: str) -> Iterator[str]:
    """Yield what keeps *value* from being an RFC 1035 label: as `dns_label`, but it begins with a letter."""
    yield from _bytes_max(value, LABEL_LENGTH_MAX)
    if not re.fullmatch(_DNS_1035_LABEL, value):
        yield _DNS_1035_LABEL_MISMATCH


def dns_subdomain(value: str) -> Iterator[str]:
    """Yield what keeps *value* from being an RFC 1123 subdomain."""
    yield from _bytes_max(value, SUBDOMAIN_LENGTH_MAX)
    if not re.fullmatch(_SUBDOMAIN, value):
        yield _SUBDOMAIN_MISMATCH


def label_key(value: str) -> Iterator[str]:
    """Yield what keeps *value* from being a key of labels or annotations: `[prefix/]name`."""
    *prefixes, name = value.split("/")
    if len(prefixes) > 1:
        prefixed = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        yield f"a valid label key {_KEY_MISMATCH} {prefixed}"
        return
    for prefix in prefixes:
        details = dns_subdomain(prefix) if prefix else iter(("must be non-empty",))
        yield from (f"prefix part {detail}" for detail in details)
    if not name:
        yield "name part must be non-empty"
    yield from (f"name part {detail}" for detail in _bytes_max(name, LABEL_LENGTH_MAX))
    if not re.fullmatch(_KEY, name):
        yield f"name part {_KEY_MISMATCH}"


def label_value(value: str) -> Iterator[str]:
    yield from _bytes_max(value, LABEL_LENGTH_MAX)
    if not re.fullmatch(_VALUE, value):
        yield _VALUE_MISMATCH


def _no_parent_directory(value: str) -> Iterator[str]:
    if value in {".", ".."}:
        yield f"must not be '{value}'"
    elif value.startswith(".."):
        yield "must not start with '..'"


def config_key(value: str) -> Iterator[str]:
    """Yield what keeps *value* from being a key of a ConfigMap or Secret."""
    yield from _bytes_max(value, SUBDOMAIN_LENGTH_MAX)
    if not re.fullmatch(_CONFIG_KEY, value):
        yield _CONFIG_KEY_MISMATCH
    yield from _no_parent_directory(value)


def env_name(value: str) -> Iterator[str]:
    """Yield what keeps *value* from being a variable's name, by the relaxed rules (KEP-4369)."""
    if not value:
        yield "environment variable name must be non-empty"
    if any(not " " <= character <= "~" or character == "=" for character in value):
        yield _ENV_NAME_MISMATCH


def http_header(value: str) -> Iterator[str]:
    if not re.fullmatch(_HTTP_HEADER, value):
        yield _HTTP_HEADER_MISMATCH


def port_name(value: str) -> Iterator[str]:
    """Yield what keeps *value* from being an IANA service name."""
    yield from _bytes_max(value, PORT_NAME_LENGTH_MAX)
    if not re.fullmatch("[-a-z0-9]+", value):
        yield "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"
    if not re.search("[a-z]", value):
        yield "must contain at least one letter (a-z)"
    if "--" in value:
        yield "must not contain consecutive hyphens"
    if value.strip("-") != value:
        yield "must not begin or end with a hyphen"


def word(value: str, field: str, check: Check) -> Iterator[FieldError]:
    """Yield an error for each thing that *check* finds wrong with *value*."""
    found = _found(check, value) if len(value) <= SUBDOMAIN_LENGTH_MAX else check(value)
    return (invalid_value(field, value, detail) for detail in found)


def is_word(check: Check, value: str) -> bool:
    """Whether *check* finds nothing wrong with *value*."""
    return len(value) <= SUBDOMAIN_LENGTH_MAX and not _found(check, value)


@lru_cache(8192)  # Most words come again and again: the keys of labels, the names of resources.
def _found(check: Check, value: str) -> tuple[str, ...]:
    return tuple(check(value))


def labels(values: Mapping[str, str] | None, field: str) -> Iterator[FieldError]:
    for key, value in (values or {}).items():
        if not (is_word(label_key, key) and is_word(label_value, value)):
            yield from word(key, field, label_key)
            yield from word(value, field, label_value)


def choice(value: str | None, field: str, supported: Iterable[str]) -> Iterator[FieldError]:
    """Yield an error if *value* is there and not one of *supported*."""
    if value is not None and value not in supported:
        yield unsupported_value(field, value, supported)


def not_negative(value: int | None, field: str) -> Iterator[FieldError]:
    return at_least(0, value, field)


def at_least(minimum: int, value: int | None, field: str) -> Iterator[FieldError]:
    if value is not None and value < minimum:
        yield invalid_value(field, value, f"must be greater than or equal to {minimum}")


def port_number(value: int, field: str) -> Iterator[FieldError]:
    if not 1 <= value <= PORT_MAX:
        yield invalid_value(field, value, f"must be between 1 and {PORT_MAX}, inclusive")


def port_number_or_name(value: int | str, field: str) -> Iterator[FieldError]:
    if isinstance(value, int):
        yield from port_number(value, field)
    else:
        yield from word(value, field, port_name)


def between(minimum: int, maximum: int, value: int | None, field: str) -> Iterator[FieldError]:
    if value is not None and not minimum <= value <= maximum:
        yield invalid_value(field, value, f"must be between {minimum} and {maximum}, inclusive")


def indexed(items: Sequence[Any] | None, field: str) -> Iterator[tuple[str, Any]]:
    """Yield the place and the item of each of *items*."""
    return ((f"{field}[{index}]", item) for index, item in enumerate(items or ()))


def unique(values: Sequence[str], field: Callable[[int], str]) -> Iterator[FieldError]:
    """Yield an error at each of *values* that was there before; *field* names the place of one."""
    seen: set[str] = set()
    for index, value in enumerate(values):
        if value in seen:
            yield duplicate(field(index), value)
        seen.add(value)
