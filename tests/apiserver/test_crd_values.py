"""Values of custom resources against their schema: upstream's validator, its words and its causes."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubelab.cluster.apiserver.crd import list_types, patterns, values
from kubelab.cluster.apiserver.crd.defaulting import drop_nulls, set_defaults
from kubelab.cluster.apiserver.crd.formats import FORMATS
from kubelab.cluster.apiserver.crd.pruning import prune
from kubelab.cluster.apiserver.crd.structural import violations
from kubelab.cluster.apiserver.versions import copied

X = "x-kubernetes-"
ONE_OF = '<nil>: Invalid value: "": "f" must validate one and only one schema (oneOf)'
A_OR_B = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}}


def told(value: Any, schema: dict[str, Any]) -> list[str]:
    """Return what is wrong with a field `f` that has *value*."""
    whole = {"type": "object", "properties": {"f": schema}}
    return [str(error) for error in values.errors({"f": value}, whole)]


@pytest.mark.parametrize(
    ("schema", "value", "sentence"),
    [
        ({"type": "integer"}, "x", 'Invalid value: "string": f in body must be of type integer: "string"'),
        ({"type": "string"}, 3, 'Invalid value: "integer": f in body must be of type string: "integer"'),
        ({"type": "string"}, None, 'Invalid value: "null": f in body must be of type string: "null"'),
        ({"type": "boolean"}, 1.5, 'Invalid value: "number": f in body must be of type boolean: "number"'),
        (
            {f"{X}int-or-string": True},
            True,
            'Invalid value: "boolean": f in body must be of type integer,string: "boolean"',
        ),
        ({"type": "string", "enum": ["b", "a"]}, "c", 'Unsupported value: "c": supported values: "b", "a"'),
        ({"type": "integer", "enum": [1, 2]}, 3, 'Unsupported value: 3: supported values: "1", "2"'),
        ({"type": "string", "pattern": "^a$"}, "b", "Invalid value: \"b\": f in body should match '^a$'"),
        ({"type": "string", "maxLength": 2}, "abc", "Too long: may not be more than 2 bytes"),
        (
            {"type": "string", "minLength": 2},
            "é",
            'Invalid value: "é": f in body should be at least 2 chars long',
        ),
        (
            {"type": "integer", "maximum": 3},
            4,
            "Invalid value: 4: f in body should be less than or equal to 3",
        ),
        (
            {"type": "integer", "maximum": 3, "exclusiveMaximum": True},
            3,
            "Invalid value: 3: f in body should be less than 3",
        ),
        (
            {"type": "number", "minimum": 0.5},
            0.1,
            "Invalid value: 0.1: f in body should be greater than or equal to 0.5",
        ),
        ({"type": "integer", "multipleOf": 3}, 4, "Invalid value: 4: f in body should be a multiple of 3"),
        ({"type": "array", "maxItems": 1}, [1, 2], "Too many: 2: must have at most 1 item"),
        ({"type": "array", "minItems": 3}, [1], "Invalid value: 1: f in body should have at least 3 items"),
        (
            {"type": "object", "minProperties": 1},
            {},
            "Invalid value: 0: f in body should have at least 1 properties",
        ),
        ({"type": "object", "maxProperties": 1}, {"a": 1, "b": 2}, "Too many: 2: must have at most 1 item"),
        (
            {"type": "string", "format": "ipv4"},
            "1.2.3",
            'Invalid value: "1.2.3": f in body must be of type ipv4: "1.2.3"',
        ),
        (
            {"type": "string", "format": "date-time"},
            "today",
            'Invalid value: "today": f in body must be of type date-time: "today"',
        ),
    ],
)
def test_a_value_that_does_not_fit_is_told_of_in_upstreams_words(
    schema: dict[str, Any], value: Any, sentence: str
) -> None:
    assert told(value, schema) == [f"f: {sentence}"]


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "integer"}, 3.0),
        ({"type": "number"}, 3),
        ({"type": "string", "nullable": True}, None),
        ({f"{X}int-or-string": True}, "8080"),
        ({"type": "string", "format": "unheard-of"}, "x"),
        ({"type": "integer", "enum": [1]}, 1.0),
        ({"type": "object", f"{X}preserve-unknown-fields": True}, {"a": [{}]}),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, "x"),
        ({"type": "string", "pattern": "[[:alpha:]]+"}, "12a"),
    ],
)
def test_a_value_that_fits_is_told_nothing_of(schema: dict[str, Any], value: Any) -> None:
    assert told(value, schema) == []


def test_required_fields_are_told_of_by_their_place() -> None:
    schema = {"type": "object", "required": ["spec"], "properties": {"list": {"items": {"required": ["a"]}}}}
    errors = values.errors({"list": [{"a": 1}, {}]}, schema)
    assert [str(each) for each in errors] == ["list[1].a: Required value", "spec: Required value"]
    assert errors[0].reason == "FieldValueRequired"


def test_an_enum_is_no_place_for_null() -> None:
    assert told(None, {"type": "string", "nullable": True, "enum": ["a"]}) == [
        'f: Unsupported value: "null": supported values: "a"'
    ]


@pytest.mark.parametrize(
    ("junctor", "value", "sentences"),
    [
        (
            {"oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
            {"a": 1, "b": 2},
            [f"{ONE_OF}. Found 2 valid alternatives"],
        ),
        (
            {"oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
            {},
            [
                f"{ONE_OF}. Found none valid",
                "f.a: Required value",
            ],
        ),
        (
            {"anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
            {},
            [
                '<nil>: Invalid value: "": "f" must validate at least one schema (anyOf)',
                "f.a: Required value",
            ],
        ),
        (
            {"allOf": [{"required": ["a"]}, {"required": ["b"]}]},
            {"a": 1},
            ["f.b: Required value", '<nil>: Invalid value: "": "f" must validate all the schemas (allOf)'],
        ),
        (
            {"not": {"required": ["a"]}},
            {"a": 1},
            ['<nil>: Invalid value: "": "f" must not validate the schema (not)'],
        ),
    ],
)
def test_junctors_are_told_of_without_a_place(junctor: Any, value: Any, sentences: list[str]) -> None:
    assert told(value, A_OR_B | junctor) == sentences


def test_an_update_may_keep_what_was_wrong_before() -> None:
    schema = {"type": "object", "properties": {"a": {"maximum": 3}, "b": {"maximum": 3}}}
    old = {"a": 9, "b": 1}
    assert values.errors({"a": 9, "b": 2}, schema, old) == []
    assert [each.field for each in values.errors({"a": 8, "b": 2}, schema, old)] == ["a"]
    assert [each.field for each in values.errors({"a": 9, "b": 9}, schema, old)] == ["b"]


def test_sets_and_maps_hold_nothing_twice() -> None:
    schema = {
        "properties": {
            "set": {"type": "array", f"{X}list-type": "set", "items": {"type": "string"}},
            "map": {
                "type": "array",
                f"{X}list-type": "map",
                f"{X}list-map-keys": ["port", "protocol"],
                "items": {"type": "object"},
            },
        }
    }
    value = {"set": ["a", "b", "a", "a"], "map": [{"port": 1, "protocol": "TCP"}, {"port": 1}, {"port": 1}]}
    assert [str(each) for each in list_types.duplicates(value, schema)] == [
        'set[2]: Duplicate value: "a"',
        'map[2]: Duplicate value: {"port":1}',
    ]
    assert not list(list_types.duplicates({"set": [1, True, "1"]}, schema))


@pytest.mark.parametrize(
    ("format_", "good", "bad"),
    [
        ("date", "2026-02-28", "2026-02-30"),
        ("duration", "1h30m", "soon"),
        ("email", "a@example.com", "a.example.com"),
        ("uuid", "123e4567-e89b-12d3-a456-426614174000", "123e4567"),
        ("ipv6", "::1", "1.2.3.4"),
        ("cidr", "10.0.0.0/8", "10.0.0.0"),
        ("mac", "01:23:45:67:89:ab", "01:23"),
        ("hostname", "www.example.com", "-x-"),
        ("byte", "aGVsbG8=", "hello!"),
        ("isbn", "978-0321751041", "978-0321751042"),
        ("creditcard", "4111 1111 1111 1111", "4111 1111 1111 1112"),
        ("uri", "https://example.com/x", "example"),
        ("hexcolor", "#FFFFFF", "#FFFFF"),
        ("k8sshortname", "my-name", "My"),
    ],
)
def test_formats_know_their_words(format_: str, good: str, bad: str) -> None:
    assert FORMATS[format_](good)
    assert not FORMATS[format_](bad)


def test_a_pattern_means_what_it_means_in_go() -> None:
    assert patterns.compiled("(?i)^abc$").search("ABC")
    assert not patterns.compiled("^a$").search("a\n")
    assert patterns.compiled(r"^[[:alnum:]_$]+\z").search("a_1$")
    assert patterns.compiled(r"\p{L}").search("ñ")
    with pytest.raises(patterns.PatternError):
        patterns.compiled("(")


# Pruning and defaulting

LEAF = st.fixed_dictionaries(
    {"type": st.sampled_from(["string", "integer", "boolean"])},
    optional={"default": st.one_of(st.text(max_size=2), st.integers(0, 3)), "nullable": st.booleans()},
)


def _objects(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    fields = st.dictionaries(st.sampled_from("abc"), children, max_size=3)
    plain = st.fixed_dictionaries(
        {"type": st.just("object"), "properties": fields},
        optional={
            f"{X}preserve-unknown-fields": st.just(True),
            "default": st.just({}),
            "nullable": st.booleans(),
        },
    )
    lists = st.fixed_dictionaries({"type": st.just("array"), "items": children})
    mappings = st.fixed_dictionaries({"type": st.just("object"), "additionalProperties": children})
    return st.one_of(plain, lists, mappings)


SCHEMAS = st.recursive(LEAF, _objects, max_leaves=8)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(0, 9), st.text(max_size=2)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("abcd"), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=50)
@given(SCHEMAS, VALUES)
def test_what_is_pruned_has_nothing_more_to_prune(schema: Any, value: Any) -> None:
    value = copied({"f": value})["f"]
    prune(value, schema)
    once = copied({"f": value})["f"]
    assert prune(value, schema) == []
    assert value == once


@settings(max_examples=50)
@given(SCHEMAS, VALUES)
def test_what_has_its_defaults_gets_no_more(schema: Any, value: Any) -> None:
    value = copied({"f": value})["f"]
    drop_nulls(value, schema)
    set_defaults(value, schema)
    once = copied({"f": value})["f"]
    drop_nulls(value, schema)
    set_defaults(value, schema)
    assert value == once


def test_a_null_gives_way_to_a_default_or_goes_unless_it_may_be_null() -> None:
    """As the documentation's example of defaulting and nullable has it."""
    spec = {
        "type": "object",
        "properties": {
            "foo": {"type": "string", "nullable": False, "default": "default"},
            "bar": {"type": "string", "nullable": True},
            "baz": {"type": "string"},
        },
    }
    value = {"foo": None, "bar": None, "baz": None}
    drop_nulls(value, spec)
    set_defaults(value, spec)
    assert value == {"foo": "default", "bar": None}


