"""Jobs: their defaults, the selector that the server makes for them, what they must be and what may change.

Source: kubernetes, pkg/apis/batch/v1/defaults.go, pkg/apis/batch/validation/validation.go,
pkg/registry/batch/job/strategy.go, pkg/printers/internalversion/printers.go.
Left out: changes of the resources in a suspended Job's template, which upstream has in beta.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from kubelab.cluster.apiserver import job_policies, label_selectors, pod_templates, pods
from kubelab.cluster.apiserver.columns import AGE, NAME, TEMPLATE, Cells, Column, age, template_cells
from kubelab.cluster.apiserver.domain_paths import domain_prefixed_path
from kubelab.cluster.apiserver.durations import human_duration
from kubelab.cluster.apiserver.fields import (
    FieldError,
    dns_label,
    immutable,
    invalid_value,
    not_negative,
    required,
    too_long,
    unsupported_value,
)
from kubelab.cluster.apiserver.job_conditions import is_true
from kubelab.cluster.apiserver.kind import Write
from kubelab.cluster.objects import Object

BACKOFF_LIMIT = 6
INT32_MAX = 2**31 - 1
PARALLELISM_MAX = FAILED_INDEXES_MAX = COMPLETIONS_SOFT_MAX = 100_000
PARALLELISM_MAX_OF_MANY = FAILED_INDEXES_MAX_OF_MANY = 10_000  # Above COMPLETIONS_SOFT_MAX.
MANAGED_BY_BYTES_MAX = 63
CONTROLLER_UID, JOB_NAME = "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name"
LEGACY_CONTROLLER_UID, LEGACY_JOB_NAME = "controller-uid", "job-name"
_MODES = ("NonIndexed", "Indexed")
_REPLACEMENT = ("Failed", "TerminatingOrFailed")
_NOT_NEGATIVE = (
    "parallelism",
    "completions",
    "activeDeadlineSeconds",
    "backoffLimit",
    "ttlSecondsAfterFinished",
    "backoffLimitPerIndex",
    "maxFailedIndexes",
)
_IMMUTABLE = ("completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy")
_SCHEDULING = ("nodeSelector", "tolerations", "schedulingGates")

_SPEC, _STATUS = "k8s.io/api/batch/v1.JobSpec", "k8s.io/api/batch/v1.JobStatus"
COLUMNS = (
    NAME,
    Column("Status", description="Status of the job."),
    Column("Completions", documents=f"{_STATUS}.succeeded"),
    Column("Duration", description="Time required to complete the job."),
    AGE,
    *TEMPLATE,
    Column("Selector", priority=1, documents=f"{_SPEC}.selector"),
)
COMPUTED_FIELDS = {"status.successful": lambda job: str((job.get("status") or {}).get("succeeded", 0))}


def cells(job: Object, now: datetime) -> Cells:
    spec, status = job["spec"], job.get("status") or {}
    shown = [status_word(job), _completions(spec, status), _duration(status, now), age(job, now)]
    return [job["metadata"]["name"], *shown, *template_cells(spec)]


def status_word(job: Object) -> str:
    """Return what kubectl prints in a Job's STATUS column."""
    if is_true(job, "Complete"):
        return "Complete"
    if is_true(job, "Failed"):
        return "Failed"
    if "deletionTimestamp" in job["metadata"]:
        return "Terminating"
    for condition, word in (
        ("Suspended", "Suspended"),
        ("FailureTarget", "FailureTarget"),
        ("SuccessCriteriaMet", "SuccessCriteriaMet"),
    ):
        if is_true(job, condition):
            return word
    return "Running"


def _completions(spec: Object, status: Object) -> str:
    succeeded, parallelism = status.get("succeeded", 0), spec.get("parallelism", 0)
    if spec.get("completions") is not None:
        return f"{succeeded}/{spec['completions']}"
    return f"{succeeded}/1 of {parallelism}" if parallelism > 1 else f"{succeeded}/1"


def _duration(status: Object, now: datetime) -> str:
    if not (start := status.get("startTime")):
        return ""
    end = datetime.fromisoformat(status["completionTime"]) if status.get("completionTime") else now
    return human_duration((end - datetime.fromisoformat(start)).total_seconds())


# Defaults


def set_defaults(job: Object) -> None:
    spec = job.setdefault("spec", {})
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = 1
    spec.setdefault("parallelism", 1)
    per_index = spec.get("backoffLimitPerIndex") is not None
    spec.setdefault("backoffLimit", INT32_MAX if per_index else BACKOFF_LIMIT)
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    spec.setdefault("manualSelector", False)
    failed_only = spec.get("podFailurePolicy") is not None
    spec.setdefault("podReplacementPolicy", "Failed" if failed_only else "TerminatingOrFailed")
    set_template_defaults(spec)


def set_template_defaults(spec: Object) -> None:
    """Set what also a CronJob's template of Jobs gets at once."""
    for rule in (spec.get("podFailurePolicy") or {}).get("rules") or ():
        for pattern in rule.get("onPodConditions") or ():
            pattern["status"] = pattern.get("status") or "True"
    pods.set_template_defaults(spec.setdefault("template", {}))


