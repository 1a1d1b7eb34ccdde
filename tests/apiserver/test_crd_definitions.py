"""CustomResourceDefinitions: what makes one valid, what names it gets, and how its kinds come and go."""

import asyncio
import copy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from crontab import COLUMNS, GROUP, NAME, SCHEMA, SPEC, SUBRESOURCES, crontab, definition, version

from kubelab.cluster.apiserver.crd import establishing
from kubelab.cluster.apiserver.crd.custom_kinds import version_order
from kubelab.cluster.apiserver.crd.definition import DEFINITIONS, warnings
from kubelab.cluster.apiserver.local import LocalApi
from kubelab.cluster.apiserver.registry import Registry
from kubelab.cluster.client.api import PatchType
from kubelab.cluster.clock import VirtualClock
from kubelab.cluster.controllers.manager import run_controllers
from kubelab.cluster.errors import ApiError
from kubelab.cluster.linux.background import background
from kubelab.cluster.objects import NAMESPACES, Object, Resource
from kubelab.cluster.store.memory import MemoryStore

CRONTABS = Resource(GROUP, "v1", "crontabs", "CronTab", namespaced=True)
OLD_CRONTABS = Resource(GROUP, "v1beta1", "crontabs", "CronTab", namespaced=True)
ROOT = "spec.validation.openAPIV3Schema"
ONE_VERSION = "must have exactly one version marked as storage version"


def changed(obj: Object, path: str, value: Any) -> Object:
    made = copy.deepcopy(obj)
    place: Any = made
    *parents, last = [int(part) if part.isdecimal() else part for part in path.split(".")]
    for part in parents:
        place = place[part]
    place[last] = value
    return made


@pytest.fixture
async def api(registry: Registry) -> AsyncIterator[LocalApi]:
    async with establishing.following(registry):
        yield LocalApi(registry)


async def refusal(api: LocalApi, crd: Object) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await api.create(DEFINITIONS, crd)
    return caught.value


async def established(api: LocalApi, crd: Object) -> Object:
    """Create *crd* and return it when the server has named it."""
    created = await api.create(DEFINITIONS, crd)
    return await condition(api, created["metadata"]["name"], "Established", "True")


async def condition(api: LocalApi, name: str, type_: str, status: str) -> Object:
    async with watched(api) as events:
        async for event in events:
            crd: Object = event.object
            found = {each["type"]: each["status"] for each in crd["status"].get("conditions") or ()}
            if crd["metadata"]["name"] == name and found.get(type_) == status:
                return crd
    raise AssertionError


