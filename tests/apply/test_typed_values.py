"""What is done to typed values: the facts of structured-merge-diff's own tables.

Source: structured-merge-diff, typed/{merge,symdiff,toset,remove,validate,reconcile_schema}_test.go.
"""

from typing import Any

import pytest
from typed_values import BOOLEAN, ITEM, NUMERIC, ROOT, STRING, atomic_list, list_by, map_of, set_of, struct

from kubelab.cluster.apply import DEDUCED, Type, fields
from kubelab.cluster.apply.comparison import compare
from kubelab.cluster.apply.leaves import leaves
from kubelab.cluster.apply.merging import merge
from kubelab.cluster.apply.migration import migrate
from kubelab.cluster.apply.removal import remove
from kubelab.cluster.apply.types import ATOMIC
from kubelab.cluster.apply.validation import validate


def shown(found: fields.Fields) -> set[str]:
    return {fields.shown(path) for path in fields.paths(found)}


@pytest.mark.parametrize(
    ("value", "config", "merged"),
    [
        ("abc", "ab", "abc"),
        ("ab", "abc", "abc"),
        ("ab", "ba", "ba"),
        ("abc", "", "abc"),
        ("abc", "def", "abcdef"),
        ("abcgf", "cdef", "abcgdef"),
        ("cdef", "ace", "acdef"),
        ("abcxyz", "defxyz", "abcdefxyz"),
        ("cagf", "cfag", "cfag"),
        ("abcd", "defa", "bcdefa"),
        ("cdefghij", "2h3e4kl", "cdfg2hij3e4kl"),
        ("abcdefghij", "1b2h3e4kl", "a1bcdfg2hij3e4kl"),
        ("abb", "c", "abbc"),
        ("abb", "b", "ab"),
        ("abb", "a", "abb"),
        ("abcdec", "1b2ed", "a1bc2ecd"),
        ("aabb", "bcd", "aabcd"),
        ("cagfca", "cfag", "cfag"),
    ],
)
def test_a_set_keeps_the_configurations_order(value: str, config: str, merged: str) -> None:
    assert merge(set_of(), list(value), list(config)) == list(merged)


@pytest.mark.parametrize(
    ("value", "config", "merged"),
    [
        ({"numeric": 1}, {"numeric": 3.14}, {"numeric": 3.14}),
        ({"string": "a"}, {"bool": True}, {"string": "a", "bool": True}),
        ({"labels": {"a": "1"}}, {"labels": {"b": "2"}}, {"labels": {"a": "1", "b": "2"}}),
        ({"selector": {"a": "1"}}, {"selector": {"b": "2"}}, {"selector": {"b": "2"}}),
        ({"sequence": ["a", "b"]}, {"sequence": ["c"]}, {"sequence": ["c"]}),
        ({"struct": {"name": "a"}}, {"struct": {}}, {"struct": {"name": "a"}}),
        ({"labels": {}}, {"labels": None}, {"labels": None}),
        (
            {"list": [{"name": "a", "value": 1}, {"name": "b"}]},
            {"list": [{"name": "c"}, {"name": "a", "value": 2}]},
            {"list": [{"name": "c"}, {"name": "a", "value": 2}, {"name": "b"}]},
        ),
    ],
)
def test_what_both_have_is_the_configurations(value: Any, config: Any, merged: Any) -> None:
    assert merge(ROOT, value, config) == merged


@pytest.mark.parametrize(
    ("old", "new", "written", "removed"),
    [
        ({"numeric": 1}, {"numeric": 1.0}, set(), set()),
        ({"string": "a"}, {"bool": True}, {".bool"}, {".string"}),
        ({"labels": {"a": "1"}}, {"labels": {"a": "2"}}, {".labels.a"}, set()),
        ({}, {"labels": {"a": "1"}}, {".labels", ".labels.a"}, set()),
        ({"labels": None}, {"labels": {"a": "1"}}, {".labels.a"}, set()),
        ({"labels": None}, {"labels": {}}, {".labels"}, set()),
        ({"labels": {"a": "1"}}, {"labels": {}}, set(), {".labels.a"}),
        ({"selector": {"a": "1"}}, {"selector": {"a": "2"}}, {".selector"}, set()),
        ({"sequence": ["a"]}, {"sequence": ["a", "b"]}, {".sequence"}, set()),
        ({"set": ["a", "b"]}, {"set": ["b", "a"]}, set(), set()),
        ({"set": ["a"]}, {"set": ["b"]}, {'.set[="b"]'}, {'.set[="a"]'}),
        ({"numbers": [1, 2]}, {"numbers": [1.0, 3]}, {".numbers[=3]"}, {".numbers[=2]"}),
        ({"set": ["a"]}, {"set": ["a", "a"]}, {'.set[="a"]'}, {'.set[="a"]'}),
        (
            {"list": [{"name": "a", "value": 1}]},
            {"list": [{"name": "b"}, {"name": "a", "value": 2}]},
            {'.list[name="a"].value', '.list[name="b"]', '.list[name="b"].name'},
            set(),
        ),
        (
            {"ports": [{"port": 80}]},
            {"ports": [{"port": 80, "protocol": "TCP"}]},
            {'.ports[port=80,protocol="TCP"].protocol'},
            set(),
        ),
        ({"other": {"a": 1}}, {"other": {"a": 2}}, {".other"}, set()),
    ],
)
def test_a_comparison_tells_what_changed(old: Any, new: Any, written: set[str], removed: set[str]) -> None:
    comparison = compare(ROOT, old, new)
    assert (shown(comparison.written), shown(comparison.removed)) == (written, removed)


