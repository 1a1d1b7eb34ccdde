"""The rules that Kubernetes lays around structured merge.

Source: kubernetes, apimachinery/pkg/util/managedfields/internal/*_test.go and fieldmanager_test.go.
"""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from typed_values import NUMERIC, ROOT, STRING, map_of, set_of, struct

from kubelab.cluster.apply import ApplyError, ConflictError, FieldManager
from kubelab.cluster.objects import Object

METADATA = struct(
    **dict.fromkeys(("name", "namespace", "uid", "resourceVersion", "creationTimestamp"), STRING),
    generation=NUMERIC,
    labels=map_of(STRING),
    annotations=map_of(STRING),
    finalizers=set_of(),
)
TYPE = struct(apiVersion=STRING, kind=STRING, metadata=METADATA, spec=ROOT, status=ROOT)
EMPTY: Object = {"metadata": {}, "spec": {}}
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
THINGS = FieldManager(TYPE, "v1", "Thing", EMPTY, ignored={"f:status": {}})
STATUS = replace(THINGS, subresource="status", ignored={"f:spec": {}})


def thing(spec: Object, **metadata: Any) -> Object:
    return {"apiVersion": "v1", "kind": "Thing", "metadata": {"name": "a"} | metadata, "spec": spec}


def created(obj: Object, manager: str = "creator", now: str = "t0") -> Object:
    return _with(obj, THINGS.updated(None, obj, manager, now))


def updated(live: Object, new: Object, manager: str, now: str = "t1", by: FieldManager = THINGS) -> Object:
    return _with(new, by.updated(live, new, manager, now))


def applied(
    live: Object | None, config: Object, manager: str, now: str = "t2", *, force: bool = False
) -> Object:
    return THINGS.applied(live, config, manager, now, force=force)


def _with(obj: Object, entries: list[Any]) -> Object:
    metadata = {key: value for key, value in obj["metadata"].items() if key != "managedFields"}
    return obj | {"metadata": metadata | ({"managedFields": entries} if entries else {})}


def entries(obj: Object) -> dict[str, Object]:
    """Return the entries by their manager; a part's with it, and what is applied with a star."""
    return {
        each["manager"] + ("*" if each["operation"] == "Apply" else "") + each.get("subresource", ""): each
        for each in obj["metadata"].get("managedFields", ())
    }


def owned(obj: Object) -> dict[str, Object]:
    return {name: entry["fieldsV1"] for name, entry in entries(obj).items()}


def test_a_creation_is_all_its_makers_but_for_what_names_it() -> None:
    obj = created(thing({"string": "a"}, namespace="b", uid="c", generation=1, labels={"d": "e"}))
    assert obj["metadata"]["managedFields"] == [
        {
            "manager": "creator",
            "operation": "Update",
            "apiVersion": "v1",
            "time": "t0",
            "fieldsType": "FieldsV1",
            "fieldsV1": {
                "f:metadata": {"f:labels": {".": {}, "f:d": {}}},
                "f:spec": {"f:string": {}},
            },
        }
    ]


def test_a_write_that_changes_nothing_changes_no_entry() -> None:
    obj = created(thing({"string": "a"}))
    assert updated(obj, obj, "other") == obj


def test_an_update_takes_a_field_from_its_owner_and_has_a_time() -> None:
    obj = updated(
        created(thing({"string": "a", "numeric": 1})), thing({"string": "b", "numeric": 1}), "other"
    )
    assert owned(obj) == {
        "creator": {"f:spec": {"f:numeric": {}}},
        "other": {"f:spec": {"f:string": {}}},
    }
    assert [entries(obj)[name]["time"] for name in ("creator", "other")] == ["t0", "t1"]


def test_the_same_manager_keeps_one_entry() -> None:
    obj = updated(created(thing({"string": "a"})), thing({"string": "a", "numeric": 1}), "creator")
    assert owned(obj) == {"creator": {"f:spec": {"f:string": {}, "f:numeric": {}}}}
    assert entries(obj)["creator"]["time"] == "t1"


