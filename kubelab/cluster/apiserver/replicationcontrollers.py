"""ReplicationControllers: their defaults, what they must be, and their printed columns.

Source: kubernetes, pkg/apis/core/v1/defaults.go (SetDefaults_ReplicationController),
pkg/apis/core/validation/validation.go (ValidateReplicationController),
pkg/printers/internalversion/printers.go.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from kubelab.cluster.apiserver import pods
from kubelab.cluster.apiserver.columns import AGE, NAME, TEMPLATE, Column, age, labels_text
from kubelab.cluster.apiserver.fields import (
    FieldError,
    forbidden_field,
    invalid_value,
    not_negative,
    required,
    unsupported_value,
)
from kubelab.cluster.objects import Object

_SPEC = "k8s.io/api/core/v1.ReplicationControllerSpec"
_STATUS = "k8s.io/api/core/v1.ReplicationControllerStatus"
_COUNTS = ("replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration")
COLUMNS = (
    NAME,
    Column("Desired", "integer", documents=f"{_SPEC}.replicas"),
    Column("Current", "integer", documents=f"{_STATUS}.replicas"),
    Column("Ready", "integer", documents=f"{_STATUS}.readyReplicas"),
    AGE,
    *TEMPLATE,
    Column("Selector", priority=1, documents=f"{_SPEC}.selector"),
)


def set_defaults(controller: Object) -> None:
    """Labels and selector are those of the template, unless they are said."""
    spec = controller.setdefault("spec", {})
    if (template := spec.get("template")) is not None:
        pods.set_template_defaults(template)
        if labels := (template.get("metadata") or {}).get("labels"):
            spec["selector"] = spec.get("selector") or dict(labels)
            controller["metadata"]["labels"] = controller["metadata"].get("labels") or dict(labels)
    spec.setdefault("replicas", 1)


def initial_status(controller: Object) -> Object:
    return {"replicas": 0}


def validate(controller: Object) -> Iterator[FieldError]:
    spec = controller["spec"]
    yield from not_negative(spec.get("minReadySeconds"), "spec.minReadySeconds")
    selector: dict[str, str] = spec.get("selector") or {}
    if not selector:
        yield required("spec.selector")
    yield from not_negative(spec.get("replicas"), "spec.replicas")
    template, field = spec.get("template"), "spec.template"
    if template is None:
        yield required(field)
        return
    labels = (template.get("metadata") or {}).get("labels") or {}
    if not selector.items() <= labels.items():
        detail = "`selector` does not match template `labels`"
        yield invalid_value(f"{field}.metadata.labels", labels, detail)
    yield from pods.validate_template(template, field)
    if (policy := template["spec"]["restartPolicy"]) != "Always":
        yield unsupported_value(f"{field}.spec.restartPolicy", policy, ("Always",))
    if template["spec"].get("activeDeadlineSeconds") is not None:
        detail = "activeDeadlineSeconds in ReplicationController is not Supported"
        yield forbidden_field(f"{field}.spec.activeDeadlineSeconds", detail)


def validate_status(new: Object, old: Object) -> Iterator[FieldError]:
    status = new.get("status") or {}
    for count in _COUNTS:
        yield from not_negative(status.get(count), f"status.{count}")
    replicas, ready = status.get("replicas", 0), status.get("readyReplicas", 0)
    for count in _COUNTS[1:4]:
        if (number := status.get(count, 0)) > replicas:
            yield invalid_value(f"status.{count}", number, "cannot be greater than status.replicas")
    if (available := status.get("availableReplicas", 0)) > ready:
        yield invalid_value("status.availableReplicas", available, "cannot be greater than readyReplicas")


def cells(controller: Object, now: datetime) -> list[Any]:
    spec, status = controller["spec"], controller.get("status") or {}
    containers = ((spec.get("template") or {}).get("spec") or {}).get("containers") or ()
    return [
        controller["metadata"]["name"],
        spec.get("replicas", 0),
        status.get("replicas", 0),
        status.get("readyReplicas", 0),
        age(controller, now),
        ",".join(container.get("name", "") for container in containers),
        ",".join(container.get("image", "") for container in containers),
        labels_text(spec.get("selector") or {}),
    ]