def initial_status(job: Object) -> Object:
    return {}


def prepare_create(job: Object, write: Write) -> None:
    """Make the selector and the labels that tell this Job's pods from all others, unless the client does."""
    if not job["spec"]["manualSelector"]:
        _generate_selector(job)
    prepare_update(job, job, write)


def prepare_update(new: Object, old: Object, write: Write) -> None:
    """A Job without labels of its own has those of its pods."""
    labels = pod_templates.labels_of(new["spec"])
    if labels and not write.subresource and not new["metadata"].get("labels"):
        new["metadata"]["labels"] = dict(labels)


def _generate_selector(job: Object) -> None:
    spec, name, uid = job["spec"], job["metadata"].get("name", ""), job["metadata"]["uid"]
    generated = {LEGACY_JOB_NAME: name, JOB_NAME: name, LEGACY_CONTROLLER_UID: uid, CONTROLLER_UID: uid}
    metadata = spec["template"].get("metadata") or {}
    spec["template"]["metadata"] = metadata | {"labels": generated | (metadata.get("labels") or {})}
    selector = spec.get("selector") or {}
    spec["selector"] = selector | {"matchLabels": {CONTROLLER_UID: uid} | (selector.get("matchLabels") or {})}


# Validation


def validate(job: Object) -> Iterator[FieldError]:
    spec = job.get("spec") or {}
    yield from _generated_selector(job, spec)
    yield from validate_spec(spec, "spec")
    if spec.get("selector") is None:
        yield required("spec.selector")
    yield from label_selectors.validate(spec.get("selector"), "spec.selector")
    yield from pod_templates.mismatch(spec)
    completions = spec.get("completions") or 0
    last = f"{job['metadata'].get('name', '')}-{completions - 1}"
    if spec.get("completionMode") == "Indexed" and completions > 0 and any(dns_label(last)):
        detail = f"will not able to create pod with invalid DNS label: {last}"
        yield invalid_value("metadata.name", job["metadata"].get("name", ""), detail)


def _generated_selector(job: Object, spec: Object) -> Iterator[FieldError]:
    selector = spec.get("selector")
    if spec.get("manualSelector") or selector is None:
        return
    name, uid = job["metadata"].get("name", ""), job["metadata"].get("uid", "")
    expected = {LEGACY_CONTROLLER_UID: uid, LEGACY_JOB_NAME: name, CONTROLLER_UID: uid, JOB_NAME: name}
    labels = pod_templates.labels_of(spec) or {}
    for key, value in expected.items():
        field = f"spec.template.metadata.labels[{key}]"
        if key not in labels:
            yield required(field, f"must be '{value}'")
        elif labels[key] != value:
            yield invalid_value(field, labels, f"must be '{value}'")
    parsed = pod_templates.parsed(selector)
    if parsed is not None and not parsed.matches(expected):
        yield invalid_value("spec.selector", selector, "`selector` not auto-generated")


def validate_spec(spec: Object, field: str) -> Iterator[FieldError]:
    """Yield what is wrong with *spec*, which may also be that of a CronJob's Jobs."""
    for key in _NOT_NEGATIVE:
        yield from not_negative(spec.get(key), f"{field}.{key}")
    if spec.get("maxFailedIndexes") is not None and spec.get("backoffLimitPerIndex") is None:
        yield required(f"{field}.backoffLimitPerIndex", "when maxFailedIndexes is specified")
    yield from _managed_by(spec.get("managedBy"), f"{field}.managedBy")
    yield from _completion_mode(spec, field)
    if spec.get("podFailurePolicy") is not None:
        yield from job_policies.validate_failure_policy(spec, f"{field}.podFailurePolicy")
    yield from _success_policy(spec, f"{field}.successPolicy")
    yield from _replacement_policy(spec, f"{field}.podReplacementPolicy")
    yield from pods.validate_template(spec.get("template") or {}, f"{field}.template")
    yield from _restart_policy(spec, f"{field}.template.spec.restartPolicy")


def _managed_by(value: str | None, field: str) -> Iterator[FieldError]:
    if value is not None:
        yield from domain_prefixed_path(value, field)
        if len(value.encode()) > MANAGED_BY_BYTES_MAX:
            yield too_long(field, MANAGED_BY_BYTES_MAX)


def _completion_mode(spec: Object, field: str) -> Iterator[FieldError]:
    mode = spec.get("completionMode")
    if mode is not None and mode not in _MODES:
        yield unsupported_value(f"{field}.completionMode", mode, _MODES)
    if mode == "Indexed":
        yield from _indexed(spec, field)
    elif mode in {None, "NonIndexed"}:
        for key in ("backoffLimitPerIndex", "maxFailedIndexes"):
            if spec.get(key) is not None:
                yield invalid_value(f"{field}.{key}", spec[key], "requires indexed completion mode")


