"""The status of Jobs: what must be true of it, and how it may move on.

Source: kubernetes, pkg/apis/batch/validation/validation.go (validateJobStatus, ValidateJobStatusUpdate) and
pkg/registry/batch/job/strategy.go (getStatusValidationOptions). As there, a rule is asked only if what it is
about changes: a status that already broke it can still be mended elsewhere.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from kubelab.cluster.apiserver import job_indexes
from kubelab.cluster.apiserver.fields import (
    FieldError,
    duplicate,
    indexed,
    invalid_value,
    not_negative,
    required,
)
from kubelab.cluster.apiserver.job_conditions import is_finished, is_true
from kubelab.cluster.apiserver.job_policies import invalid
from kubelab.cluster.objects import Object

_COUNTS = ("active", "succeeded", "failed", "ready", "terminating")
_TERMINAL = ("Failed", "Complete", "FailureTarget")


@dataclass(frozen=True, slots=True)
class _Change:
    new: Object
    old: Object

    @property
    def status(self) -> Object:
        return self.new.get("status") or {}

    @property
    def before(self) -> Object:
        return self.old.get("status") or {}

    @property
    def spec(self) -> Object:
        return self.new.get("spec") or {}

    def of(self, *names: str) -> bool:
        """Tell whether one of these fields, or conditions, changes."""
        return any(
            is_true(self.new, name) != is_true(self.old, name)
            if name[0].isupper()
            else self.status.get(name) != self.before.get(name)
            for name in names
        )

    @property
    def finishes(self) -> bool:
        return is_finished(self.new) != is_finished(self.old)


def validate(new: Object, old: Object) -> Iterator[FieldError]:
    change = _Change(new, old)
    for name in _COUNTS:
        yield from not_negative(change.status.get(name), f"status.{name}")
    for rules in (_uncounted, _conditions, _times, _finished, _indexes, _exclusive, _transitions):
        yield from rules(change)


def _uncounted(change: _Change) -> Iterator[FieldError]:
    uncounted, seen = change.status.get("uncountedTerminatedPods") or {}, set[str]()
    for part in ("succeeded", "failed"):
        for place, uid in indexed(uncounted.get(part), f"status.uncountedTerminatedPods.{part}"):
            if not uid:
                yield invalid_value(place, uid, "must not be empty")
            elif uid in seen:
                yield duplicate(place, uid)
            seen.add(uid)


def _conditions(change: _Change) -> Iterator[FieldError]:
    complete = is_true(change.new, "Complete")
    if change.of("Complete", "Failed") and complete and is_true(change.new, "Failed"):
        yield invalid("status.conditions", "cannot set Complete=True and Failed=true conditions")
    if change.of("Complete", "FailureTarget") and complete and is_true(change.new, "FailureTarget"):
        yield invalid("status.conditions", "cannot set Complete=True and FailureTarget=true conditions")


def _times(change: _Change) -> Iterator[FieldError]:
    status, complete = change.status, is_true(change.new, "Complete")
    started, completed = status.get("startTime"), status.get("completionTime")
    if change.of("Complete", "completionTime"):
        if completed and not complete:
            detail = "cannot set completionTime when there is no Complete=True condition"
            yield invalid_value("status.completionTime", completed, detail)
        elif complete and not completed:
            yield required("status.completionTime", "completionTime is required for Complete jobs")
    if change.of("startTime", "completionTime") and started and completed and _before(completed, started):
        detail = "completionTime cannot be set before startTime"
        yield invalid_value("status.completionTime", completed, detail)


def _before(left: str, right: str) -> bool:
    return datetime.fromisoformat(left) < datetime.fromisoformat(right)


def _finished(change: _Change) -> Iterator[FieldError]:
    status = change.status
    if not is_finished(change.new):
        return
    if (change.finishes or change.of("Failed")) and is_true(change.new, "Failed"):
        yield from _announced(change, "Failed", "FailureTarget")
    if (change.finishes or change.of("Complete")) and is_true(change.new, "Complete"):
        yield from _announced(change, "Complete", "SuccessCriteriaMet")
    for name in ("active", "terminating"):
        if (change.finishes or change.of(name)) and (count := status.get(name, 0)) > 0:
            yield invalid_value(f"status.{name}", count, f"{name}>0 is invalid for finished job")
    if (change.finishes or change.of("startTime")) and not status.get("startTime"):
        yield required("status.startTime", "startTime is required for finished job")
    uncounted = status.get("uncountedTerminatedPods") or {}
    if (change.finishes or change.of("uncountedTerminatedPods")) and any(uncounted.values()):
        detail = "uncountedTerminatedPods needs to be empty for finished job"
        yield invalid_value("status.uncountedTerminatedPods", uncounted, detail)


def _announced(change: _Change, end: str, sign: str) -> Iterator[FieldError]:
    if not is_true(change.new, sign):
        yield invalid(
            "status.conditions", f"cannot set {end}=True condition without the {sign}=true condition"
        )


def _indexes(change: _Change) -> Iterator[FieldError]:
    status, spec = change.status, change.spec
    completed, failed = status.get("completedIndexes", ""), status.get("failedIndexes")
    completions = spec.get("completions")
    if change.of("completedIndexes"):
        yield from _format("completedIndexes", completed, completions)
        if completed and spec.get("completionMode") != "Indexed":
            detail = "cannot set non-empty completedIndexes when non-indexed completion mode"
            yield invalid_value("status.completedIndexes", completed, detail)
    if change.of("failedIndexes") and failed is not None:
        if spec.get("backoffLimitPerIndex") is None:
            detail = "cannot set non-null failedIndexes when backoffLimitPerIndex is null"
            yield invalid_value("status.failedIndexes", failed, detail)
        else:
            yield from _format("failedIndexes", failed, completions)
    if change.of("failedIndexes", "completedIndexes") and failed and completed and completions is not None:
        common = job_indexes.first_common(completed, failed, completions)
        if common is not None:
            detail = f"failedIndexes and completedIndexes overlap at index: {common}"
            yield invalid_value("status.failedIndexes", failed, detail)


def _format(name: str, text: str, completions: int | None) -> Iterator[FieldError]:
    if completions is None:
        return
    try:
        job_indexes.parse(text, completions)
    except job_indexes.IndexesError as error:
        yield invalid_value(f"status.{name}", text, f"error parsing {name}: {error}")


def _exclusive(change: _Change) -> Iterator[FieldError]:
    status, met = change.status, is_true(change.new, "SuccessCriteriaMet")
    if change.of("ready", "active") and status.get("ready", 0) > status.get("active", 0):
        yield invalid_value("status.ready", status["ready"], "cannot set more ready pods than active")
    for other in ("Failed", "FailureTarget"):
        if met and is_true(change.new, other):
            detail = f"cannot set SuccessCriteriaMet=True and {other}=true conditions"
            yield invalid("status.conditions", detail)
    if change.spec.get("successPolicy") is not None and not met and is_true(change.new, "Complete"):
        detail = "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True"
        yield invalid("status.conditions", detail)


def _transitions(change: _Change) -> Iterator[FieldError]:
    """What has been counted and what has ended stays so."""
    status, before, spec = change.status, change.before, change.spec
    for type_ in _TERMINAL:
        if is_true(change.old, type_) and not is_true(change.new, type_):
            yield invalid("status.conditions", f"cannot disable the terminal {type_}=True condition")
    scales = spec.get("completionMode") == "Indexed" and spec.get("completions") == spec.get("parallelism")
    for name in ("failed",) if scales else ("failed", "succeeded"):
        if status.get(name, 0) < before.get(name, 0):
            detail = f"cannot decrease the {name} counter"
            yield invalid_value(f"status.{name}", status.get(name, 0), detail)
    completed, was = status.get("completionTime"), before.get("completionTime")
    if completed and was and completed != was:
        yield invalid_value("status.completionTime", completed, "completionTime cannot be mutated")
    if before.get("startTime") and change.of("startTime") and not spec.get("suspend"):
        yield required("status.startTime", "startTime cannot be removed for unsuspended job")
    met_before, met = (is_true(job, "SuccessCriteriaMet") for job in (change.old, change.new))
    if met_before and not met:
        yield invalid("status.conditions", "cannot disable the SuccessCriteriaMet=True condition")
    if is_true(change.old, "Complete") and not met_before and met:
        detail = "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions"
        yield invalid("status.conditions", detail)
