"""What a client sent, as an object: JSON, YAML or protobuf, checked against its kind's schema.

Source: kubernetes, staging/src/k8s.io/apiserver/pkg/endpoints/handlers/create.go and rest.go;
https://kubernetes.io/docs/reference/using-api/api-concepts/#field-validation.
"""

import json
from dataclasses import dataclass
from typing import Any

from kubelab.cluster.apiserver import fitting, protobuf, refusals, schema, unique_keys, yaml_document
from kubelab.cluster.apiserver.kind import Custom
from kubelab.cluster.apiserver.negotiation import BODIES, JSON, PROTOBUF, YAML
from kubelab.cluster.apiserver.queries import FieldValidation
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import Object


@dataclass(frozen=True, slots=True)
class Expected:
    """The type that a body must be: its apiVersion and kind, and the Go type that knows its fields.

    A custom resource has no Go type. `also` are older versions, of the same fields.
    """

    api_version: str
    kind: str
    go_type: str
    custom: Custom | None = None
    also: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        return self.api_version.rpartition("/")[2]

    def refusal(self, sentence: str) -> ApiError:
        return refusals.bad_request(
            f'{self.kind} in version "{self.version}" cannot be handled as a {self.kind}: {sentence}'
        )


SCALE = Expected("autoscaling/v1", "Scale", "k8s.io/api/autoscaling/v1.Scale")
DELETE_OPTIONS = Expected("v1", "DeleteOptions", "k8s.io/apimachinery/pkg/apis/meta/v1.DeleteOptions")


@dataclass(frozen=True, slots=True)
class Body:
    """An object as it came in and what a strict reader finds wrong with it (told as warnings)."""

    object: Object
    warnings: tuple[str, ...] = ()


def read(raw: bytes, media_type: str, expected: Expected, validation: FieldValidation) -> Body:
    """Return the object in *raw*, refusing what is not of the *expected* type."""
    if media_type == PROTOBUF and (expected.custom or not schema.bundled().has_protobuf(expected.go_type)):
        raise refusals.unsupported_media_type((JSON, YAML))
    if media_type == PROTOBUF:
        return fit(_from_protobuf(raw, expected), expected, "Ignore")
    parsed = _parse(raw, media_type)
    if not isinstance(parsed, dict):
        raise expected.refusal("json: cannot unmarshal array into Go value of type map[string]interface {}")
    _check_type(parsed, expected)
    if not expected.custom and (quickly := fitting.bundled().fitted(expected.go_type, parsed)) is not None:
        return Body(quickly)
    return fit(parsed, expected, validation)


def fit(obj: Object, expected: Expected, validation: FieldValidation) -> Body:
    """Return *obj* with the fields of its type alone; what did not fit is refused, warned of or ignored."""
    try:
        return _fit(obj, expected, validation)
    except schema.MismatchError as error:
        raise expected.refusal(str(error)) from error


def _fit(obj: Object, expected: Expected, validation: FieldValidation) -> Body:
    """As `fit`, but raises MismatchError."""
    fit_custom = expected.custom and expected.custom.fit
    fitted, problems = fit_custom(obj) if fit_custom else schema.bundled().fitted(expected.go_type, obj)
    if problems and validation == "Strict":
        raise schema.MismatchError(f"strict decoding error: {', '.join(problems)}")
    return Body(fitted, tuple(problems) if validation == "Warn" else ())


def fit_patched(
    new: Object, old: Object, expected: Expected, validation: FieldValidation, patch: Any = None
) -> Body:
    """Return the patched object *new*, fitted in its parts that differ from *old*, which did fit.

    In a refusal upstream shows a strategic merge *patch* as Go prints it, otherwise the patched object.
    """
    changed = {key: value for key, value in new.items() if key not in old or value != old[key]}
    try:
        schema.refuse_deep(changed)  # Patch upon patch may have made what no body may be.
        fitted = _fit(changed, expected, validation)
    except (schema.MismatchError, ValueError) as error:
        shown = json.dumps(new, separators=(",", ":")) if patch is None else go_printed(patch)
        raise refusals.invalid_patch(shown, str(error)) from error
    same = {key: value for key, value in new.items() if key not in changed}
    return Body(same | fitted.object, fitted.warnings)


