"""Strategic merge patch, by upstream's description and the cases of its patch_test.go."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubelab.cluster.patch import MalformedPatchError, PatchError, merge_patch, strategic_merge_patch
from kubelab.cluster.patch.document import same_json

KEYS = {"containers": "name", "ports": "containerPort", "finalizers": "", "conditions": "type"}


def merge_keys(path: tuple[str, ...]) -> str | None:
    return KEYS.get(path[-1])


def patched(document: Any, patch: Any) -> Any:
    before = copy.deepcopy((document, patch))
    result = strategic_merge_patch(document, patch, merge_keys)
    assert (document, patch) == before
    return result


def containers(*names: str, **fields: Any) -> list[dict[str, Any]]:
    return [{"name": name, **fields} for name in names]


def names(result: Any) -> list[str]:
    return [container["name"] for container in result["containers"]]


def test_maps_are_merged_and_null_takes_a_field_out() -> None:
    document = {"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"replicas": 1}}
    patch = {"metadata": {"labels": {"a": None, "c": "3"}}, "spec": {"replicas": 2, "absent": None}}
    assert patched(document, patch) == {"metadata": {"labels": {"b": "2", "c": "3"}}, "spec": {"replicas": 2}}


def test_a_list_with_a_merge_key_is_merged_element_by_element() -> None:
    document = {
        "containers": [{"name": "web", "image": "a", "ports": [{"containerPort": 80}]}, {"name": "log"}]
    }
    patch = {"containers": [{"name": "web", "image": "b", "ports": [{"containerPort": 443}]}]}
    ports = [{"containerPort": 443}, {"containerPort": 80}]
    result = patched(document, patch)["containers"]
    assert result[0]["image"] == "b"
    assert sorted(result[0]["ports"], key=lambda port: -port["containerPort"]) == ports
    assert result[1] == {"name": "log"}


def test_new_elements_join_and_the_old_ones_keep_their_places() -> None:
    assert names(
        patched({"containers": containers("a", "b", "c")}, {"containers": containers("c", "d")})
    ) == [
        "a",
        "b",
        "c",
        "d",
    ]


def test_a_list_without_a_merge_key_is_replaced() -> None:
    assert patched({"args": ["a", "b"]}, {"args": ["c"]}) == {"args": ["c"]}


def test_a_merged_list_of_plain_values_is_a_set() -> None:
    result = patched({"finalizers": ["a", "b"]}, {"finalizers": ["b", "c"]})
    assert sorted(result["finalizers"]) == ["a", "b", "c"]


def test_plain_values_are_taken_out_by_a_parallel_list() -> None:
    patch = {"$deleteFromPrimitiveList/finalizers": ["a", "x"], "finalizers": ["c"]}
    assert patched({"finalizers": ["a", "b"]}, patch) == {"finalizers": ["c", "b"]}
    assert patched({}, {"$deleteFromPrimitiveList/finalizers": ["a"]}) == {}


def test_an_element_is_deleted_by_directive() -> None:
    patch = {"containers": [{"name": "a", "$patch": "delete"}, {"name": "absent", "$patch": "delete"}]}
    assert patched({"containers": containers("a", "b")}, patch) == {"containers": containers("b")}


def test_a_list_is_replaced_by_directive() -> None:
    patch = {"containers": [{"name": "c"}, {"$patch": "replace"}]}
    assert patched({"containers": containers("a", "b")}, patch) == {"containers": containers("c")}


def test_a_map_is_replaced_or_emptied_by_directive() -> None:
    document = {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}
    patch: dict[str, Any] = {"strategy": {"$patch": "replace", "type": "Recreate"}}
    assert patched(document, patch) == {"strategy": {"type": "Recreate"}}
    assert patched(document, {"strategy": {"$patch": "delete"}}) == {"strategy": {}}


def test_retain_keys_drops_all_other_fields() -> None:
    document = {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}
    patch = {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}
    assert patched(document, patch) == {"strategy": {"type": "Recreate"}}


def test_the_order_of_elements_can_be_set_and_unnamed_ones_stay_before_those_that_followed_them() -> None:
    order = {"$setElementOrder/containers": containers("c", "a", "d")}
    document = {"containers": containers("a", "b", "c")}
    assert names(patched(document, order)) == ["b", "c", "a"]
    patch = order | {"containers": [{"name": "a", "image": "new"}, {"name": "d"}]}
    assert names(patched(document, patch)) == ["b", "c", "a", "d"]


def test_the_order_of_plain_values_can_be_set() -> None:
    patch = {
        "$setElementOrder/finalizers": ["c", "b"],
        "$deleteFromPrimitiveList/finalizers": ["a"],
        "finalizers": ["c"],
    }
    assert patched({"finalizers": ["a", "b"]}, patch) == {"finalizers": ["c", "b"]}


def test_what_kubectl_apply_sends_to_change_an_image() -> None:
    document = {"spec": {"containers": [{"name": "web", "image": "a", "terminationMessagePath": "/dev/log"}]}}
    patch = {
        "spec": {
            "$setElementOrder/containers": [{"name": "web"}],
            "containers": [{"name": "web", "image": "b"}],
        }
    }
    assert patched(document, patch)["spec"]["containers"] == [
        {"name": "web", "image": "b", "terminationMessagePath": "/dev/log"}
    ]


def test_where_nothing_was_nulls_and_directives_leave_nothing() -> None:
    patch = {
        "spec": {"a": None, "b": {"$patch": "delete"}, "containers": [{"name": "x", "$patch": "delete"}]}
    }
    assert patched({}, patch) == {"spec": {"containers": []}}


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        ({"containers": [{"image": "a"}]}, "does not contain declared merge key: name"),
        ({"containers": [{"$patch": "delete"}]}, "does not contain declared merge key: name"),
        ({"containers": [{"name": "a", "$patch": "grow"}]}, "unknown patch type: grow"),
        ({"containers": ["a"]}, "list element types are not identical"),
        ({"finalizers": [{"a": "b"}]}, "list element types are not identical"),
        ({"$patch": "merge"}, "unknown patch type: merge"),
        ({"$retainKeys": "type"}, "invalid patch format of retainKeys"),
        ({"$retainKeys": ["a"], "b": 1}, "invalid patch format of retainKeys"),
        ({"$setElementOrder/containers": "a"}, "expected a list"),
        (
            {"$setElementOrder/containers": [{"name": "a"}], "containers": [{"name": "b"}]},
            "doesn't match $setElementOrder list",
        ),
        (
            {"$setElementOrder/containers": containers("a", "b"), "containers": containers("b", "a")},
            "doesn't match $setElementOrder list",
        ),
        ([], "invalid JSON document"),
    ],
)
def test_malformed_patches(patch: Any, message: str) -> None:
    with pytest.raises(MalformedPatchError) as error:
        patched({"containers": containers("a"), "finalizers": ["a"]}, patch)
    assert message in str(error.value)


NAMES = st.sampled_from("abcd")
CONTAINERS = st.lists(
    st.builds(lambda name, image: {"name": name, "image": image}, NAMES, st.integers(0, 3)),
    max_size=4,
    unique_by=lambda container: container["name"],
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | NAMES,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from([*KEYS, "a", "name", "$patch", "$retainKeys"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(CONTAINERS, CONTAINERS)
def test_the_patch_that_kubectl_computes_gives_the_wanted_list(old: Any, new: Any) -> None:
    """Changed and added elements, deletions by directive, and the order of the wanted list."""
    wanted = {container["name"] for container in new}
    changes = [container for container in new if container not in old]
    deletions = [{"name": c["name"], "$patch": "delete"} for c in old if c["name"] not in wanted]
    patch = {
        "containers": changes + deletions,
        "$setElementOrder/containers": [{"name": container["name"]} for container in new],
    }
    document = {"containers": old}
    assert patched(document, patch) == {"containers": new}


@given(st.dictionaries(NAMES, VALUES, max_size=3), st.dictionaries(NAMES, st.integers() | NAMES, max_size=3))
def test_without_lists_and_directives_it_is_a_merge_patch(document: Any, patch: Any) -> None:
    assert same_json(patched(document, patch), merge_patch(document, patch))


@given(
    st.dictionaries(NAMES | st.sampled_from([*KEYS]), VALUES),
    st.dictionaries(st.sampled_from([*KEYS, "a"]), VALUES),
)
def test_no_patch_fails_in_another_way(document: Any, patch: Any) -> None:
    try:
        patched(document, patch)
    except PatchError as error:
        assert str(error)
