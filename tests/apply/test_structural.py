"""The type of a custom resource comes from its structural schema.

Source: kubernetes/kube-openapi, pkg/schemaconv/openapi_test.go;
https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy.
"""

from typing import Any

import pytest
from typed_values import NUMERIC, STRING, Written, map_of, struct

from kubelab.cluster.apply import ConflictError, from_structural_schema
from kubelab.cluster.apply.validation import validate

METADATA = struct(name=STRING, labels=map_of(STRING), generation=NUMERIC)
TEXT = {"type": "string"}
PORT = {
    "type": "object",
    "properties": {
        "port": {"type": "integer"},
        "protocol": {"type": "string", "default": "TCP"},
        "name": TEXT,
    },
}


def written(**properties: Any) -> Written:
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": properties}}}
    return Written(from_structural_schema(schema, METADATA))


def owned_after(applied: Any, **properties: Any) -> set[str]:
    """Return what who applies `spec.field` owns below it."""
    thing = written(**properties)
    thing.apply("one", {"spec": {"field": applied}})
    return {path.removeprefix(".spec") for path in thing.owned("one")}


@pytest.mark.parametrize(
    ("schema", "applied", "owned"),
    [
        ({"type": "array", "items": TEXT}, ["a"], {".field"}),
        ({"type": "array", "items": TEXT, "x-kubernetes-list-type": "set"}, ["a"], {'.field[="a"]'}),
        (
            {
                "type": "array",
                "items": PORT,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["port", "protocol"],
            },
            [{"port": 80, "name": "a"}],
            {
                '.field[port=80,protocol="TCP"]',
                '.field[port=80,protocol="TCP"].port',
                '.field[port=80,protocol="TCP"].name',
            },
        ),
        (PORT, {"port": 80}, {".field.port"}),
        (PORT | {"x-kubernetes-map-type": "atomic"}, {"port": 80}, {".field"}),
        ({"type": "object", "additionalProperties": TEXT}, {"a": "b"}, {".field.a"}),
        ({"type": "object"}, {"a": {"b": [1]}}, {".field.a", ".field.a.b"}),
        ({"x-kubernetes-int-or-string": True}, "50%", {".field"}),
        (
            {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "properties": {"known": PORT}},
            {"known": {"port": 1}, "more": {"a": 1}},
            {".field.known.port", ".field.more", ".field.more.a"},
        ),
    ],
)
def test_lists_and_maps_merge_as_the_schema_says(schema: Any, applied: Any, owned: set[str]) -> None:
    assert owned_after(applied, field=schema) == owned


def test_fields_that_the_schema_does_not_know_are_refused() -> None:
    type_ = written(field=PORT).type
    assert list(validate(type_, {"spec": {"field": {"colour": "red"}}})) == [
        ".spec.field.colour: field not declared in schema"
    ]
    assert not list(validate(type_, {"apiVersion": "a/v1", "kind": "B", "metadata": {"name": "c"}}))


def test_an_embedded_object_has_a_type_and_metadata() -> None:
    embedded = {"type": "object", "properties": {"spec": PORT}, "x-kubernetes-embedded-resource": True}
    applied = {"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {"a": "b"}}, "spec": {"port": 1}}
    owned = {".field.apiVersion", ".field.kind", ".field.metadata.labels.a", ".field.spec.port"}
    assert owned_after(applied, field=embedded) == owned


def test_without_a_schema_all_but_the_metadata_is_deduced() -> None:
    thing = Written(from_structural_schema(None, METADATA))
    thing.apply("one", {"metadata": {"labels": {"a": "b"}}, "spec": {"list": [1], "map": {"c": 1}}})
    thing.apply("two", {"spec": {"map": {"d": 2}}})
    with pytest.raises(ConflictError, match="1 conflict"):
        thing.apply("two", {"spec": {"list": [2]}})
    assert thing.object["spec"] == {"list": [1], "map": {"c": 1, "d": 2}}
