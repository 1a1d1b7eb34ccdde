"""Who owns what after a row of writes: the facts of structured-merge-diff's own scenarios.

Source: structured-merge-diff, merge/{leaf,set,key,nested,multiple_appliers,duplicates,default_keys,deduced,
schema_change}_test.go.
"""

from typing import Any

import pytest
from typed_values import ROOT, Written, atomic_list, struct

from kubelab.cluster.apply import DEDUCED, ConflictError
from kubelab.cluster.objects import Object


def named(*names: str, **more: Any) -> Object:
    return {"list": [{"name": name, **more} for name in names]}


def conflicts(written: Written, manager: str, config: Object) -> list[tuple[str, str]]:
    """Return the managers and the fields with which *config* is in conflict."""
    with pytest.raises(ConflictError) as caught:
        written.apply(manager, config)
    return [(conflict.manager, conflict.field) for conflict in caught.value.conflicts]


def test_who_applies_again_owns_what_it_applies_now() -> None:
    written = Written()
    written.apply("default", {"numeric": 1, "string": "a"})
    written.apply("default", {"numeric": 2, "bool": False})
    assert written.object == {"numeric": 2, "bool": False}
    assert written.owned("default") == {".numeric", ".bool"}


def test_what_another_updated_stays_and_is_its_own() -> None:
    written = Written()
    written.apply("default", {"numeric": 1, "string": "a"})
    written.update("controller", {"numeric": 1, "string": "b", "bool": True})
    assert written.owned("default") == {".numeric"}
    assert written.owned("controller") == {".string", ".bool"}
    written.apply("default", {"numeric": 2})
    assert written.object == {"numeric": 2, "string": "b", "bool": True}


def test_changing_what_another_owns_is_a_conflict_and_changes_nothing() -> None:
    written = Written()
    written.apply("one", {"numeric": 1, "string": "a"})
    assert conflicts(written, "two", {"numeric": 2, "string": "a", "bool": True}) == [('"one"', ".numeric")]
    assert written.object == {"numeric": 1, "string": "a"}
    assert written.owned("two") == set()


def test_force_takes_the_field() -> None:
    written = Written()
    written.apply("one", {"numeric": 1, "string": "a"})
    written.apply("two", {"numeric": 2}, force=True)
    assert written.object == {"numeric": 2, "string": "a"}
    assert (written.owned("one"), written.owned("two")) == ({".string"}, {".numeric"})


def test_the_same_value_is_shared_and_survives_one_owner() -> None:
    written = Written()
    written.apply("one", {"numeric": 1, "string": "a"})
    written.apply("two", {"numeric": 1})
    assert written.owned("one") & written.owned("two") == {".numeric"}
    written.apply("one", {"string": "a"})
    assert written.object == {"numeric": 1, "string": "a"}
    written.apply("two", {"bool": True})
    assert written.object == {"string": "a", "bool": True}


def test_an_updater_that_changes_an_applied_field_keeps_it_when_the_applier_lets_go() -> None:
    written = Written()
    written.apply("one", {"numeric": 1, "string": "a"})
    written.update("controller", {"numeric": 2, "string": "a"})
    written.apply("one", {"string": "a"})
    assert written.object == {"numeric": 2, "string": "a"}


def test_items_of_several_appliers_live_beside_one_another() -> None:
    written = Written()
    written.apply("one", named("a", "b"))
    written.apply("two", named("c"))
    written.apply("one", named("a"))
    assert written.object == named("a", "c")
    assert written.owned("one") == {'.list[name="a"]', '.list[name="a"].name'}


def test_a_shared_item_goes_with_its_last_owner() -> None:
    written = Written()
    written.apply("one", named("a", "b", "c"))
    written.apply("two", named("c", "d"))
    written.apply("one", named("a"))
    assert written.object == named("a", "c", "d")
    written.apply("two", named("d"))
    assert written.object == named("a", "d")


def test_a_conflict_names_the_field_of_the_item() -> None:
    written = Written()
    written.apply("one", named("a", value=0))
    assert conflicts(written, "two", named("a", value=1)) == [('"one"', '.list[name="a"].value')]


