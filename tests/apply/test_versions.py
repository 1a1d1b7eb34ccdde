"""Owners of one object in several versions, in which its fields have other names.

Source: structured-merge-diff, merge/{multiple_appliers,obsolete_versions,conflict}_test.go; kubernetes,
apimachinery/pkg/util/managedfields/internal/versionconverter_test.go.
"""

from typing import Any

import pytest
from typed_values import NUMERIC, STRING, list_by, map_of, struct

from kubelab.cluster.apply import ConflictError, FieldManager, Type, Version
from kubelab.cluster.objects import Object

METADATA = struct(name=STRING, labels=map_of(STRING))
EMPTY: Object = {"metadata": {}}
V1_NAMES = {"size": "replicas", "items": "parts"}  # What v2 calls otherwise.
V2_NAMES = {newer: older for older, newer in V1_NAMES.items()}


def _renamed(obj: Object, version: str, names: dict[str, str]) -> Object:
    spec = {names.get(key, key): value for key, value in obj.get("spec", {}).items()}
    return obj | {"apiVersion": version} | ({"spec": spec} if "spec" in obj else {})


def to_v1(obj: Object) -> Object:
    return _renamed(obj, "v1", V2_NAMES)


def to_v2(obj: Object) -> Object:
    return _renamed(obj, "v2", V1_NAMES)


def _type(size: str, items: str) -> Type:
    parts = list_by(struct(name=STRING, value=NUMERIC), name=None)
    spec = struct(**{size: NUMERIC, items: parts}, colour=STRING, labels=map_of(STRING))
    return struct(apiVersion=STRING, kind=STRING, metadata=METADATA, spec=spec)


TYPE_1, TYPE_2 = _type("size", "items"), _type("replicas", "parts")


def _beside_v1(api_version: str) -> Version | None:
    return Version("v2", TYPE_2, {}, told=to_v2, back=to_v1) if api_version == "v2" else None


def _beside_v2(api_version: str) -> Version | None:
    return Version("v1", TYPE_1, {}, told=to_v1, back=to_v2) if api_version == "v1" else None


V1 = FieldManager(TYPE_1, "v1", "Thing", EMPTY, other_version=_beside_v1)
V2 = FieldManager(TYPE_2, "v2", "Thing", EMPTY, other_version=_beside_v2)


class Thing:
    """An object that is kept as v2, and who owns what in it."""

    def __init__(self) -> None:
        self.kept: Object | None = None

    def apply(self, by: FieldManager, manager: str, spec: Object, *, force: bool = False) -> None:
        config = {"apiVersion": by.api_version, "kind": "Thing", "metadata": {"name": "a"}, "spec": spec}
        live = self.kept and (self.kept if by is V2 else to_v1(self.kept))
        new = by.applied(live, config, manager, "t1", force=force)
        self.kept = to_v2(new)

    def update(self, by: FieldManager, manager: str, **spec: Any) -> None:
        assert self.kept is not None
        live = self.kept if by is V2 else to_v1(self.kept)
        new = live | {"spec": live["spec"] | spec}
        entries = by.updated(live, new, manager, "t2")
        self.kept = to_v2(new | {"metadata": new["metadata"] | {"managedFields": entries}})

    @property
    def spec(self) -> Object:
        assert self.kept is not None
        spec: Object = self.kept.get("spec", {})
        return spec

    def owned(self, manager: str) -> dict[str, Object]:
        """Return what *manager* owns of the spec, by the version in which."""
        assert self.kept is not None
        entries = self.kept["metadata"]["managedFields"]
        return {
            each["apiVersion"]: each["fieldsV1"].get("f:spec", {})
            for each in entries
            if each["manager"] == manager
        }


@pytest.fixture
def thing() -> Thing:
    return Thing()


def test_who_applies_the_same_in_two_versions_shares_it(thing: Thing) -> None:
    thing.apply(V1, "one", {"size": 3})
    thing.apply(V2, "two", {"replicas": 3})
    assert thing.owned("one") == {"v1": {"f:size": {}}}
    assert thing.owned("two") == {"v2": {"f:replicas": {}}}