def test_a_subresource_has_an_entry_of_its_own_and_cannot_own_the_rest() -> None:
    obj = created(thing({"string": "a"}))
    seen = obj | {"spec": {"string": "b"}, "status": {"numeric": 1}}
    assert owned(updated(obj, seen, "creator", by=STATUS)) == {
        "creator": {"f:spec": {"f:string": {}}},
        "creatorstatus": {"f:status": {".": {}, "f:numeric": {}}},
    }
    assert owned(created(obj | {"status": {"numeric": 1}})) == {"creator": {"f:spec": {"f:string": {}}}}


def test_who_has_no_name_is_unknown() -> None:
    assert set(entries(created(thing({"string": "a"}), ""))) == {"unknown"}


def test_more_than_ten_updaters_become_ancient_changes() -> None:
    obj = created(thing({"labels": {}}), now="t00")
    for number in range(12):
        new = thing({"labels": {**obj["spec"]["labels"], f"l{number}": "x"}})
        obj = updated(obj, new, f"m{number:02}", f"t{number + 1:02}")
    assert next(iter(entries(obj))) == "ancient-changes"
    assert len(entries(obj)) == 10
    oldest = owned(obj)["ancient-changes"]["f:spec"]["f:labels"]
    assert set(oldest) >= {"f:l0", "f:l1", "f:l2"}


@pytest.mark.parametrize("reset", [[], [{}]])
def test_owners_can_be_forgotten(reset: list[Object]) -> None:
    obj = created(thing({"string": "a"}))
    sent = thing({"string": "b"}, managedFields=reset)
    assert THINGS.updated(obj, sent, "other", "t1") == []


def test_what_is_sent_as_owners_counts_unless_it_makes_no_sense() -> None:
    obj = created(thing({"string": "a"}))
    entry = entries(obj)["creator"] | {"manager": "else"}
    assert set(entries(updated(obj, _with(obj, [entry]), "other"))) == {"else"}
    for wrong in (entry | {"operation": "Take"}, entry | {"fieldsV1": {"spec": {}}}, {"manager": "a"}):
        assert set(entries(updated(obj, _with(obj, [wrong]), "other"))) == {"creator"}


def test_who_sends_no_owners_does_not_take_them_away() -> None:
    assert set(entries(updated(created(thing({"string": "a"})), thing({"string": "a"}), "other"))) == {
        "creator"
    }


def test_what_nobody_owned_is_of_before_the_first_apply() -> None:
    unowned = thing({"string": "a", "numeric": 1})
    assert THINGS.updated(unowned, thing({"string": "b"}), "other", "t1") == []
    with pytest.raises(ConflictError, match='"before-first-apply" using v1'):
        applied(unowned, thing({"string": "b"}), "one")
    assert owned(applied(unowned, thing({"string": "a"}), "one")) == {
        "one*": {"f:spec": {"f:string": {}}},
        "before-first-apply": {"f:spec": {"f:numeric": {}, "f:string": {}}},
    }


def test_to_apply_the_same_again_changes_nothing_not_even_the_time() -> None:
    config = thing({"string": "a", "list": [{"name": "x"}]})
    obj = applied(None, config, "one", "t1")
    assert applied(obj, config, "one", "t9") == obj
    assert entries(applied(obj, thing({"string": "b"}), "one", "t9"))["one*"]["time"] == "t9"


def test_a_conflict_tells_who_and_where() -> None:
    obj = applied(None, thing({"string": "a", "numeric": 1}), "one")
    obj = updated(obj, obj | {"status": {"bool": True}}, "watcher", by=STATUS)
    with pytest.raises(ConflictError) as caught:
        applied(obj, thing({"string": "b", "numeric": 2}), "two")
    assert str(caught.value) == (
        'Apply failed with 2 conflicts: conflicts with "one":\n- .spec.numeric\n- .spec.string'
    )


def test_a_configuration_of_another_type_is_refused() -> None:
    with pytest.raises(ApplyError) as caught:
        applied(None, thing({"strings": "a", "numeric": "1"}), "one")
    assert str(caught.value) == (
        "failed to create typed patch object (/a; v1, Kind=Thing): errors:\n"
        "  .spec.strings: field not declared in schema\n"
        "  .spec.numeric: expected numeric (int or float), got string"
    )