@asynccontextmanager
async def watched(api: LocalApi) -> AsyncIterator[AsyncIterator[Any]]:
    """Yield the definitions' events from the first one on."""
    async with api.watch(DEFINITIONS, resource_version="1") as events:
        yield events


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("metadata.name", "x", 'metadata.name: Invalid value: "x": must be spec.names.plural+"."+spec.group'),
        (
            "spec.scope",
            "Everywhere",
            'spec.scope: Unsupported value: "Everywhere": supported values: "Cluster", "Namespaced"',
        ),
        ("spec.versions.0.storage", False, ONE_VERSION),
        ("spec.versions", [version(), version("v2")], ONE_VERSION),
        ("spec.versions", [version(), version(storage=False)], "must contain unique version names"),
        ("spec.versions.0.schema", {}, "spec.versions[0].schema.openAPIV3Schema: Required value"),
        (
            "spec.names.kind",
            "Cron_Tab",
            'spec.names.kind: Invalid value: "Cron_Tab": may have mixed case, but should otherwise match',
        ),
        (
            "spec.preserveUnknownFields",
            True,
            "spec.preserveUnknownFields: Invalid value: true: cannot set to true",
        ),
        (
            "spec.conversion",
            {"strategy": "Webhook"},
            "spec.conversion.strategy: Forbidden: conversion webhooks are not served",
        ),
        (
            "spec.versions.0.additionalPrinterColumns",
            [{"name": "A", "type": "text", "jsonPath": "spec"}],
            ('Columns[0].type: Invalid value: "text": must be one of boolean,date,integer,number,string'),
        ),
        (
            "spec.versions.0.additionalPrinterColumns",
            [{"name": "A", "type": "string", "jsonPath": "spec"}],
            ('PrinterColumns[0].JSONPath: Invalid value: "spec": must be a simple json path starting with .'),
        ),
        (
            "spec.versions.0.subresources",
            {"scale": {"specReplicasPath": ".status.replicas", "statusReplicasPath": ".status.replicas"}},
            (
                'subresources.scale.specReplicasPath: Invalid value: ".status.replicas": should be a json '
                "path under .spec"
            ),
        ),
        (
            "spec.versions.0.selectableFields",
            [{"jsonPath": ".spec.colour"}],
            'spec.selectableFields[0].jsonPath: Invalid value: ".spec.colour": is an invalid path',
        ),
        ("spec.versions.0.deprecationWarning", "old", "can only be set for deprecated versions"),
        (
            "spec.versions.0.schema.openAPIV3Schema.properties.spec.default",
            {"replicas": 99},
            (
                "properties[spec].default.replicas: Invalid value: 99: replicas in body should be less "
                "than or equal to 10"
            ),
        ),
        (
            "spec.versions.0.schema.openAPIV3Schema.properties.spec.default",
            {"colour": "red"},
            'properties[spec].default: Invalid value: {"colour":"red"}: must not have unknown fields',
        ),
        (
            "spec.versions.0.schema.openAPIV3Schema.properties.spec.uniqueItems",
            True,
            f"{ROOT}.properties[spec].uniqueItems: Forbidden: uniqueItems cannot be set to true",
        ),
        (
            "spec.versions.0.schema.openAPIV3Schema.properties.spec.properties.list",
            {"type": "array", "x-kubernetes-list-type": "map", "items": {"type": "object"}},
            "properties[list].x-kubernetes-list-map-keys: Required value: must not be empty",
        ),
        (
            "spec.versions.0.schema.openAPIV3Schema.properties.spec.properties.image.pattern",
            "(",
            '[image].pattern: Invalid value: "(": must be a valid regular expression',
        ),
    ],
)
async def test_a_definition_is_refused_in_upstreams_words(
    api: LocalApi, path: str, value: Any, sentence: str
) -> None:
    error = await refusal(api, changed(definition(), path, value))
    assert error.code == 422
    assert sentence in error.message


async def test_groups_of_the_community_need_an_approval(api: LocalApi) -> None:
    crd = definition(group="stable.k8s.io")
    crd["metadata"]["name"] = "crontabs.stable.k8s.io"
    error = await refusal(api, crd)
    assert "protected groups must have approval annotation" in error.message
    crd["metadata"]["annotations"] = {"api-approved.kubernetes.io": "unapproved, a test"}
    await api.create(DEFINITIONS, crd)


async def test_a_new_definition_gets_its_defaults_and_its_names(api: LocalApi) -> None:
    crd = await established(api, definition())
    assert crd["spec"]["names"]["listKind"] == "CronTabList"
    assert crd["spec"]["names"]["singular"] == "crontab"
    assert crd["spec"]["conversion"] == {"strategy": "None"}
    assert crd["status"]["storedVersions"] == ["v1"]
    assert crd["status"]["acceptedNames"] == crd["spec"]["names"]
    told = [(each["type"], each["status"], each["reason"]) for each in crd["status"]["conditions"]]
    assert told == [("NamesAccepted", "True", "NoConflicts"), ("Established", "True", "InitialNamesAccepted")]


async def test_a_name_that_another_has_is_refused_until_that_one_goes(api: LocalApi) -> None:
    await established(api, definition())
    rival = definition(names={"plural": "tabs", "kind": "CronTab", "shortNames": ["ct"]})
    rival["metadata"]["name"] = f"tabs.{GROUP}"
    await api.create(DEFINITIONS, rival)
    refused = await condition(api, f"tabs.{GROUP}", "NamesAccepted", "False")
    accepted = next(each for each in refused["status"]["conditions"] if each["type"] == "NamesAccepted")
    assert (accepted["reason"], accepted["message"]) == (
        "ListKindConflict",
        '"CronTabList" is already in use',
    )
    assert refused["status"]["acceptedNames"] == {"plural": "tabs", "kind": ""}
    await api.delete(DEFINITIONS, "", NAME)
    await condition(api, f"tabs.{GROUP}", "Established", "True")


async def test_scope_and_kind_stay_once_it_is_established(api: LocalApi) -> None:
    crd = await established(api, definition())
    with pytest.raises(ApiError) as caught:
        await api.update(DEFINITIONS, changed(crd, "spec.scope", "Cluster"))
    assert 'spec.scope: Invalid value: "Cluster": field is immutable' in caught.value.message


