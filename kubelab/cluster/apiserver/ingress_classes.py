"""IngressClasses: what they must be, and how they are shown.

Source: kubernetes, pkg/apis/networking/v1/defaults.go, pkg/apis/networking/validation/validation.go,
pkg/printers/internalversion/printers.go.
"""

from collections.abc import Iterator
from datetime import datetime

from kubelab.cluster.apiserver.columns import AGE, NAME, NONE, Cells, Column, age
from kubelab.cluster.apiserver.domain_paths import domain_prefixed_path
from kubelab.cluster.apiserver.fields import (
    FieldError,
    dns_label,
    dns_subdomain,
    forbidden_field,
    immutable,
    required,
    too_long,
    unsupported_value,
    word,
)
from kubelab.cluster.apiserver.path_segments import path_segment
from kubelab.cluster.objects import Object

CONTROLLER_BYTES_MAX = 250
_SCOPES = ("Cluster", "Namespace")

COLUMNS = (
    NAME,
    Column("Controller", description="Controller that is responsible for handling this class"),
    Column("Parameters", description="A reference to a resource with additional parameters"),
    AGE,
)


def cells(class_: Object, now: datetime) -> Cells:
    spec = class_.get("spec") or {}
    shown = NONE
    if parameters := spec.get("parameters"):
        group = f".{parameters['apiGroup']}" if parameters.get("apiGroup") else ""
        shown = f"{parameters.get('kind', '')}{group}/{parameters.get('name', '')}"
    return [class_["metadata"]["name"], spec.get("controller", ""), shown, age(class_, now)]


def set_defaults(class_: Object) -> None:
    if (parameters := (class_.get("spec") or {}).get("parameters")) is not None:
        parameters.setdefault("scope", "Cluster")


def validate(class_: Object) -> Iterator[FieldError]:
    spec = class_.get("spec") or {}
    controller = spec.get("controller", "")
    if len(controller.encode()) > CONTROLLER_BYTES_MAX:
        yield too_long("spec.controller", CONTROLLER_BYTES_MAX)
    yield from domain_prefixed_path(controller, "spec.controller")
    if (parameters := spec.get("parameters")) is not None:
        yield from typed_reference(parameters, "spec.parameters")
        yield from _scope(parameters, "spec.parameters")


def typed_reference(reference: Object, field: str) -> Iterator[FieldError]:
    """Yield what is wrong with a reference by group, kind and name."""
    if reference.get("apiGroup") is not None:
        yield from word(reference["apiGroup"], f"{field}.apiGroup", dns_subdomain)
    for key in ("kind", "name"):
        if value := reference.get(key):
            yield from word(value, f"{field}.{key}", path_segment)
        else:
            yield required(f"{field}.{key}", f"{key} is required")


def _scope(parameters: Object, field: str) -> Iterator[FieldError]:
    scope, namespace = parameters.get("scope"), parameters.get("namespace")
    if scope not in _SCOPES:
        yield unsupported_value(f"{field}.scope", scope, _SCOPES)
    elif scope == "Namespace" and namespace is None:
        yield required(f"{field}.namespace", "`parameters.scope` is set to 'Namespace'")
    elif scope == "Namespace":
        yield from word(str(namespace), f"{field}.namespace", dns_label)
    elif namespace is not None:
        yield forbidden_field(f"{field}.namespace", "`parameters.scope` is set to 'Cluster'")


def validate_update(new: Object, old: Object) -> Iterator[FieldError]:
    controller = (new.get("spec") or {}).get("controller")
    if controller != (old.get("spec") or {}).get("controller"):
        yield immutable("spec.controller", controller)
