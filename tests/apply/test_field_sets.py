"""Sets of fields, as FieldsV1 writes them.

Source: structured-merge-diff, fieldpath/set_test.go, serialize_test.go.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubelab.cluster.apply import fields, path_element
from kubelab.cluster.apply.path_element import PathElementError

ELEMENTS = st.sampled_from(["f:a", "f:b", 'k:{"name":"c"}', 'v:"d"'])
PATHS = st.lists(ELEMENTS, min_size=1, max_size=3).map(tuple)
SETS = st.sets(PATHS, max_size=8)


def tree(paths: set[tuple[str, ...]]) -> fields.Fields:
    return fields.of_paths(*paths)


def members(found: fields.Fields) -> set[tuple[str, ...]]:
    return set(fields.paths(found))


@settings(max_examples=25, deadline=None)
@given(SETS)
def test_a_tree_holds_the_paths_that_it_was_made_of(paths: set[tuple[str, ...]]) -> None:
    assert members(tree(paths)) == paths
    assert fields.decoded(tree(paths)) == tree(paths)
    assert all(fields.contains(tree(paths), path) for path in paths)


@settings(max_examples=25, deadline=None)
@given(SETS, SETS)
def test_sets_behave_as_sets(left: set[tuple[str, ...]], right: set[tuple[str, ...]]) -> None:
    assert members(fields.union(tree(left), tree(right))) == left | right
    assert members(fields.intersection(tree(left), tree(right))) == left & right
    assert members(fields.difference(tree(left), tree(right))) == left - right


@settings(max_examples=25, deadline=None)
@given(SETS, SETS)
def test_a_recursive_difference_takes_what_is_below(
    left: set[tuple[str, ...]], right: set[tuple[str, ...]]
) -> None:
    below = {path for path in left if any(path[: len(prefix)] == prefix for prefix in right)}
    assert members(fields.recursive_difference(tree(left), tree(right))) == left - below


@settings(max_examples=25, deadline=None)
@given(SETS, SETS)
def test_no_operation_changes_its_operands(left: set[tuple[str, ...]], right: set[tuple[str, ...]]) -> None:
    one, other = tree(left), tree(right)
    for operation in (fields.union, fields.intersection, fields.difference, fields.recursive_difference):
        operation(one, other)
    assert (one, other) == (tree(left), tree(right))


def test_a_field_with_others_below_it_is_told_by_a_dot() -> None:
    both = fields.of_paths(("f:spec",), ("f:spec", "f:replicas"))
    assert both == {"f:spec": {".": {}, "f:replicas": {}}}
    assert fields.of_paths(("f:spec", "f:replicas")) == {"f:spec": {"f:replicas": {}}}


def test_what_a_client_writes_otherwise_is_the_same_field() -> None:
    written = {'k:{"protocol": "TCP", "containerPort": 80.0}': {".": {}}}
    assert fields.decoded(written) == {'k:{"containerPort":80,"protocol":"TCP"}': {}}


@pytest.mark.parametrize("wrong", ["spec", "x:spec", "k:name", "v:", "i:x", "k:[1]"])
def test_what_is_no_path_element_is_refused(wrong: str) -> None:
    with pytest.raises(PathElementError):
        fields.decoded({wrong: {}})


def test_people_see_paths() -> None:
    path = ("f:spec", "f:ports", 'k:{"containerPort":80,"protocol":"TCP"}', "f:name")
    assert fields.shown(path) == '.spec.ports[containerPort=80,protocol="TCP"].name'
    assert fields.shown(("f:finalizers", path_element.of_value("a.b/c"))) == '.finalizers[="a.b/c"]'