async def test_a_version_that_was_stored_may_not_go(api: LocalApi) -> None:
    crd = await established(api, definition())
    both = changed(crd, "spec.versions", [version(storage=False), version("v2")])
    crd = await api.update(DEFINITIONS, both)
    assert crd["status"]["storedVersions"] == ["v1", "v2"]
    with pytest.raises(ApiError) as caught:
        await api.update(DEFINITIONS, changed(crd, "spec.versions", [version("v2")]))
    assert 'status.storedVersions[0]: Invalid value: "v1": missing from spec.versions' in caught.value.message


def test_what_is_not_carried_out_is_warned_of() -> None:
    spec = {"type": "object", "x-kubernetes-validations": [{"rule": "self.a < 3"}], "properties": {}}
    spec["properties"] = {"when": {"type": "string", "format": "sometime"}}
    told = list(warnings(definition(version(schema={"type": "object", "properties": {"spec": spec}}))))
    assert told == [
        'unrecognized format "sometime"',
        "spec: x-kubernetes-validations (CEL rules) are not carried out in this lab",
    ]


def test_versions_are_ranked_as_kubernetes_does() -> None:
    ranked = ["v10", "v2", "v1", "v11beta2", "v10beta3", "v3beta1", "v12alpha1", "v11alpha2", "foo1", "foo10"]
    assert sorted(sorted(ranked), key=version_order) == ranked


# The kinds that it brings


async def test_kinds_come_and_go_with_their_definition(api: LocalApi, registry: Registry) -> None:
    await established(api, definition())
    created = await api.create(CRONTABS, crontab(cronSpec="* * * * *", colour="red"))
    assert created["spec"] == {"cronSpec": "* * * * *", "replicas": 1}
    assert created["metadata"]["generation"] == 1
    await api.delete(DEFINITIONS, "", NAME)
    async with watched(api) as events:
        async for event in events:
            if event.type == "DELETED":
                break
    for _ in range(10):
        await asyncio.sleep(0)  # The follower's turns.
    assert registry.kinds.get(CRONTABS) is None
    assert await registry.store.get(f"/registry/{GROUP}/crontabs/default/my".encode()) is None


async def test_what_the_store_has_is_served_from_the_start(clock: VirtualClock) -> None:
    registry = Registry(MemoryStore(), clock)
    async with establishing.following(registry):
        await established(LocalApi(registry), definition())
    again = Registry(registry.store.service, clock)
    assert again.kinds.get(CRONTABS) is None
    async with establishing.following(again):
        assert again.kinds.get(CRONTABS) is not None


async def test_objects_are_shown_in_every_version(api: LocalApi) -> None:
    old_schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    old = version("v1beta1", old_schema, storage=False, deprecated=True)
    await established(api, definition(version(), old))
    await api.create(CRONTABS, crontab(image="a"))
    shown = await api.get(OLD_CRONTABS, "default", "my")
    assert shown["apiVersion"] == f"{GROUP}/v1beta1"
    patched = await api.patch(OLD_CRONTABS, "default", "my", {"spec": {"image": "b"}})
    assert patched["apiVersion"] == f"{GROUP}/v1beta1"
    assert (await api.get(CRONTABS, "default", "my"))["spec"] == {"image": "b", "replicas": 1}


async def test_a_new_default_is_shown_of_what_was_stored_before(api: LocalApi) -> None:
    crd = await established(api, definition())
    await api.create(CRONTABS, crontab())
    properties = SPEC["properties"] | {"colour": {"type": "string", "default": "red"}}
    schema = SCHEMA | {"properties": {"spec": SPEC | {"properties": properties}}}
    await api.update(DEFINITIONS, changed(crd, "spec.versions", [version(schema=schema)]))
    for _ in range(10):
        await asyncio.sleep(0)  # The follower's turns.
    assert (await api.get(CRONTABS, "default", "my"))["spec"] == {"replicas": 1, "colour": "red"}