def _indexed(spec: Object, field: str) -> Iterator[FieldError]:
    completions, failed = spec.get("completions"), spec.get("maxFailedIndexes")
    if completions is None:
        yield required(f"{field}.completions", "when completion mode is Indexed")
    if spec.get("parallelism", 0) > PARALLELISM_MAX:
        detail = f"must be less than or equal to {PARALLELISM_MAX} when completion mode is Indexed"
        yield invalid_value(f"{field}.parallelism", spec["parallelism"], detail)
    if completions is not None and failed is not None and failed > completions:
        detail = "must be less than or equal to completions"
        yield invalid_value(f"{field}.maxFailedIndexes", failed, detail)
    if failed is not None and failed > FAILED_INDEXES_MAX:
        detail = f"must be less than or equal to {FAILED_INDEXES_MAX}"
        yield invalid_value(f"{field}.maxFailedIndexes", failed, detail)
    if (completions or 0) > COMPLETIONS_SOFT_MAX and spec.get("backoffLimitPerIndex") is not None:
        yield from _many_indexes(spec, failed, field)


def _many_indexes(spec: Object, failed: int | None, field: str) -> Iterator[FieldError]:
    above = f"when completions are above {COMPLETIONS_SOFT_MAX} and used with backoff limit per index"
    if failed is None:
        detail = f"must be specified when completions is above {COMPLETIONS_SOFT_MAX}"
        yield required(f"{field}.maxFailedIndexes", detail)
    if spec.get("parallelism", 0) > PARALLELISM_MAX_OF_MANY:
        detail = f"must be less than or equal to {PARALLELISM_MAX_OF_MANY} {above}"
        yield invalid_value(f"{field}.parallelism", spec["parallelism"], detail)
    if failed is not None and failed > FAILED_INDEXES_MAX_OF_MANY:
        detail = f"must be less than or equal to {FAILED_INDEXES_MAX_OF_MANY} {above}"
        yield invalid_value(f"{field}.maxFailedIndexes", failed, detail)


def _success_policy(spec: Object, field: str) -> Iterator[FieldError]:
    if spec.get("successPolicy") is None:
        return
    if spec.get("completionMode") != "Indexed":
        yield invalid_value(field, spec["successPolicy"], "requires indexed completion mode")
    else:
        yield from job_policies.validate_success_policy(spec, field)


def _replacement_policy(spec: Object, field: str) -> Iterator[FieldError]:
    policy = spec.get("podReplacementPolicy")
    supported = ("Failed",) if spec.get("podFailurePolicy") is not None else _REPLACEMENT
    if policy is not None and policy not in supported:
        yield unsupported_value(field, policy, supported)


def _restart_policy(spec: Object, field: str) -> Iterator[FieldError]:
    policy = pod_templates.pod_spec(spec).get("restartPolicy")
    if policy in {None, "", "Always"}:
        yield required(field, 'valid values: "OnFailure", "Never"')
    elif policy not in {"OnFailure", "Never"}:
        yield unsupported_value(field, policy, ("OnFailure", "Never"))
    elif policy != "Never" and spec.get("podFailurePolicy") is not None:
        yield invalid_value(field, policy, 'only "Never" is supported when podFailurePolicy is specified')


def validate_update(new: Object, old: Object) -> Iterator[FieldError]:
    """Yield what may not change: what the pods that already ran were made and counted by."""
    spec, before = new["spec"], old["spec"]
    yield from _completions_update(spec, before)
    if spec.get("selector") != before.get("selector"):
        yield immutable("spec.selector", spec.get("selector"))
    yield from _template_update(spec, before, old)
    for key in _IMMUTABLE:
        if spec.get(key) != before.get(key):
            yield immutable(f"spec.{key}", spec.get(key))


def _completions_update(spec: Object, before: Object) -> Iterator[FieldError]:
    completions = spec.get("completions")
    if completions == before.get("completions"):
        return
    if spec.get("completionMode") != "Indexed":
        yield immutable("spec.completions", completions)
    elif completions is not None and completions != spec.get("parallelism"):
        detail = "can only be modified in tandem with spec.parallelism"
        yield invalid_value("spec.completions", completions, detail)


def _template_update(spec: Object, before: Object, old: Object) -> Iterator[FieldError]:
    template, kept = spec.get("template") or {}, before.get("template") or {}
    if before.get("suspend") and not (old.get("status") or {}).get("startTime"):
        template, kept = _not_scheduling(template), _not_scheduling(kept)
    if template != kept:
        yield immutable("spec.template", spec.get("template"))


def _not_scheduling(template: Object) -> tuple[Any, ...]:
    """Return what of *template* stays while a Job waits: all but where its pods may run, and their names."""
    metadata, spec = template.get("metadata") or {}, template.get("spec") or {}
    affinity = {k: v for k, v in (spec.get("affinity") or {}).items() if k != "nodeAffinity"}
    fixed = {key: value for key, value in spec.items() if key not in {*_SCHEDULING, "affinity"}}
    named = {key: value for key, value in metadata.items() if key not in {"labels", "annotations"}}
    return named, fixed, affinity