def client_side(spec: Object) -> Object:
    """Return an object that `kubectl apply` made: by an update, with the annotation."""
    noted = json.dumps(thing(spec))
    return created(thing(spec, annotations={LAST_APPLIED: noted}), "kubectl-client-side-apply")


def test_kubectl_is_in_no_conflict_with_what_it_applied_on_the_clients_side() -> None:
    obj = applied(client_side({"string": "a"}), thing({"string": "b"}), "kubectl")
    assert obj["spec"] == {"string": "b"}
    assert json.loads(obj["metadata"]["annotations"][LAST_APPLIED])["spec"] == {"string": "b"}
    with pytest.raises(ConflictError):
        applied(client_side({"string": "a"}), thing({"string": "b"}), "another")


def test_what_was_changed_since_is_a_conflict_for_kubectl_too() -> None:
    obj = client_side({"string": "a", "numeric": 1})
    scaled = obj | {"spec": {"string": "a", "numeric": 5}}
    with pytest.raises(ConflictError) as caught:
        applied(updated(obj, scaled, "scaler"), thing({"string": "b", "numeric": 1}), "kubectl")
    assert [each.field for each in caught.value.conflicts] == [".spec.numeric"]


TEXTS = st.sampled_from(["x", "y"])
ITEMS = st.lists(
    st.fixed_dictionaries({"name": st.sampled_from("abc")}, optional={"value": st.integers(0, 2)}),
    min_size=1,  # Who applies an empty list of known items owns nothing by it, as upstream.
    max_size=3,
    unique_by=lambda item: item["name"],
)
SPECS = st.fixed_dictionaries(
    {},
    optional={
        "string": TEXTS,
        "numeric": st.integers(0, 2),
        "set": st.lists(st.sampled_from("abc"), min_size=1, max_size=3, unique=True),
        "sequence": st.lists(TEXTS, max_size=2),
        "labels": st.dictionaries(st.sampled_from("ab"), TEXTS, max_size=2),
        "selector": st.dictionaries(st.sampled_from("ab"), TEXTS, max_size=2),
        "list": ITEMS,
    },
)


@settings(max_examples=20, deadline=None)
@given(SPECS, SPECS)
def test_applying_is_idempotent(first: Object, second: Object) -> None:
    obj = applied(created(thing(first)), thing(second), "one", force=True)
    assert applied(obj, thing(second), "one", "t9") == obj


@settings(max_examples=20, deadline=None)
@given(SPECS)
def test_applying_what_is_there_changes_nothing_but_owners(spec: Object) -> None:
    obj = created(thing(spec))
    same = applied(obj, thing(spec), "one")
    assert same["spec"] == spec
    assert owned(same).get("creator") == owned(obj).get("creator")


@settings(max_examples=20, deadline=None)
@given(SPECS, SPECS)
def test_what_one_manager_applied_and_lets_go_is_gone(first: Object, second: Object) -> None:
    obj = applied(None, thing(first), "one")
    assume(owned(obj))  # Else there is nothing by which to know who made it.
    obj = applied(obj, thing(second), "one")
    fresh = applied(None, thing(second), "one")
    assert owned(obj) == owned(fresh)
    leaves = ("string", "numeric", "selector", "sequence")
    spec = obj.get("spec") or {}
    assert {key: spec.get(key) for key in leaves} == {key: second.get(key) for key in leaves}


@settings(max_examples=20, deadline=None)
@given(SPECS, SPECS)
def test_every_leaf_has_an_owner_after_any_row_of_writes(first: Object, second: Object) -> None:
    assume(first)  # What began without owners is not followed.
    obj = updated(created(thing(first)), thing(second), "other")
    whole = owned(created(thing(second))).get("creator", {}).get("f:spec", {})
    owners: set[str] = set()
    for each in owned(obj).values():
        owners |= each.get("f:spec", {}).keys()
    assert owners == whole.keys()