async def test_a_status_of_its_own_is_written_apart(api: LocalApi) -> None:
    await established(api, definition(version(subresources=SUBRESOURCES)))
    created = await api.create(CRONTABS, crontab() | {"status": {"replicas": 3}})
    assert "status" not in created
    wanted = created | {"spec": {"replicas": 9}, "status": {"replicas": 2}}
    wanted["metadata"] = created["metadata"] | {"labels": {"a": "b"}}
    updated = await api.update(CRONTABS, wanted, subresource="status")
    assert (updated["spec"], updated["status"]) == ({"replicas": 1}, {"replicas": 2})
    assert "labels" not in updated["metadata"]
    assert updated["metadata"]["generation"] == 1
    again = await api.patch(CRONTABS, "default", "my", {"spec": {"replicas": 4}, "status": {"replicas": 0}})
    assert (again["status"], again["metadata"]["generation"]) == ({"replicas": 2}, 2)


async def test_scale_reads_and_writes_the_paths_of_the_definition(api: LocalApi) -> None:
    await established(api, definition(version(subresources=SUBRESOURCES)))
    await api.create(CRONTABS, crontab(replicas=2))
    scale = await api.patch(CRONTABS, "default", "my", {"spec": {"replicas": 5}}, subresource="scale")
    assert (scale["kind"], scale["spec"]) == ("Scale", {"replicas": 5})
    assert (await api.get(CRONTABS, "default", "my"))["spec"]["replicas"] == 5


async def test_selectable_fields_select(api: LocalApi) -> None:
    await established(api, definition(version(selectableFields=[{"jsonPath": ".spec.image"}])))
    for name, image in (("a", "x"), ("b", "y")):
        await api.create(CRONTABS, crontab(name, image=image))
    found = await api.list(CRONTABS, field_selector="spec.image=y")
    assert [each["metadata"]["name"] for each in found.items] == ["b"]


async def test_a_put_must_say_which_version_it_replaces(api: LocalApi) -> None:
    await established(api, definition())
    await api.create(CRONTABS, crontab())
    with pytest.raises(ApiError) as caught:
        await api.update(CRONTABS, crontab(image="x"))
    assert caught.value.code == 422
    assert (
        "metadata.resourceVersion: Invalid value: 0: must be specified for an update" in caught.value.message
    )


async def test_embedded_objects_are_checked_as_objects(api: LocalApi) -> None:
    inner = {
        "type": "object",
        "x-kubernetes-embedded-resource": True,
        "x-kubernetes-preserve-unknown-fields": True,
    }
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"inner": inner}}}}
    await established(api, definition(version(schema=schema)))
    with pytest.raises(ApiError) as caught:
        await api.create(CRONTABS, crontab(inner={"kind": "Pod", "metadata": {"name": "a/b"}}))
    assert "spec.inner.apiVersion: Required value" in caught.value.message
    assert "spec.inner.metadata.name: Invalid value: \"a/b\": may not contain '/'" in caught.value.message


async def test_columns_are_found_by_their_paths(api: LocalApi, registry: Registry) -> None:
    await established(api, definition(version(additionalPrinterColumns=COLUMNS)))
    created = await api.create(CRONTABS, crontab(cronSpec="* * * * *", image="x"))
    kind = registry.kinds[CRONTABS]
    assert [(each.name, each.type, each.priority) for each in kind.columns] == [
        ("Name", "string", 0),
        ("Spec", "string", 0),
        ("Replicas", "integer", 0),
        ("Image", "string", 1),
        ("Age", "date", 0),
    ]
    assert kind.cells(created, registry.clock.now()) == ["my", "* * * * *", 1, "x", "0s"]


async def test_a_namespace_takes_its_objects_with_it(api: LocalApi, clock: VirtualClock) -> None:
    await established(api, definition())
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
    await api.create(NAMESPACES, namespace)
    obj = crontab()
    await api.create(CRONTABS, obj | {"metadata": {"name": "my", "namespace": "shop"}})
    async with background(run_controllers(api, clock)):
        await clock.advance(0)
        await api.delete(NAMESPACES, "", "shop")
        await clock.advance(5)
    assert (await api.list(CRONTABS)).items == ()
    with pytest.raises(ApiError):
        await api.get(NAMESPACES, "", "shop")


async def test_a_strategic_patch_has_no_meaning_for_them(api: LocalApi) -> None:
    await established(api, definition())
    await api.create(CRONTABS, crontab())
    with pytest.raises(ApiError) as caught:
        await api.patch(CRONTABS, "default", "my", {"spec": {}}, PatchType.STRATEGIC)
    assert caught.value.code == 415
