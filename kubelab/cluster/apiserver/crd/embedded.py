"""Whole objects inside of a custom resource (x-kubernetes-embedded-resource): their types and metadata.

Source: kubernetes, staging/src/k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta/{algorithm,
coerce,validation}.go. `fit` changes objects in place: hand over a copy that is yours.
"""

from collections.abc import Callable, Iterator
from typing import Any

from kubelab.cluster.apiserver import metadata as metadata_rules
from kubelab.cluster.apiserver import schema as go_schema
from kubelab.cluster.apiserver.crd.structural import EMBEDDED, Schema, additional, items, properties
from kubelab.cluster.apiserver.fields import FieldError, dns_1035_label, invalid_value, required
from kubelab.cluster.objects import Object, Resource

OBJECT_META = "k8s.io/apimachinery/pkg/apis/meta/v1.ObjectMeta"
_PATH_SEGMENT_FORBIDDEN = ("/", "%")

Visit = Callable[[Object, str], Iterator[FieldError]]


def fit_metadata(metadata: Any, path: str = "metadata") -> tuple[Object, list[str]]:
    """Return *metadata* without unknown fields, and what was strictly wrong with it.

    Raises:
        schema.MismatchError: a field has the wrong type.
    """
    if not isinstance(metadata, dict):
        raise go_schema.MismatchError(
            f"json: cannot unmarshal {go_schema.json_kind(metadata)} into Go value of type v1.ObjectMeta"
        )
    fitted, problems = go_schema.bundled().fitted(OBJECT_META, metadata)
    if fitted.get("creationTimestamp") is None:
        fitted.pop("creationTimestamp", None)
    return fitted, [problem.replace('field "', f'field "{path}.', 1) for problem in problems]


def fit(value: Any, schema: Schema) -> tuple[list[FieldError], list[str]]:
    """Fit the metadata of every embedded object; return wrong types and unknown fields."""
    unknown: list[str] = []

    def visit(obj: Object, path: str) -> Iterator[FieldError]:
        yield from _wrong_types(obj, path)
        if "metadata" in obj:
            place = f"{path}.metadata" if path else "metadata"
            try:
                obj["metadata"], problems = fit_metadata(obj["metadata"], place)
                unknown.extend(problems)
            except go_schema.MismatchError as error:
                yield invalid_value(place, obj["metadata"], str(error))

    return list(_each(value, schema, "", visit)), sorted(unknown)


def mistyped(value: Any, schema: Schema, path: str = "") -> Iterator[FieldError]:
    """Yield an error for each embedded object whose type or metadata is not even of the right type."""

    def visit(obj: Object, place: str) -> Iterator[FieldError]:
        yield from _wrong_types(obj, place)
        if "metadata" in obj:
            try:
                fit_metadata(obj["metadata"])
            except go_schema.MismatchError as error:
                yield invalid_value(f"{place}.metadata", obj["metadata"], str(error))

    return _each(value, schema, path, visit)


def invalid(value: Any, schema: Schema, path: str = "") -> Iterator[FieldError]:
    """Yield what keeps the embedded objects from being valid ones: their types, their metadata."""
    return _each(value, schema, path, _invalid_object)


def _each(value: Any, schema: Schema | None, path: str, visit: Visit) -> Iterator[FieldError]:
    """Visit each embedded object below *value* and that itself."""
    if schema is None:
        return
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _each(item, items(schema), f"{path}[{index}]", visit)
    if not isinstance(value, dict):
        return
    if schema.get(EMBEDDED):
        yield from visit(value, path)
    fields, rest = properties(schema), additional(schema)
    for name, item in list(value.items()):
        if name in fields:
            yield from _each(item, fields[name], f"{path}.{name}" if path else name, visit)
        elif rest is not None:
            yield from _each(item, rest, f"{path}[{name}]", visit)


def _wrong_types(obj: Object, path: str) -> Iterator[FieldError]:
    for name in ("apiVersion", "kind"):
        if name in obj and not isinstance(obj[name], str):
            yield invalid_value(f"{path}.{name}", obj[name], "must be a string")


def _invalid_object(obj: Object, path: str) -> Iterator[FieldError]:
    for name in ("apiVersion", "kind"):
        if name not in obj:
            yield required(f"{path}.{name}")
        elif not obj[name]:
            yield invalid_value(f"{path}.{name}", obj[name], "must not be empty")
    if str(obj.get("apiVersion", "")).count("/") > 1:
        why = f"unexpected GroupVersion string: {obj['apiVersion']}"
        yield invalid_value(f"{path}.apiVersion", obj["apiVersion"], why)
    if (kind := obj.get("kind")) and (wrong := list(dns_1035_label(str(kind).lower()))):
        why = f"may have mixed case, but should otherwise match: {','.join(wrong)}"
        yield invalid_value(f"{path}.kind", kind, why)
    if isinstance(metadata := obj.get("metadata"), dict):
        named = {"name": "fakename"} | {key: value for key, value in metadata.items() if value}
        resource = Resource("", "v1", "objects", "Object", namespaced="namespace" in named)
        for error in metadata_rules.validate(named, resource, _path_segment):
            yield FieldError(error.reason, f"{path}.{error.field}", error.message)


def _path_segment(name: str) -> Iterator[str]:
    if name in {".", ".."}:
        yield f"may not be '{name}'"
    for character in _PATH_SEGMENT_FORBIDDEN:
        if character in name:
            yield f"may not contain '{character}'"