def test_a_conflict_is_found_in_the_version_in_which_the_field_is_owned(thing: Thing) -> None:
    """A field that has another name in the version of who applies now is the same field."""
    thing.apply(V1, "one", {"size": 3})
    with pytest.raises(ConflictError) as caught:
        thing.apply(V2, "two", {"replicas": 4})
    assert str(caught.value) == 'Apply failed with 1 conflict: conflict with "one": .spec.size'


def test_what_is_forced_leaves_its_owner_in_another_version(thing: Thing) -> None:
    thing.apply(V1, "one", {"size": 3, "colour": "red"})
    thing.apply(V2, "two", {"replicas": 4}, force=True)
    assert thing.spec == {"replicas": 4, "colour": "red"}
    assert thing.owned("one") == {"v1": {"f:colour": {}}}
    assert thing.owned("two") == {"v2": {"f:replicas": {}}}


def test_an_update_takes_a_field_from_its_owner_in_another_version(thing: Thing) -> None:
    thing.apply(V1, "one", {"size": 3, "colour": "red"})
    thing.update(V2, "two", replicas=5)
    assert thing.owned("one") == {"v1": {"f:colour": {}}}
    assert thing.owned("two") == {"v2": {"f:replicas": {}}}


def test_who_updates_in_two_versions_has_two_entries(thing: Thing) -> None:
    thing.apply(V2, "founder", {"replicas": 1})
    thing.update(V1, "one", colour="red")
    thing.update(V2, "one", labels={"a": "b"})
    owned = {"v1": {"f:colour": {}}, "v2": {"f:labels": {".": {}, "f:a": {}}}}
    assert thing.owned("one") == owned


def test_who_applies_anew_in_another_version_owns_it_in_that_one_alone(thing: Thing) -> None:
    thing.apply(V1, "one", {"size": 3, "colour": "red"})
    thing.apply(V2, "one", {"replicas": 4, "colour": "red"})
    assert thing.spec == {"replicas": 4, "colour": "red"}
    assert thing.owned("one") == {"v2": {"f:colour": {}, "f:replicas": {}}}


def test_what_was_applied_in_one_version_and_is_left_out_in_another_is_removed(thing: Thing) -> None:
    thing.apply(V1, "one", {"size": 3, "items": [{"name": "a", "value": 1}, {"name": "b", "value": 2}]})
    thing.apply(V2, "one", {"parts": [{"name": "b", "value": 2}]})
    assert thing.spec == {"parts": [{"name": "b", "value": 2}]}


def test_what_is_left_out_stays_if_it_is_owned_in_another_version(thing: Thing) -> None:
    thing.apply(V1, "one", {"size": 3, "items": [{"name": "a", "value": 1}]})
    thing.apply(V2, "two", {"replicas": 3, "parts": [{"name": "a"}]})
    thing.apply(V1, "one", {"colour": "red"})
    assert thing.spec == {"replicas": 3, "parts": [{"name": "a"}], "colour": "red"}
    assert thing.owned("two") == {
        "v2": {"f:replicas": {}, "f:parts": {'k:{"name":"a"}': {".": {}, "f:name": {}}}}
    }


def test_owners_in_a_version_that_is_gone_are_forgotten(thing: Thing) -> None:
    thing.apply(V2, "one", {"replicas": 3})
    assert thing.kept is not None
    thing.kept["metadata"]["managedFields"][0]["apiVersion"] = "v0"
    thing.apply(V2, "two", {"replicas": 4})
    assert thing.owned("one") == {}
    assert thing.owned("two") == {"v2": {"f:replicas": {}}}


def test_what_was_applied_in_a_version_that_is_gone_is_not_removed(thing: Thing) -> None:
    thing.apply(V2, "one", {"replicas": 3, "colour": "red"})
    assert thing.kept is not None
    thing.kept["metadata"]["managedFields"][0]["apiVersion"] = "v0"
    thing.apply(V2, "one", {"replicas": 4})
    assert thing.spec == {"replicas": 4, "colour": "red"}
    assert thing.owned("one") == {"v2": {"f:replicas": {}}}
