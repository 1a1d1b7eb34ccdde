"""Custom resources that are selected by their fields, and changed when they do not fit any longer.

Source: kubernetes, test/e2e/apimachinery/crd_selectable_fields.go, crd_validation_ratcheting.go.
Left out: conversion by webhooks, so that both versions show the same fields; rules (CEL).
"""

import copy
from typing import Any

import pytest
from spec_client import APPLY, Answer, Client, Watching
from spec_definitions import ANYTHING, DEFINITIONS, GROUP, definition, established, version, with_schema

from kubelab.cluster.objects import Object

# Selectable fields

SCHEMA: Object = {"type": "object", "properties": {each: {"type": "string"} for each in ("host", "port")}}


async def names(watch: Watching, type_: str, count: int) -> set[str]:
    return {(await watch.until(type_))["metadata"]["name"] for _ in range(count)}


async def test_custom_resources_are_listed_watched_and_deleted_by_their_fields(client: Client) -> None:
    """CustomResourceFieldSelectors MUST list and watch custom resources matching the field selector."""
    fields = [{"jsonPath": ".host"}, {"jsonPath": ".port"}]
    crd = definition(
        version("v1beta1", SCHEMA, selectableFields=fields[:1]),
        version("v2", SCHEMA, selectableFields=fields),
        scope="Namespaced",
    )
    v1 = (await established(client, crd)).replace("/noxus", "/namespaces/default/noxus")
    v2 = v1.replace("v1beta1", "v2")
    since = (await client.get(v2))["metadata"]["resourceVersion"]
    both, one = "host=host1,port=80", "host=host1"
    async with (
        client.watch(v2, since, fieldSelector=one) as of_host,
        client.watch(v2, since, fieldSelector=both) as of_both,
        client.watch(v1, since, fieldSelector=one) as of_v1,
    ):
        for name, spec in {
            "a": {"host": "host1", "port": "80"},
            "b": {"host": "host1", "port": "8080"},
            "c": {"host": "host2"},
        }.items():
            metadata = {"name": name, "namespace": "default"}
            await client.create(
                v2, {"apiVersion": f"{GROUP}/v2", "kind": "Noxu", "metadata": metadata} | spec
            )

        async def listed(path: str, selector: str) -> set[str]:
            return {
                each["metadata"]["name"] for each in (await client.get(path, fieldSelector=selector))["items"]
            }

        assert [await listed(v2, one), await listed(v2, both)] == [{"a", "b"}, {"a"}]
        assert await listed(v1, one) == {"a", "b"}
        assert await names(of_host, "ADDED", 2) == await names(of_v1, "ADDED", 2) == {"a", "b"}
        assert await names(of_both, "ADDED", 1) == {"a"}
        answer = await client.ask("DELETE", v2, {"gracePeriodSeconds": 0}, fieldSelector=both)
        assert answer.status == 200
        await client.update(f"{v2}/b", await client.get(f"{v2}/b") | {"host": "host2"})
        assert [await listed(v2, one), await listed(v2, both)] == [set(), set()]
        assert await names(of_host, "DELETED", 2) == await names(of_v1, "DELETED", 2) == {"a", "b"}
        assert await names(of_both, "DELETED", 1) == {"a"}


# Ratcheting


def field(*choices: str) -> Object:
    return {"type": "string"} | ({"enum": list(choices)} if choices else {})


def correlatable(*choices: str) -> Object:
    """Return a schema with a field in each place where what was there before can be told."""
    inner = {"type": "object", "properties": {"field": field(*choices)}}
    item = {"type": "object", "properties": {"key": field(), "field": field(*choices)}, "required": ["key"]}
    keyed = {
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["key"],
        "items": item,
    }
    many = {"type": "object", "additionalProperties": inner}
    return {
        "type": "object",
        "properties": {"field": field(*choices), "struct": inner, "list": keyed, "map": many},
    }


def full(value: str) -> Object:
    inner = {"field": value}
    keyed = [{"key": key, "field": value} for key in ("foo", "bar")]
    return {"field": value, "struct": inner, "list": keyed, "map": {"foo": inner, "bar": inner}}


class Tightening:
    """A definition whose schema takes anything at first, and an object of it."""

    def __init__(self, client: Client, collection: str) -> None:
        self._client = client
        self._collection = collection

    async def apply(self, fields: Object, **metadata: Any) -> Answer:
        config = {
            "apiVersion": f"{GROUP}/v1beta1",
            "kind": "Noxu",
            "metadata": {"name": "test-resource"} | metadata,
        }
        path = f"{self._collection}/test-resource"
        return await self._client.ask(
            "PATCH", path, config | copy.deepcopy(fields), APPLY, fieldManager="manager"
        )

    async def demand(self, schema: Object) -> None:
        await with_schema(self._client, f"{DEFINITIONS}/noxus.{GROUP}", schema, self._collection)


@pytest.fixture
async def tightening(client: Client) -> Tightening:
    path = await established(client, definition(version("v1beta1", ANYTHING), scope="Namespaced"))
    return Tightening(client, path.replace("/noxus", "/namespaces/default/noxus"))


async def test_what_was_wrong_before_may_stay(tightening: Tightening) -> None:
    """CRDValidationRatcheting MUST NOT fail to update a resource due to JSONSchema errors on unchanged
    correlatable fields."""
    assert (await tightening.apply(full("foo"))).status == 201
    await tightening.demand(correlatable("notfoo"))
    assert (await tightening.apply(full("foo"), labels={"foo": "bar"})).status == 200


async def test_what_cannot_be_compared_must_fit(tightening: Tightening) -> None:
    """CRDValidationRatcheting MUST fail to update a resource due to JSONSchema errors on unchanged
    uncorrelatable fields."""
    old = ["foo", "bar", "baz"]
    assert (await tightening.apply({"setArray": old, "atomicArray": old})).status == 201
    atomic = {"type": "array", "items": field("notfoo", "notbar", "notbaz")}
    unique = atomic | {"x-kubernetes-list-type": "set"}
    await tightening.demand({"type": "object", "properties": {"atomicArray": atomic, "setArray": unique}})
    new = [*old, "notfoo"]
    answer = await tightening.apply({"setArray": new, "atomicArray": new}, labels={"foo": "bar"})
    assert answer.status == 422
    assert {each["field"].partition("[")[0] for each in answer.causes} == {"atomicArray", "setArray"}


async def test_what_changes_must_fit(tightening: Tightening) -> None:
    """CRDValidationRatcheting MUST fail to update a resource due to JSONSchema errors on changed fields."""
    assert (await tightening.apply(full("foo"))).status == 201
    await tightening.demand(correlatable("foo"))
    answer = await tightening.apply(full("notfoo"))
    assert answer.status == 422
    assert {each["field"] for each in answer.causes} == {
        "field",
        "struct.field",
        "list[0].field",
        "list[1].field",
        "map.foo.field",
        "map.bar.field",
    }
