"""JSON Patch by RFC 6902, appendix A, and JSON Merge Patch by RFC 7386, appendix A."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubelab.cluster.patch import (
    InapplicablePatchError,
    MalformedPatchError,
    PatchError,
    json_patch,
    merge_patch,
)
from kubelab.cluster.patch.document import same_json
from kubelab.cluster.patch.json_patch import COPIED_VALUES_MAX

APPENDIX_A = [
    ({"foo": "bar"}, [{"op": "add", "path": "/baz", "value": "qux"}], {"baz": "qux", "foo": "bar"}),
    ({"foo": ["a", "b"]}, [{"op": "add", "path": "/foo/1", "value": "x"}], {"foo": ["a", "x", "b"]}),
    ({"baz": "qux", "foo": "bar"}, [{"op": "remove", "path": "/baz"}], {"foo": "bar"}),
    ({"foo": ["a", "x", "b"]}, [{"op": "remove", "path": "/foo/1"}], {"foo": ["a", "b"]}),
    ({"baz": "qux"}, [{"op": "replace", "path": "/baz", "value": "boo"}], {"baz": "boo"}),
    (
        {"foo": {"bar": "baz", "waldo": "fred"}, "qux": {"corge": "grault"}},
        [{"op": "move", "from": "/foo/waldo", "path": "/qux/thud"}],
        {"foo": {"bar": "baz"}, "qux": {"corge": "grault", "thud": "fred"}},
    ),
    (
        {"foo": ["all", "grass", "cows", "eat"]},
        [{"op": "move", "from": "/foo/1", "path": "/foo/3"}],
        {"foo": ["all", "cows", "eat", "grass"]},
    ),
    ({"a": {"b": 1}}, [{"op": "copy", "from": "/a", "path": "/c"}], {"a": {"b": 1}, "c": {"b": 1}}),
    ({"baz": ["a", 2]}, [{"op": "test", "path": "/baz/1", "value": 2.0}], {"baz": ["a", 2]}),
    (
        {"foo": "bar"},
        [{"op": "add", "path": "/child", "value": {"g": {}}}],
        {"foo": "bar", "child": {"g": {}}},
    ),
    ({"foo": ["bar"]}, [{"op": "add", "path": "/foo/-", "value": ["a"]}], {"foo": ["bar", ["a"]]}),
    ({"/": 9, "~1": 10}, [{"op": "test", "path": "/~01", "value": 10}], {"/": 9, "~1": 10}),
    ({"a/b": 1}, [{"op": "remove", "path": "/a~1b"}], {}),
    ({"a": 1}, [{"op": "replace", "path": "", "value": {"b": 2}}], {"b": 2}),
    ({"a": 1}, [{"op": "move", "from": "/a", "path": "/a"}], {"a": 1}),
    ({"": 1}, [{"op": "replace", "path": "/", "value": 2}], {"": 2}),
]


@pytest.mark.parametrize(("document", "patch", "expected"), APPENDIX_A)
def test_operations(document: Any, patch: list[Any], expected: Any) -> None:
    before = copy.deepcopy(document)
    assert json_patch(document, patch) == expected
    assert document == before


@pytest.mark.parametrize(
    ("document", "operation", "message"),
    [
        (
            {"a": 1},
            {"op": "add", "path": "/b/c", "value": 1},
            'add operation does not apply: doc is missing path: "/b/c"',
        ),
        ({"a": 1}, {"op": "remove", "path": "/b"}, "Unable to remove nonexistent key: b: missing value"),
        ({"a": 1}, {"op": "replace", "path": "/b", "value": 1}, "replace operation does not apply"),
        ({"a": 1}, {"op": "move", "from": "/b", "path": "/c"}, "move operation does not apply"),
        ({"a": [1]}, {"op": "add", "path": "/a/2", "value": 1}, "Unable to access invalid index: 2"),
        ({"a": [1]}, {"op": "remove", "path": "/a/1"}, "Unable to access invalid index: 1"),
        ({"a": "1"}, {"op": "test", "path": "/a", "value": 1}, "testing value /a failed: test failed"),
        ({"a": 1}, {"op": "test", "path": "/a", "value": True}, "testing value /a failed: test failed"),
        ({"a": 1}, {"op": "remove", "path": ""}, "cannot remove the whole document"),
    ],
)
def test_what_does_not_fit_the_document(document: Any, operation: Any, message: str) -> None:
    with pytest.raises(InapplicablePatchError) as error:
        json_patch(document, [operation])
    assert message in str(error.value)
    assert error.value.code == 422


@pytest.mark.parametrize(
    "patch",
    [
        {"op": "remove", "path": "/a"},
        ["remove"],
        [{"path": "/a"}],
        [{"op": "grow", "path": "/a"}],
        [{"op": ["remove"], "path": "/a"}],
        [{"op": "remove"}],
        [{"op": "remove", "path": "a"}],
        [{"op": "remove", "path": "/a~2"}],
        [{"op": "add", "path": "/a"}],
        [{"op": "move", "path": "/a"}],
        [{"op": "move", "from": "/a", "path": "/a/b"}],
        [{"op": "remove", "path": "/a/01"}],
        [{"op": "remove", "path": "/a/-1"}],
        [{"op": "remove", "path": "/a/-"}],
    ],
)
def test_what_is_no_json_patch(patch: Any) -> None:
    with pytest.raises(MalformedPatchError):
        json_patch({"a": [1, 2]}, patch)


def test_copies_of_copies_do_not_fill_the_memory() -> None:
    double = {"op": "copy", "from": "", "path": "/copy"}
    with pytest.raises(InapplicablePatchError, match=f"copies more than {COPIED_VALUES_MAX} values"):
        json_patch({"a": 1}, [{**double, "path": f"/copy-{number}"} for number in range(100)])


@pytest.mark.parametrize(
    ("document", "patch", "expected"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "foo"}, None, None),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merging(document: Any, patch: Any, expected: Any) -> None:
    before = copy.deepcopy((document, patch))
    assert merge_patch(document, patch) == expected
    assert (document, patch) == before


SCALARS = st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["", "a"])
NAMES = st.sampled_from(["a", "b", "c/d", "~"])
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(NAMES, DOCUMENTS, max_size=4)
POINTERS = st.lists(st.sampled_from(["a", "b", "c~1d", "~0", "0", "1", "-"]), max_size=3).map(
    lambda tokens: "".join(f"/{token}" for token in tokens)
)
OPERATIONS = st.fixed_dictionaries(
    {
        "op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]),
        "path": POINTERS,
        "from": POINTERS,
        "value": DOCUMENTS,
    }
)


def _without_nulls(document: Any) -> Any:
    if isinstance(document, dict):
        return {name: _without_nulls(value) for name, value in document.items() if value is not None}
    return document


def _difference(old: Any, new: Any) -> Any:
    """The merge patch from *old* to *new*, as the RFC defines it backwards."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    changed = {name: _difference(old.get(name), value) for name, value in new.items()}
    return {name: None for name in old if name not in new} | changed


@given(OBJECTS, OBJECTS)
def test_a_merge_patch_can_say_every_change_but_null(old: Any, new: Any) -> None:
    new = _without_nulls(new)
    patched = merge_patch(old, _difference(old, new))
    assert same_json(patched, new)
    assert same_json(merge_patch(patched, _difference(old, new)), new)


@given(OBJECTS, st.lists(OPERATIONS, max_size=3))
def test_no_json_patch_changes_its_document_or_fails_in_another_way(document: Any, patch: Any) -> None:
    before = copy.deepcopy((document, patch))
    try:
        json_patch(document, patch)
    except PatchError as error:
        assert str(error)
    assert same_json([document, patch], list(before))


@given(OBJECTS, NAMES, DOCUMENTS)
def test_what_is_added_can_be_tested_and_removed_again(document: Any, name: str, value: Any) -> None:
    document.pop(name, None)
    path = "/" + name.replace("~", "~0").replace("/", "~1")
    test = {"op": "test", "path": path, "value": value}
    patch = [{"op": "add", "path": path, "value": value}, test, {"op": "remove", "path": path}]
    assert same_json(json_patch(document, patch), document)
