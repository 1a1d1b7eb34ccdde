"""Environment variables of containers: what they must be.

Source: kubernetes, pkg/apis/core/validation/validation.go (ValidateEnv, ValidateEnvFrom).
"""

from collections.abc import Iterator

from kubelab.cluster.apiserver.downward_api import env_field, resource_reference
from kubelab.cluster.apiserver.fields import (
    FieldError,
    config_key,
    dns_subdomain,
    env_name,
    indexed,
    invalid_value,
    required,
    word,
)
from kubelab.cluster.apiserver.paths import relative_unreserved
from kubelab.cluster.objects import Object

_ONE_ONLY = "may not have more than one field specified at a time"
_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")


def set_defaults(variable: Object) -> None:
    source = variable.get("valueFrom") or {}
    if (reference := source.get("fieldRef")) is not None:
        reference.setdefault("apiVersion", "v1")
    if (reference := source.get("resourceFieldRef")) is not None:
        reference.setdefault("divisor", "0")


def validate(variables: list[Object], field: str) -> Iterator[FieldError]:
    for place, variable in indexed(variables, field):
        if name := variable.get("name"):
            yield from word(name, f"{place}.name", env_name)
        else:
            yield required(f"{place}.name")
        if (source := variable.get("valueFrom")) is not None:
            yield from _source(source, variable.get("value", ""), f"{place}.valueFrom")


def _source(source: Object, value: str, field: str) -> Iterator[FieldError]:
    chosen = [name for name in _SOURCES if source.get(name) is not None]
    for name in chosen:
        yield from _reference(name, source[name], f"{field}.{name}")
    if not chosen:
        names = ", ".join(f"`{name}`" for name in _SOURCES)
        yield invalid_value(field, "", f"must specify one of: {names}")
    elif value:
        yield invalid_value(field, "", "may not be specified when `value` is not empty")
    elif len(chosen) > 1:
        yield invalid_value(field, "", _ONE_ONLY)


def _reference(name: str, reference: Object, field: str) -> Iterator[FieldError]:
    if name == "fieldRef":
        yield from env_field(reference, field)
    elif name == "resourceFieldRef":
        yield from resource_reference(reference, field)
    elif name == "fileKeyRef":
        yield from _file_key(reference, field)
    else:
        yield from word(reference.get("name", ""), f"{field}.name", dns_subdomain)
        yield from _key(reference.get("key", ""), f"{field}.key")


def _key(key: str, field: str) -> Iterator[FieldError]:
    if not key:
        yield required(field)
    else:
        yield from word(key, field, config_key)


def _file_key(reference: Object, field: str) -> Iterator[FieldError]:
    for name in ("key", "volumeName", "path"):
        if not reference.get(name):
            yield required(f"{field}.{name}")
    yield from relative_unreserved(reference.get("path", ""), f"{field}.path")


def validate_from(sources: list[Object], field: str) -> Iterator[FieldError]:
    for place, source in indexed(sources, field):
        if prefix := source.get("prefix"):
            yield from word(prefix, f"{place}.prefix", env_name)
        chosen = [name for name in ("configMapRef", "secretRef") if source.get(name) is not None]
        for name in chosen:
            if referred := source[name].get("name"):
                yield from word(referred, f"{place}.{name}.name", dns_subdomain)
            else:
                yield required(f"{place}.{name}.name")
        if not chosen:
            yield invalid_value(field, "", "must specify one of: `configMapRef` or `secretRef`")
        elif len(chosen) > 1:
            yield invalid_value(field, "", _ONE_ONLY)
