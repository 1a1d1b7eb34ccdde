"""PodTemplates: what they must be, and their printed columns.

Source: kubernetes, pkg/registry/core/podtemplate/strategy.go, pkg/apis/core/validation/validation.go
(ValidatePodTemplate), pkg/printers/internalversion/printers.go.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from kubelab.cluster.apiserver import pods
from kubelab.cluster.apiserver.columns import NAME, Column, labels_text
from kubelab.cluster.apiserver.fields import FieldError
from kubelab.cluster.apiserver.kind import Write
from kubelab.cluster.objects import Object

COLUMNS = (
    NAME,
    Column("Containers", description="Names of each container in the template."),
    Column("Images", description="Images referenced by each container in the template."),
    Column("Pod Labels", description="The labels for the pod template."),
)


def set_defaults(template: Object) -> None:
    pods.set_template_defaults(template.setdefault("template", {}))


def prepare_create(template: Object, write: Write) -> None:
    template["metadata"]["generation"] = 1


def prepare_update(new: Object, old: Object, write: Write) -> None:
    if new["template"] != old.get("template"):
        new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1


def validate(template: Object) -> Iterator[FieldError]:
    return pods.validate_template(template["template"], "template")


def cells(template: Object, now: datetime) -> list[Any]:
    inner = template.get("template") or {}
    containers = (inner.get("spec") or {}).get("containers") or ()
    return [
        template["metadata"]["name"],
        ",".join(container.get("name", "") for container in containers),
        ",".join(container.get("image", "") for container in containers),
        labels_text((inner.get("metadata") or {}).get("labels") or {}),
    ]