def read_patch(raw: bytes) -> Any:
    """Return the patch in *raw*: an object, or for a JSON patch a list."""
    try:
        return schema.parse_json(raw)
    except ValueError as error:
        raise refusals.bad_request(f"error decoding patch: {error}") from error


def read_apply(raw: bytes, validation: FieldValidation) -> Body:
    """Return the applied configuration in *raw*: YAML, or JSON, which is nearly always sent.

    Unknown fields are told by its type, when it is applied; keys that come twice are told here.
    """
    try:
        config = schema.parse_json(raw) if raw[:1] == b"{" else _parse_yaml(raw)
        twice = _keys_twice(raw, config) if validation != "Ignore" else []
    except (ValueError, RecursionError) as error:
        raise refusals.bad_request(f"error decoding patch: {error}") from error
    if not isinstance(config, dict):
        raise refusals.bad_request("error decoding patch: the configuration is not an object")
    if twice and validation == "Strict":
        lines = [f"  {each}" for each in twice]
        problem = "\n".join(["error converting YAML to JSON: yaml: unmarshal errors:", *lines])
        raise refusals.bad_request(f"error strict decoding patch: {problem}")
    return Body(config, tuple(twice))


def _keys_twice(raw: bytes, config: Any) -> list[str]:
    """Return what is said of keys that come twice; JSON is read as YAML only if there are any."""
    if raw[:1] == b"{" and not any(schema.all_duplicates(config)):
        return []
    return yaml_document.duplicates(raw)


def _from_protobuf(raw: bytes, expected: Expected) -> Object:
    types = schema.bundled().types
    try:
        api_version, kind, message = protobuf.envelope(raw)
        _check_type({"apiVersion": api_version, "kind": kind}, expected)
        decoded = protobuf.decode(types, expected.go_type, message)
    except protobuf.ProtobufError as error:
        raise expected.refusal(str(error)) from error
    type_meta = {"kind": kind or expected.kind, "apiVersion": api_version or expected.api_version}
    return type_meta | decoded


def _parse(raw: bytes, media_type: str) -> Any:
    if media_type not in BODIES:
        raise refusals.unsupported_media_type(BODIES)
    try:
        if media_type == JSON:
            quickly = unique_keys.decoded(raw)
            return schema.parse_json(raw) if quickly is None else quickly
        assert media_type == YAML
        return _parse_yaml(raw)
    except (ValueError, RecursionError) as error:
        raise refusals.bad_request(f"the object provided is unrecognized: {error}") from error


def _parse_yaml(raw: bytes) -> Any:
    parsed = yaml_document.load(raw)
    schema.refuse_deep(parsed)
    return parsed


def _check_type(obj: Object, expected: Expected) -> None:
    """Refuse an object of another type than the path is for; one that names no type is taken as it."""
    api_version, kind = obj.get("apiVersion") or expected.api_version, obj.get("kind") or expected.kind
    if expected is DELETE_OPTIONS:
        return
    if kind == expected.kind and api_version in (expected.api_version, *expected.also):
        return
    if kind != expected.kind:
        version = str(api_version).rpartition("/")[2]
        raise refusals.bad_request(
            f'{kind} in version "{version}" cannot be handled as a {expected.kind}: converting '
            f"({api_version}, {kind}) to ({expected.api_version}, {expected.kind}): unknown conversion"
        )
    raise refusals.bad_request(
        f"the API version in the data ({api_version}) does not match the expected API version "
        f"({expected.api_version})"
    )


def go_printed(value: Any) -> str:
    """Return decoded JSON as Go's %v prints it: `map[spec:map[paused:true replicas:<nil>]]`."""
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{go_printed(value[key])}' for key in sorted(value))}]"
    if isinstance(value, list):
        return f"[{' '.join(map(go_printed, value))}]"
    if value is None:
        return "<nil>"
    return str(value).lower() if isinstance(value, bool) else str(value)
