"""LimitRanges: their defaults and what they must be. They are printed with their name and age alone.

Source: kubernetes, pkg/apis/core/v1/defaults.go (SetDefaults_LimitRangeItem) and
pkg/apis/core/validation/validation.go (ValidateLimitRange).
"""

from collections.abc import Iterator, Mapping

from kubelab.cluster import quantity
from kubelab.cluster.apiserver.fields import (
    FieldError,
    duplicate,
    forbidden_field,
    indexed,
    invalid_value,
    label_key,
    required,
    word,
)
from kubelab.cluster.apiserver.resource_names import any_name, container_name, is_overcommit_allowed
from kubelab.cluster.objects import Object
from kubelab.cluster.quantity import NANOS, Quantity

_TYPES = ("Container", "PersistentVolumeClaim", "Pod")
_OF_PODS = ("Container", "Pod")
_PARTS = ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")
_NOT_OF_POD = ("default", "defaultRequest")
_STORAGE = "storage"
Quantities = Mapping[str, Quantity]


def set_defaults(limit_range: Object) -> None:
    for limit in limit_range.setdefault("spec", {}).setdefault("limits", []):
        if limit.get("type") == "Container":
            _set_container_defaults(limit)


def _set_container_defaults(limit: Object) -> None:
    """What is not said follows: the limit from the maximum, the request from the limit or the minimum."""
    default = (limit.get("max") or {}) | (limit.get("default") or {})
    request = (limit.get("min") or {}) | default | (limit.get("defaultRequest") or {})
    for key, values in (("default", default), ("defaultRequest", request)):
        if values:
            limit[key] = values


def validate(limit_range: Object) -> Iterator[FieldError]:
    seen: set[str] = set()
    for place, limit in indexed(limit_range["spec"]["limits"], "spec.limits"):
        type_ = limit.get("type", "")
        yield from _type(type_, f"{place}.type")
        if type_ in seen:
            yield duplicate(f"{place}.type", type_)
        seen.add(type_)
        yield from _names(limit, type_, place)
        if type_ == "PersistentVolumeClaim" and not any(
            _STORAGE in (limit.get(key) or ()) for key in _PARTS[:2]
        ):
            detail = "either minimum or maximum storage value is required, but neither was provided"
            yield required(f"{place}.limits", detail)
        yield from _amounts(limit, type_, place)


def _type(type_: str, field: str) -> Iterator[FieldError]:
    wrong = list(word(type_, field, label_key))
    yield from wrong
    if not wrong and "/" not in type_ and type_ not in _TYPES:
        yield invalid_value(field, type_, "must be a standard limit type or fully qualified")


def _names(limit: Object, type_: str, field: str) -> Iterator[FieldError]:
    check = container_name if type_ in _OF_PODS else any_name
    for part in _PARTS:
        if type_ == "Pod" and part in _NOT_OF_POD:
            if limit.get(part):
                yield forbidden_field(f"{field}.{part}", "may not be specified when `type` is 'Pod'")
            continue
        for name in limit.get(part) or ():
            yield from check(name, f"{field}.{part}[{name}]")


def _amounts(limit: Object, type_: str, field: str) -> Iterator[FieldError]:
    parts = [part for part in _PARTS if type_ != "Pod" or part not in _NOT_OF_POD]
    values: dict[str, dict[str, Quantity]] = {part: {} for part in _PARTS}
    for part in parts:
        for name, value in (limit.get(part) or {}).items():
            values[part][name] = quantity.parse(value)
    for name in sorted({name for each in values.values() for name in each}):
        yield from _order(name, values, field)
        yield from _ratio(name, values, field)
        default, request = values["default"].get(name), values["defaultRequest"].get(name)
        if (
            not is_overcommit_allowed(name)
            and default is not None
            and request is not None
            and default != request
        ):
            detail = f"default value {default} must equal to defaultRequest value {request} in {name}"
            yield invalid_value(f"{field}.defaultRequest[{name}]", str(request), detail)


def _order(name: str, values: Mapping[str, Quantities], field: str) -> Iterator[FieldError]:
    """Yield where min <= default request <= default limit <= max does not hold."""
    for small, large, at, shown, words in (
        ("min", "max", "min", "min", "min value {} is greater than max value {}"),
        (
            "min",
            "defaultRequest",
            "defaultRequest",
            "defaultRequest",
            "min value {} is greater than default request value {}",
        ),
        (
            "defaultRequest",
            "max",
            "defaultRequest",
            "defaultRequest",
            "default request value {} is greater than max value {}",
        ),
        (
            "defaultRequest",
            "default",
            "defaultRequest",
            "defaultRequest",
            "default request value {} is greater than default limit value {}",
        ),
        ("min", "default", "default", "min", "min value {} is greater than default value {}"),
        ("default", "max", "default", "max", "default value {} is greater than max value {}"),
    ):
        lower, upper = values[small].get(name), values[large].get(name)
        if lower is not None and upper is not None and lower > upper:
            value = str(values[shown][name])
            yield invalid_value(f"{field}.{at}[{name}]", value, words.format(lower, upper))


def _ratio(name: str, values: Mapping[str, Quantities], field: str) -> Iterator[FieldError]:
    ratio, place = values["maxLimitRequestRatio"].get(name), f"{field}.maxLimitRequestRatio[{name}]"
    if ratio is None:
        return
    if ratio.nanos < NANOS:
        yield invalid_value(place, str(ratio), f"ratio {ratio} is less than 1")
    least, most = values["min"].get(name), values["max"].get(name)
    if least and most is not None and ratio.nanos / NANOS > most.nanos / least.nanos:
        detail = f"ratio {ratio} is greater than max/min = {most.nanos / least.nanos:f}"
        yield invalid_value(place, str(ratio), detail)