def test_an_item_goes_with_the_field_that_another_set_in_it() -> None:
    """Who set `value` owns that and not the item."""
    written = Written()
    written.apply("one", named("a", "b"))
    written.update("controller", {"list": [{"name": "a"}, {"name": "b", "value": 5}]})
    written.apply("one", named("a"))
    assert written.object == named("a")


def test_sets_merge_and_prune() -> None:
    written = Written()
    written.apply("default", {"set": ["a", "c"]})
    written.update("controller", {"set": ["a", "b", "c", "d"]})
    written.apply("default", {"set": ["a", "aprime", "c", "cprime"]})
    assert written.object == {"set": ["a", "b", "aprime", "c", "d", "cprime"]}
    written.apply("default", {"set": ["a"]})
    assert written.object == {"set": ["a", "b", "d"]}


def test_who_removes_a_field_takes_it_from_all_owners() -> None:
    written = Written()
    written.apply("one", {"set": ["a", "b"]})
    written.update("controller", {"set": ["a"]})
    assert written.owned("one") == {'.set[="a"]'}


def test_an_atomic_list_has_one_owner() -> None:
    written = Written()
    written.apply("one", {"sequence": ["a"]})
    assert conflicts(written, "two", {"sequence": ["a", "b"]}) == [('"one"', ".sequence")]
    written.apply("two", {"sequence": ["b"]}, force=True)
    assert (written.owned("one"), written.owned("two")) == (set(), {".sequence"})


def test_an_atomic_map_is_replaced_whole() -> None:
    written = Written()
    written.apply("one", {"selector": {"a": "1", "b": "2"}})
    written.apply("one", {"selector": {"a": "1"}})
    assert written.object == {"selector": {"a": "1"}}


def test_keys_that_were_left_out_have_their_defaults() -> None:
    written = Written()
    written.apply("one", {"ports": [{"port": 80, "name": "a"}]})
    written.apply("two", {"ports": [{"port": 80, "protocol": "TCP"}, {"port": 80, "protocol": "UDP"}]})
    assert written.object == {
        "ports": [{"port": 80, "name": "a", "protocol": "TCP"}, {"port": 80, "protocol": "UDP"}]
    }


def test_the_last_label_goes_and_the_map_with_it() -> None:
    written = Written()
    written.apply("one", {"labels": {"a": "1"}, "numeric": 1})
    written.apply("one", {"numeric": 1})
    assert written.object == {"numeric": 1}


def test_duplicates_that_were_there_are_one_field() -> None:
    written = Written()
    written.update("updater", {"numbers": [1, 1, 3, 4]})
    assert written.owned("updater") == {".numbers", ".numbers[=1]", ".numbers[=3]", ".numbers[=4]"}
    assert conflicts(written, "applier", {"numbers": [1]}) == [('"updater" using v1', ".numbers[=1]")]
    written.apply("applier", {"numbers": [1]}, force=True)
    assert written.object == {"numbers": [1, 3, 4]}


def test_without_a_schema_maps_are_granular_and_lists_atomic() -> None:
    written = Written(DEDUCED)
    written.apply("one", {"a": 1, "list": ["x"], "map": {"b": 1}})
    assert conflicts(written, "two", {"list": ["x", "y"], "map": {"c": 1}}) == [('"one"', ".list")]
    written.apply("two", {"map": {"c": 1}})
    assert written.object["map"] == {"b": 1, "c": 1}


def test_a_type_that_became_atomic_makes_owners_of_parts_owners_of_all() -> None:
    written = Written(struct(struct=struct(numeric=ROOT, string=ROOT)))
    written.apply("one", {"struct": {"numeric": {"numeric": 1}}})
    written.type = struct(struct=struct(atomic=True, numeric=ROOT, string=ROOT))
    assert conflicts(written, "two", {"struct": {"string": {"string": "a"}}}) == [('"one"', ".struct")]


def test_an_item_of_an_unknown_kind_of_list_is_the_lists() -> None:
    written = Written(struct(list=atomic_list(struct(name=ROOT))))
    written.update("one", {"list": [{"name": {"numeric": 1}}]})
    assert written.owned("one") == {".list"}
