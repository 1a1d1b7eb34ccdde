"""Selectors, by the tables of upstream's selector_test.go, and round trips."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubelab.cluster.selectors import (
    EQUALITY,
    EXISTENCE,
    FieldSelector,
    FieldTerm,
    LabelSelector,
    Operator,
    SelectorError,
    label_selector,
    parse_fields,
    parse_labels,
    requirement,
)

MATCHES = [
    ("", {"x": "y"}),
    ("x=y", {"x": "y"}),
    ("x==y", {"x": "y"}),
    ("x=y,z=w", {"x": "y", "z": "w"}),
    ("x!=y,z!=w", {"x": "z", "z": "a"}),
    ("notin=in", {"notin": "in"}),
    ("in in (in)", {"in": "in"}),
    ("x", {"x": "z"}),
    ("!x", {"y": "z"}),
    ("x!=y", {}),
    ("x notin (y,z)", {}),
    ("x in ()", {"x": ""}),
    ("x in (a,,b)", {"x": ""}),
    ("x=", {"x": ""}),
    ("x>1", {"x": "2"}),
    ("x<7", {"x": "-6"}),
    ("example.com/role in ( db , web ),!old", {"example.com/role": "web"}),
]
MISSES = [
    ("x=z", {}),
    ("x=y", {"x": "z"}),
    ("x=y,z=w", {"x": "w", "z": "w"}),
    ("x!=y,z!=w", {"x": "z", "z": "w"}),
    ("x", {"y": "z"}),
    ("!x", {"x": ""}),
    ("x in (a,b)", {}),
    ("x notin (a)", {"x": "a"}),
    ("x>1", {"x": "0"}),
    ("x>1", {"x": "many"}),
    ("x>1", {}),
]


@pytest.mark.parametrize(("selector", "labels"), MATCHES)
def test_matching_labels(selector: str, labels: dict[str, str]) -> None:
    assert parse_labels(selector).matches(labels)


@pytest.mark.parametrize(("selector", "labels"), MISSES)
def test_labels_that_do_not_match(selector: str, labels: dict[str, str]) -> None:
    assert not parse_labels(selector).matches(labels)


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ("x==a==b", "found '==', expected: ',' or 'end of string'"),
        ("!x=a", "found '=', expected: ',' or 'end of string'"),
        ("x=a,", "found '', expected: identifier after ','"),
        ("=a", "found '=', expected: !, identifier, or 'end of string'"),
        ("x y", "unable to parse requirement: found 'y', expected: in, notin, =, ==, !=, gt, lt"),
        ("x in a", "unable to parse requirement: found 'a' expected: '('"),
        ("x in (a", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("x>a", "unable to parse requirement: values[0]: Invalid value: \"a\": for 'Gt', 'Lt' operators"),
        ("-x=1", 'unable to parse requirement: <nil>: Invalid value: "-x": name part must consist of'),
        ("x=-", 'unable to parse requirement: values[0][x]: Invalid value: "-": a valid label must be'),
        ("/x", 'unable to parse requirement: <nil>: Invalid value: "/x": prefix part must be non-empty'),
    ],
)
def test_what_is_not_a_label_selector(selector: str, message: str) -> None:
    with pytest.raises(SelectorError) as error:
        parse_labels(selector)
    assert message in str(error.value)


def test_a_label_selector_object() -> None:
    selector = label_selector(
        {
            "matchLabels": {"app": "web"},
            "matchExpressions": [
                {"key": "tier", "operator": "In", "values": ["front", "back"]},
                {"key": "old", "operator": "DoesNotExist"},
            ],
        }
    )
    assert selector.matches({"app": "web", "tier": "back"})
    assert not selector.matches({"app": "web", "tier": "back", "old": ""})
    assert str(selector) == "app=web,!old,tier in (back,front)"


def test_no_selector_selects_nothing_and_an_empty_one_everything() -> None:
    assert not label_selector(None).matches({})
    assert label_selector({}).matches({"a": "b"})
    assert label_selector(None)
    assert not label_selector({})


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ({"key": "a", "operator": "Has"}, '"Has" is not a valid label selector operator'),
        ({"key": "a", "operator": "In"}, "values: Invalid value: []: for 'in', 'notin' operators"),
        ({"key": "a", "operator": "Exists", "values": ["x"]}, "values set must be empty for exists"),
    ],
)
def test_an_invalid_expression(expression: dict[str, Any], message: str) -> None:
    with pytest.raises(SelectorError) as error:
        label_selector({"matchExpressions": [expression]})
    assert message in str(error.value)


POD = {"metadata": {"name": "a"}, "spec": {"nodeName": "minion-1"}, "status": {"phase": "Running"}}


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        ("", True),
        ("metadata.name=a,spec.nodeName==minion-1", True),
        ("metadata.name!=a", False),
        ("spec.nodeName=", False),
        ("status.phase!=Pending,status.phase!=Failed", True),
        ("spec.unschedulable=false", True),
        ("spec.unschedulable!=true", True),
        ("spec.unschedulable=true", False),
        ("status.podIP=", True),
        ("status.podIP!=", False),
        ("metadata.name.deeper=", True),
        (r"metadata.name!=a\,b", True),
    ],
)
def test_fields(selector: str, matches: bool) -> None:
    assert parse_fields(selector).matches(POD) is matches


def test_a_boolean_field_is_compared_as_it_is_written() -> None:
    cordoned = {"spec": {"unschedulable": True}}
    assert parse_fields("spec.unschedulable=true").matches(cordoned)
    assert not parse_fields("spec.unschedulable=false").matches(cordoned)


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ("a", "invalid selector: 'a'; can't understand 'a'"),
        ("a=b=c", "invalid field selector: unescaped character in value: 61"),
        (r"a=b\c", r"invalid field selector: invalid escape sequence: \c"),
    ],
)
def test_what_is_not_a_field_selector(selector: str, message: str) -> None:
    with pytest.raises(SelectorError) as error:
        parse_fields(selector)
    assert str(error.value) == message


WORDS = st.text("aZ9", min_size=1, max_size=4) | st.sampled_from(["in", "notin", "a.b-c_d", "x" * 63])


@st.composite
def requirements(draw: st.DrawFn) -> Any:
    operator = draw(st.sampled_from(Operator))
    if operator in EXISTENCE:
        values = []
    elif operator in EQUALITY:
        values = [draw(WORDS)]
    elif operator in (Operator.IN, Operator.NOT_IN):
        values = sorted(draw(st.sets(WORDS, min_size=1, max_size=3)))
    else:
        values = [str(draw(st.integers(0, 99)))]
    return requirement(draw(WORDS), operator, values)


@given(st.lists(requirements(), max_size=4))
def test_a_written_label_selector_is_read_back(wanted: list[Any]) -> None:
    selector = LabelSelector(tuple(sorted(wanted, key=lambda requirement: requirement.key)))
    assert parse_labels(str(selector)) == selector


@given(
    st.lists(
        st.builds(FieldTerm, st.sampled_from(["metadata.name", "spec.nodeName"]), st.text(), st.booleans())
    )
)
def test_a_written_field_selector_is_read_back(terms: list[FieldTerm]) -> None:
    assert set(parse_fields(str(FieldSelector(tuple(terms)))).terms) == set(terms)