def test_a_value_that_becomes_of_another_kind_is_written() -> None:
    comparison = compare(map_of(DEDUCED), {"a": {"b": 1}}, {"a": "text"})
    assert shown(comparison.written) == {".a"}
    assert shown(comparison.removed) == {".a.b"}


@pytest.mark.parametrize(
    ("config", "owned"),
    [
        ({"numeric": 1, "string": None}, {".numeric", ".string"}),
        ({"struct": {"name": "a"}}, {".struct.name"}),
        ({"struct": {}}, {".struct"}),
        ({"labels": {"a": "1"}}, {".labels.a"}),
        ({"selector": {"a": "1"}}, {".selector"}),
        ({"sequence": []}, {".sequence"}),
        ({"set": []}, set()),
        ({"set": ["a", "a"]}, {'.set[="a"]'}),
        (
            {"list": [{"name": "a", "value": 1}]},
            {'.list[name="a"]', '.list[name="a"].name', '.list[name="a"].value'},
        ),
    ],
)
def test_a_configuration_owns_its_leaves_and_items(config: Any, owned: set[str]) -> None:
    assert shown(leaves(ROOT, config)) == owned


def test_removal_takes_items_and_what_is_below_them() -> None:
    value = {"set": ["a", "b"], "list": [{"name": "a", "value": 1}, {"name": "b"}], "labels": {"c": "d"}}
    gone = fields.of_paths(
        ("f:set", 'v:"a"'), ("f:list", 'k:{"name":"a"}', "f:value"), ("f:labels",), ("f:labels", "f:c")
    )
    assert remove(ROOT, value, gone) == {"set": ["b"], "list": [{"name": "a"}, {"name": "b"}]}


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"string": 1}, ".string: expected string, got &value.valueUnstructured{Value:1}"),
        ({"numeric": "1"}, ".numeric: expected numeric (int or float), got string"),
        ({"numeric": True}, ".numeric: expected numeric (int or float), got bool"),
        ({"bool": "true"}, '.bool: expected boolean, got "true"'),
        ({"labels": ["a"]}, '.labels: expected map, got ["a"]'),
        ({"set": {"a": "b"}}, '.set: expected list, got {"a": "b"}'),
        ({"more": 1}, ".more: field not declared in schema"),
        ({"set": ["a", "a"]}, '.set: duplicate entries for key [="a"]'),
        ({"list": [{"name": "a"}, {"name": "a"}]}, '.list: duplicate entries for key [name="a"]'),
        (
            {"list": [{"name": "a", "value": "b"}]},
            '.list[name="a"].value: expected numeric (int or float), got string',
        ),
        ({"list": ["a"]}, ".list: element 0: associative list with keys may not have non-map elements"),
        (
            {"set": [None]},
            ".set: element 0: associative list without keys has an element that's an explicit null",
        ),
        (
            {"list": [{"value": 1}]},
            (
                ".list: element 0: associative list with keys has an element that omits all key fields "
                '["name"] (and doesn\'t have default values for any key fields)'
            ),
        ),
    ],
)
def test_a_configuration_that_is_not_of_the_type_is_told_where(value: Any, problem: str) -> None:
    assert list(validate(ROOT, value)) == [problem]


def test_anything_goes_where_the_type_is_deduced_and_null_everywhere() -> None:
    assert not list(validate(DEDUCED, {"a": [{"b": 1}, "c"], "d": {"e": None}}))
    assert not list(validate(ROOT, {"string": None, "list": None, "struct": None}))


@pytest.mark.parametrize(
    ("type_", "owned", "migrated"),
    [
        (struct(struct=struct(atomic=True, numeric=NUMERIC)), ("f:struct", "f:numeric"), {".struct"}),
        (struct(struct=struct(numeric=NUMERIC)), ("f:struct", "f:numeric"), {".struct.numeric"}),
        (struct(list=atomic_list()), ("f:list", 'v:"a"'), {".list"}),
        (struct(list=list_by(map_of(ITEM), name=None)), ("f:list",), {".list"}),
        (DEDUCED, ("f:a", "f:b"), {".a.b"}),
        (struct(a=ATOMIC), ("f:a", "f:b"), {".a"}),
    ],
)
def test_owners_follow_a_type_that_became_atomic(
    type_: Type, owned: tuple[str, ...], migrated: set[str]
) -> None:
    assert shown(migrate(fields.of_paths(owned), type_)) == migrated


def test_plain_types_are_told_apart() -> None:
    assert not list(validate(struct(a=STRING, b=BOOLEAN), {"a": "x", "b": False}))
