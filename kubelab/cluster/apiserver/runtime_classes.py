"""RuntimeClasses: what they must be, what may not change, and how they are shown.

Source: kubernetes, pkg/apis/node/validation/validation.go, pkg/printers/internalversion/printers.go.
"""

from collections.abc import Iterator
from datetime import datetime

from kubelab.cluster.apiserver import placement, resource_names
from kubelab.cluster.apiserver.columns import AGE, NAME, Cells, Column, age
from kubelab.cluster.apiserver.fields import (
    FieldError,
    dns_label,
    duplicate,
    immutable,
    indexed,
    labels,
    word,
)
from kubelab.cluster.objects import Object

COLUMNS = (NAME, Column("Handler", documents="k8s.io/api/node/v1.RuntimeClass.handler"), AGE)


def cells(class_: Object, now: datetime) -> Cells:
    return [class_["metadata"]["name"], class_.get("handler", ""), age(class_, now)]


def validate(class_: Object) -> Iterator[FieldError]:
    yield from word(class_.get("handler", ""), "handler", dns_label)
    if (overhead := class_.get("overhead")) is not None:
        limits = {"limits": overhead.get("podFixed") or {}}
        yield from resource_names.requirements(limits, resource_names.container_name, set(), "overhead")
    if (scheduling := class_.get("scheduling")) is not None:
        yield from labels(scheduling.get("nodeSelector"), "scheduling.nodeSelector")
        yield from _tolerations(scheduling.get("tolerations") or [], "scheduling.tolerations")


def _tolerations(tolerations: list[Object], field: str) -> Iterator[FieldError]:
    yield from placement.tolerations(tolerations, field)
    seen = []
    for place, toleration in indexed(tolerations, field):
        key = [toleration.get(part, "") for part in ("key", "operator", "value", "effect")]
        if key in seen:
            yield duplicate(place, toleration)
        seen.append(key)


def validate_update(new: Object, old: Object) -> Iterator[FieldError]:
    if new.get("handler") != old.get("handler"):
        yield immutable("handler", new.get("handler"))
