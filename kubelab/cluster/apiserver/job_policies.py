"""What a Job makes of failed pods, and when it counts as done: podFailurePolicy and successPolicy.

Source: kubernetes, pkg/apis/batch/validation/validation.go (validatePodFailurePolicy, validateSuccessPolicy).
"""

from collections.abc import Iterable, Iterator
from typing import Any

from kubelab.cluster.apiserver import job_indexes
from kubelab.cluster.apiserver.fields import (
    FieldError,
    duplicate,
    indexed,
    invalid_value,
    label_key,
    not_negative,
    required,
    too_long,
    too_many,
    unsupported_value,
    word,
)
from kubelab.cluster.apiserver.quoting import quoted
from kubelab.cluster.objects import Object

RULES_MAX = 20
EXIT_CODES_MAX = 255
PATTERNS_MAX = 20
INDEXES_BYTES_MAX = 64 * 1024
_ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")
_OPERATORS = ("In", "NotIn")
_STATUSES = ("False", "True", "Unknown")


def invalid(field: str, detail: str) -> FieldError:
    """Return an error about a part as a whole, whose value is not shown."""
    return FieldError("FieldValueInvalid", field, f"Invalid value: {detail}")


def _listed(values: Iterable[str]) -> str:
    return f"valid values: [{' '.join(map(quoted, values))}]"


def _choice(value: Any, field: str, supported: tuple[str, ...]) -> Iterator[FieldError]:
    if not value:
        yield required(field, _listed(supported))
    elif value not in supported:
        yield unsupported_value(field, value, supported)


def validate_failure_policy(spec: Object, field: str) -> Iterator[FieldError]:
    rules = (spec["podFailurePolicy"] or {}).get("rules") or []
    if len(rules) > RULES_MAX:
        yield too_many(f"{field}.rules", len(rules), RULES_MAX)
    for place, rule in indexed(rules, f"{field}.rules"):
        yield from _failure_rule(spec, rule, place)


def _failure_rule(spec: Object, rule: Object, field: str) -> Iterator[FieldError]:
    if rule.get("action") == "FailIndex" and spec.get("backoffLimitPerIndex") is None:
        yield invalid_value(f"{field}.action", "FailIndex", "requires the backoffLimitPerIndex to be set")
    else:
        yield from _choice(rule.get("action"), f"{field}.action", _ACTIONS)
    exit_codes, conditions = rule.get("onExitCodes"), rule.get("onPodConditions")
    if exit_codes is not None:
        yield from _exit_codes(exit_codes, _container_names(spec), f"{field}.onExitCodes")
    if conditions:
        yield from _conditions(conditions, f"{field}.onPodConditions")
    if exit_codes is not None and conditions:
        yield invalid(field, "specifying both OnExitCodes and OnPodConditions is not supported")
    elif exit_codes is None and not conditions:
        yield invalid(field, "specifying one of OnExitCodes and OnPodConditions is required")


def _container_names(spec: Object) -> set[str]:
    pod = (spec.get("template") or {}).get("spec") or {}
    containers = (*(pod.get("containers") or ()), *(pod.get("initContainers") or ()))
    return {container.get("name", "") for container in containers}


def _conditions(patterns: list[Object], field: str) -> Iterator[FieldError]:
    if len(patterns) > PATTERNS_MAX:
        yield too_many(field, len(patterns), PATTERNS_MAX)
    for place, pattern in indexed(patterns, field):
        yield from word(pattern.get("type", ""), f"{place}.type", label_key)
        yield from _choice(pattern.get("status"), f"{place}.status", _STATUSES)


def _exit_codes(requirement: Object, containers: set[str], field: str) -> Iterator[FieldError]:
    yield from _choice(requirement.get("operator"), f"{field}.operator", _OPERATORS)
    name = requirement.get("containerName")
    if name is not None and name not in containers:
        detail = "must be one of the container or initContainer names in the pod template"
        yield invalid_value(f"{field}.containerName", name, detail)
    codes = requirement.get("values") or []
    yield from _codes(codes, requirement.get("operator"), f"{field}.values")


def _codes(codes: list[int], operator: str | None, field: str) -> Iterator[FieldError]:
    if not codes:
        yield invalid_value(field, codes, "at least one value is required")
    elif len(codes) > EXIT_CODES_MAX:
        yield too_many(field, len(codes), EXIT_CODES_MAX)
    for index, code in enumerate(codes):
        if operator == "In" and code == 0:
            yield invalid_value(f"{field}[{index}]", code, "must not be 0 for the In operator")
        if code in codes[:index]:
            yield duplicate(f"{field}[{index}]", code)
    if codes != sorted(codes):
        yield invalid_value(field, codes, "must be ordered")


def validate_success_policy(spec: Object, field: str) -> Iterator[FieldError]:
    rules = (spec["successPolicy"] or {}).get("rules") or []
    if not rules:
        yield required(
            f"{field}.rules", "at least one rules must be specified when the successPolicy is specified"
        )
    if len(rules) > RULES_MAX:
        yield too_many(f"{field}.rules", len(rules), RULES_MAX)
    for place, rule in indexed(rules, f"{field}.rules"):
        yield from _success_rule(rule, spec.get("completions", 0), place)


def _success_rule(rule: Object, completions: int, field: str) -> Iterator[FieldError]:
    wanted, indexes = rule.get("succeededCount"), rule.get("succeededIndexes")
    if wanted is None and indexes is None:
        yield required(field, "at least one of succeededCount or succeededIndexes must be specified")
    total = 0
    if indexes is not None:
        if len(indexes) > INDEXES_BYTES_MAX:
            yield too_long(f"{field}.succeededIndexes", INDEXES_BYTES_MAX)
        try:
            total = job_indexes.count(job_indexes.parse(indexes, completions))
        except job_indexes.IndexesError as error:
            detail = f"error parsing succeededIndexes: {error}"
            yield invalid_value(f"{field}.succeededIndexes", indexes, detail)
    if wanted is not None:
        yield from not_negative(wanted, f"{field}.succeededCount")
        limits = [(completions, "the number of specified completions")]
        if indexes is not None:
            limits.append((total, "the number of indexes in the specified succeededIndexes field"))
        for limit, what in limits:
            if wanted > limit:
                detail = f"must be less than or equal to {limit} ({what})"
                yield invalid_value(f"{field}.succeededCount", wanted, detail)
