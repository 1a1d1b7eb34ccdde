"""CronJobs: their defaults, what they must be, and how they are shown.

Source: kubernetes, pkg/apis/batch/v1/defaults.go, pkg/apis/batch/validation/validation.go
(validateCronJobSpec), pkg/printers/internalversion/printers.go.
"""

import re
from collections.abc import Iterator
from datetime import datetime

from kubelab.cluster import cron
from kubelab.cluster.apiserver import jobs
from kubelab.cluster.apiserver.columns import (
    AGE,
    NAME,
    NONE,
    TEMPLATE,
    Cells,
    Column,
    age,
    template_cells,
)
from kubelab.cluster.apiserver.durations import since
from kubelab.cluster.apiserver.fields import (
    FieldError,
    invalid_value,
    not_negative,
    required,
    unsupported_value,
)
from kubelab.cluster.objects import Object

NAME_LENGTH_MAX = 52  # Eleven less than a Job's: each one's time is put behind.
SUCCESSFUL_JOBS_HISTORY_LIMIT, FAILED_JOBS_HISTORY_LIMIT = 3, 1
_CONCURRENCY_POLICIES = ("Allow", "Forbid", "Replace")
_ZONE_PART = re.compile(r"(?!-)(?!\.{1,2}$)[A-Za-z._0-9+-]{1,14}")

_SPEC, _STATUS = "k8s.io/api/batch/v1.CronJobSpec", "k8s.io/api/batch/v1.CronJobStatus"
COLUMNS = (
    NAME,
    Column("Schedule", documents=f"{_SPEC}.schedule"),
    Column("Timezone", documents=f"{_SPEC}.timeZone"),
    Column("Suspend", "boolean", documents=f"{_SPEC}.suspend"),
    Column("Active", "integer", documents=f"{_STATUS}.active"),
    Column("Last Schedule", documents=f"{_STATUS}.lastScheduleTime"),
    AGE,
    *TEMPLATE,
    Column("Selector", priority=1, documents="k8s.io/api/batch/v1.JobSpec.selector"),
)


def cells(cronjob: Object, now: datetime) -> Cells:
    spec, status = cronjob["spec"], cronjob.get("status") or {}
    last = since(status["lastScheduleTime"], now) if status.get("lastScheduleTime") else NONE
    suspended = "True" if spec.get("suspend") else "False"
    shown = [spec.get("schedule", ""), spec.get("timeZone", NONE), suspended, len(status.get("active") or ())]
    jobs_spec = spec["jobTemplate"].get("spec") or {}
    return [cronjob["metadata"]["name"], *shown, last, age(cronjob, now), *template_cells(jobs_spec)]


def set_defaults(cronjob: Object) -> None:
    spec = cronjob.setdefault("spec", {})
    spec["concurrencyPolicy"] = spec.get("concurrencyPolicy") or "Allow"
    spec.setdefault("suspend", False)
    spec.setdefault("successfulJobsHistoryLimit", SUCCESSFUL_JOBS_HISTORY_LIMIT)
    spec.setdefault("failedJobsHistoryLimit", FAILED_JOBS_HISTORY_LIMIT)
    template = spec.setdefault("jobTemplate", {})
    template.setdefault("metadata", {})  # No default: Go writes every struct.
    jobs.set_template_defaults(template.setdefault("spec", {}))


def initial_status(cronjob: Object) -> Object:
    return {}


def validate_create(cronjob: Object) -> Iterator[FieldError]:
    if len(name := cronjob["metadata"].get("name", "")) > NAME_LENGTH_MAX:
        yield invalid_value("metadata.name", name, f"must be no more than {NAME_LENGTH_MAX} characters")


def validate(cronjob: Object) -> Iterator[FieldError]:
    spec = cronjob.get("spec") or {}
    yield from _schedule(spec.get("schedule", ""), "spec.schedule")
    yield from not_negative(spec.get("startingDeadlineSeconds"), "spec.startingDeadlineSeconds")
    if (zone := spec.get("timeZone")) is not None:
        yield from _time_zone(zone, "spec.timeZone")
    policy = spec.get("concurrencyPolicy")
    if policy not in _CONCURRENCY_POLICIES:
        yield unsupported_value("spec.concurrencyPolicy", policy, _CONCURRENCY_POLICIES)
    yield from _job_template(spec.get("jobTemplate") or {}, "spec.jobTemplate")
    for key in ("successfulJobsHistoryLimit", "failedJobsHistoryLimit"):
        yield from not_negative(spec.get(key), f"spec.{key}")


def _schedule(schedule: str, field: str) -> Iterator[FieldError]:
    if not schedule:
        yield required(field)
        return
    try:
        cron.parse(schedule)
    except cron.CronError as error:
        yield invalid_value(field, schedule, str(error))
    if "TZ" in schedule:
        detail = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
        yield invalid_value(field, schedule, detail)


def _time_zone(zone: str, field: str) -> Iterator[FieldError]:
    if not zone:
        yield invalid_value(field, zone, "timeZone must be nil or non-empty string")
    elif not all(_ZONE_PART.fullmatch(part) for part in zone.split("/")):
        yield invalid_value(field, zone, f"unknown time zone {zone}")
    elif zone.lower() == "local":
        detail = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
        yield invalid_value(field, zone, detail)
    elif not _is_known(zone):
        yield invalid_value(field, zone, f"unknown time zone {zone}")


def _is_known(zone: str) -> bool:
    import zoneinfo  # With `sysconfig`, 0.2 MiB, for the few CronJobs that name a zone.

    try:
        zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):  # The last for a directory, as `America`.
        return False
    return True


def _job_template(template: Object, field: str) -> Iterator[FieldError]:
    spec = template.get("spec") or {}
    yield from jobs.validate_spec(spec, f"{field}.spec")
    if spec.get("selector") is not None:
        yield invalid_value(f"{field}.spec.selector", spec["selector"], "`selector` will be auto-generated")
    if spec.get("manualSelector"):
        yield unsupported_value(f"{field}.spec.manualSelector", True, ("nil", "false"))