def test_unknown_fields_go_and_are_told_by_their_path() -> None:
    schema = {
        "type": "object",
        "properties": {
            "spec": {"type": "object", "properties": {"l": {"type": "array", "items": A_OR_B}}},
            "free": {"type": "object", f"{X}preserve-unknown-fields": True, "properties": {"known": A_OR_B}},
            "map": {"type": "object", "additionalProperties": A_OR_B},
        },
    }
    value = {
        "metadata": {"name": "x"},
        "other": 1,
        "spec": {"l": [{"a": 1, "c": 2}], "d": 1},
        "free": {"any": {"x": 1}, "known": {"a": 1, "z": 2}},
        "map": {"k": {"a": 1, "y": 2}},
    }
    assert prune(value, schema, root=True) == ["free.known.z", "map.k.y", "other", "spec.d", "spec.l[0].c"]
    assert value == {
        "metadata": {"name": "x"},
        "spec": {"l": [{"a": 1}]},
        "free": {"any": {"x": 1}, "known": {"a": 1}},
        "map": {"k": {"a": 1}},
    }


# Structural schemas


@pytest.mark.parametrize(
    ("schema", "sentences"),
    [
        ({}, ["s.type: Required value: must not be empty at the root"]),
        (
            {"type": "array", "items": {"type": "string"}},
            ['s.type: Invalid value: "array": must be object at the root'],
        ),
        (
            {"type": "object", "properties": {"a": {"type": "array"}}},
            ["s.properties[a].items: Required value: must be specified"],
        ),
        (
            {"type": "object", "properties": {"a": {}}},
            ["s.properties[a].type: Required value: must not be empty for specified object fields"],
        ),
        (
            {"type": "object", "additionalProperties": {"type": "string"}},
            ["s.additionalProperties: Forbidden: must not be used at the root"],
        ),
        (
            {"type": "object", "anyOf": [{"properties": {"a": {"type": "string"}}}]},
            [
                "s.anyOf[0].properties[a].type: Forbidden: must be empty to be structural",
                "s.properties[a]: Required value: because it is defined in s.anyOf[0].properties[a]",
            ],
        ),
        (
            {
                "type": "object",
                "properties": {"metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}},
            },
            [
                (
                    "s.properties[metadata]: Forbidden: must not specify anything other than name and "
                    "generateName, but metadata is implicitly specified"
                )
            ],
        ),
        (
            {"type": "object", "properties": {"a": {"type": "object", f"{X}embedded-resource": True}}},
            [
                (
                    "s.properties[a].properties: Required value: must not be empty if "
                    "x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields"
                )
            ],
        ),
        (
            {
                "type": "object",
                "properties": {
                    "a": {f"{X}int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]}
                },
            },
            [],
        ),
        (
            {
                "type": "object",
                "properties": {"metadata": {"type": "object", "properties": {"name": {"type": "string"}}}},
            },
            [],
        ),
    ],
)
def test_a_schema_that_is_not_structural_is_told_where(schema: Any, sentences: list[str]) -> None:
    assert [str(each) for each in violations(schema, "s")] == sentences
