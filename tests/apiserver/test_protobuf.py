"""Kubernetes' protobuf, for clients that take nothing else: messages, their envelope, frames of watches."""

import struct
from typing import Any

import aiohttp
import crontab
import kind_manifests
import pytest
from api_manifests import configmap, deployment, pod
from creations import created
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hostile_requests import kind_at
from hypothesis import given
from hypothesis import strategies as st
from served_cluster import Cluster, admin

from kubelab.cluster.apiserver import protobuf, protobuf_encoding, schema, transcoding
from kubelab.cluster.apiserver.crd import definition
from kubelab.cluster.apiserver.kinds import BY_RESOURCE
from kubelab.cluster.apiserver.negotiation import PROTOBUF
from kubelab.cluster.apiserver.versions import encode
from kubelab.cluster.objects import (
    CONFIGMAPS,
    CRONJOBS,
    DEPLOYMENTS,
    HORIZONTALPODAUTOSCALERS,
    INGRESSES,
    NETWORKPOLICIES,
    PODDISRUPTIONBUDGETS,
    PODS,
    Object,
    Resource,
)

CORE, META = "k8s.io/api/core/v1", schema.META
DEFINITIONS = "apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def message(go_type: str, obj: Object) -> bytes:
    return protobuf_encoding.bundled().message(go_type, obj)


def test_a_field_is_its_number_its_wire_type_and_its_value() -> None:
    reference = {"kind": "Pod", "name": "web", "uid": "u", "controller": True}
    assert message(f"{META}.OwnerReference", reference) == (
        b"\x0a\x03Pod"  # 1, bytes: kind
        b"\x1a\x03web"  # 3: name
        b"\x22\x01u"  # 4: uid
        b"\x2a\x00"  # 5: apiVersion, which is no pointer: written though it is empty
        b"\x30\x01"  # 6, varint: controller, a pointer; 7, blockOwnerDeletion, is absent
    )


def test_maps_are_entries_in_the_order_of_their_keys() -> None:
    assert message(f"{META}.LabelSelector", {"matchLabels": {"b": "2", "a": "1"}}) == (
        b"\x0a\x06\x0a\x01a\x12\x011\x0a\x06\x0a\x01b\x12\x012"
    )


def test_an_embedded_struct_is_a_message_of_its_own() -> None:
    volume = message(f"{CORE}.Volume", {"name": "tmp", "emptyDir": {"medium": "Memory"}})
    assert volume == b"\x0a\x03tmp\x12\x0a\x12\x08\x0a\x06Memory"


@pytest.mark.parametrize(
    ("type_", "value", "expected"),
    [
        (schema.QUANTITY, "100m", b"\x0a\x04100m"),
        (schema.INT_OR_STRING, 80, b"\x08\x00\x10\x50\x1a\x00"),
        (schema.INT_OR_STRING, "http", b"\x08\x01\x10\x00\x1a\x04http"),
        (schema.TIME, "1970-01-01T00:02:00Z", b"\x08\x78\x10\x00"),
        (schema.TIME, "1969-12-31T23:59:59Z", b"\x08" + b"\xff" * 9 + b"\x01\x10\x00"),
        (schema.TIME, None, b""),
        (schema.MICRO_TIME, "1970-01-01T00:00:00.000002Z", b"\x08\x00\x10\xd0\x0f"),
        (schema.DURATION, "1m0s", b"\x08\x80\xb0\x9d\xc2\xdf\x01"),
        (schema.RAW_EXTENSION, {"a": 1}, b'\x0a\x07{"a":1}'),
    ],
)
def test_what_json_writes_as_text_has_a_message(type_: str, value: Any, expected: bytes) -> None:
    assert message(type_, value) == expected


@given(st.integers(-(2**31), 2**31 - 1))
def test_each_number_is_read_as_it_was_written(number: int) -> None:
    port = {"containerPort": number, "hostPort": number, "protocol": "TCP"}
    written = message(f"{CORE}.ContainerPort", port)
    shown = {key: value for key, value in port.items() if value}
    assert protobuf.decode(schema.bundled().types, f"{CORE}.ContainerPort", written) == shown | {
        "containerPort": number
    }


@pytest.mark.parametrize("year", ["0001", "0999", "1969", "2026", "9999"])
def test_a_time_of_any_year_is_read_as_it_was_written(year: str) -> None:
    spec = {"renewTime": f"{year}-01-01T00:00:02.000003Z"}
    written = message("k8s.io/api/coordination/v1.LeaseSpec", spec)
    assert protobuf.decode(schema.bundled().types, "k8s.io/api/coordination/v1.LeaseSpec", written) == spec


OBJECTS: list[tuple[Resource, Object]] = [
    (CONFIGMAPS, configmap(a="1", b="é") | {"binaryData": {"c": "AAEC"}}),
    (DEPLOYMENTS, deployment()),
    (CRONJOBS, kind_manifests.cronjob()),
    (HORIZONTALPODAUTOSCALERS, kind_manifests.autoscaler(minReplicas=2)),
    (PODDISRUPTIONBUDGETS, kind_manifests.budget(minAvailable="50%")),
    (NETWORKPOLICIES, kind_manifests.network_policy(ingress=[{"ports": [{"port": 80}, {"port": "http"}]}])),
    (INGRESSES, kind_manifests.ingress()),
    (PODS, pod(volumes=[{"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}}], terminationGracePeriodSeconds=0)),
    (definition.DEFINITIONS, crontab.definition()),
]


@pytest.mark.parametrize(("resource", "obj"), OBJECTS, ids=[each.plural for each, _ in OBJECTS])
def test_an_object_is_read_as_it_was_written(resource: Resource, obj: Object) -> None:
    stored = created(resource, obj)
    document = transcoding.transcoded(encode(stored), PROTOBUF, BY_RESOURCE[resource])
    api_version, kind, body = protobuf.envelope(document)
    assert (api_version, kind) == (resource.api_version, resource.kind)
    read = protobuf.decode(schema.bundled().types, BY_RESOURCE[resource].go_type, body)
    assert without_empty(read) == without_empty({key: stored[key] for key in stored if key not in TYPE_META})


TYPE_META = ("kind", "apiVersion")


def without_empty(value: Any) -> Any:
    """Return *value* without what is empty in it: a message does not tell that from what is not there."""
    if isinstance(value, dict):
        kept = {key: without_empty(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in (None, "", [], {}, False)}
    return [without_empty(item) for item in value] if isinstance(value, list) else value


def test_a_schema_may_be_a_boolean_a_list_or_names() -> None:
    props = {
        "type": "object",
        "additionalProperties": False,
        "additionalItems": {"type": "string"},
        "items": [{"type": "integer"}, {"maximum": 2.5}],
        "dependencies": {"a": ["b", "c"], "d": {"type": "null"}},
        "default": {"a": [1, None]},
        "x-kubernetes-preserve-unknown-fields": False,
    }
    written = message(schema.SCHEMA, props)
    assert protobuf.decode(schema.bundled().types, schema.SCHEMA, written) == props


def reader(name: str, /, **fields: tuple[int, str]) -> Any:
    """Return the class of a message for protobuf's own library, which has never seen Kubernetes' types."""
    kinds = {
        "string": descriptor_pb2.FieldDescriptorProto.TYPE_STRING,
        "bytes": descriptor_pb2.FieldDescriptorProto.TYPE_BYTES,
    }
    file = descriptor_pb2.FileDescriptorProto(name=f"{name}.proto", syntax="proto2")
    described = file.message_type.add(name=name)
    for field, (number, kind) in fields.items():
        described.field.add(name=field, number=number, type=kinds[kind], label=1)
    pool = descriptor_pool.DescriptorPool()
    return message_factory.GetMessageClass(
        pool.AddSerializedFile(file.SerializeToString()).message_types_by_name[name]
    )


Unknown = reader("Unknown", typeMeta=(1, "bytes"), raw=(2, "bytes"), contentType=(4, "string"))
WatchEvent = reader("WatchEvent", type=(1, "string"), object=(2, "bytes"))
Raw = reader("Raw", raw=(1, "bytes"))
Named = reader("Named", name=(1, "string"))
WithMetadata = reader("WithMetadata", metadata=(1, "bytes"))


def name_in(document: bytes) -> str:
    """Return the name of the object in an enveloped *document*, as protobuf's own library reads it."""
    assert document[:4] == b"k8s\0"
    raw = Unknown.FromString(document[4:]).raw
    name: str = Named.FromString(WithMetadata.FromString(raw).metadata).name
    return name


async def answered(
    session: aiohttp.ClientSession, method: str, path: str, **options: Any
) -> tuple[int, str, bytes]:
    headers = {"Accept": PROTOBUF} | options.pop("headers", {})
    async with session.request(method, f"/{path}", headers=headers, **options) as response:
        return response.status, response.headers["Content-Type"], await response.read()


async def test_who_takes_nothing_else_gets_protobuf(cluster: Cluster) -> None:
    path = "api/v1/namespaces/default/configmaps"
    async with admin(cluster) as session:
        status, media_type, document = await answered(session, "POST", path, json=configmap(a="1"))
        assert (status, media_type, name_in(document)) == (201, PROTOBUF, "settings")
        again = await answered(
            session, "PUT", f"{path}/settings", data=document, headers={"Content-Type": PROTOBUF}
        )
        assert again == (200, PROTOBUF, document)
        assert await answered(session, "GET", f"{path}/settings") == (200, PROTOBUF, document)
        _, _, listed = await answered(session, "GET", path)
        assert protobuf.envelope(listed)[:2] == ("v1", "ConfigMapList")
        status, _, refusal = await answered(session, "GET", f"{path}/nobody")
        told = protobuf.decode(schema.bundled().types, f"{META}.Status", protobuf.envelope(refusal)[2])
        assert (status, told["reason"], told["details"]["name"]) == (404, "NotFound", "nobody")
        status, _, deleted = await answered(session, "DELETE", f"{path}/settings")
        assert (status, protobuf.envelope(deleted)[:2]) == (200, ("v1", "Status"))


async def test_who_takes_json_as_well_gets_json(cluster: Cluster) -> None:
    both = {"Accept": f"{PROTOBUF},application/json"}
    async with admin(cluster) as session:
        assert (await answered(session, "GET", "api/v1/pods", headers=both))[1] == "application/json"
        rather = {"Accept": f"application/json;q=0.5,{PROTOBUF}"}
        assert (await answered(session, "GET", "api/v1/pods", headers=rather))[1] == PROTOBUF


async def test_a_watch_in_protobuf_is_a_stream_of_frames(cluster: Cluster) -> None:
    await cluster.api.create(CONFIGMAPS, configmap("one"))
    path = "/api/v1/namespaces/default/configmaps?watch=1&timeoutSeconds=30"
    async with admin(cluster) as session, session.get(path, headers={"Accept": PROTOBUF}) as response:
        assert response.headers["Content-Type"] == f"{PROTOBUF};stream=watch"
        seen = [await frame(response)]
        await cluster.api.create(CONFIGMAPS, configmap("two"))
        await cluster.api.delete(CONFIGMAPS, "default", "one")
        seen += [await frame(response), await frame(response)]
    assert seen == [("ADDED", "one"), ("ADDED", "two"), ("DELETED", "one")]


async def frame(response: aiohttp.ClientResponse) -> tuple[str, str]:
    (length,) = struct.unpack(">I", await response.content.readexactly(4))
    event = WatchEvent.FromString(await response.content.readexactly(length))
    return event.type, name_in(Raw.FromString(event.object).raw)


async def test_what_has_no_messages_is_not_to_be_had_so(cluster: Cluster) -> None:
    table = {"Accept": f"{PROTOBUF};as=Table;v=v1;g=meta.k8s.io"}
    metadata = {"Accept": f"{PROTOBUF};as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"}
    async with admin(cluster) as session:
        status, _, document = await answered(session, "POST", DEFINITIONS, json=crontab.definition())
        assert (status, name_in(document)) == (201, crontab.definition()["metadata"]["name"])
        await cluster.ok("wait", "crd", "--all", "--for=condition=Established")
        path = "apis/stable.example.com/v1/crontabs"
        status, _, refusal = await answered(session, "GET", path)
        assert (status, protobuf.envelope(refusal)[:2]) == (406, ("v1", "Status"))
        assert (await answered(session, "GET", "api/v1/pods", headers=table))[0] == 406
        status, _, listed = await answered(session, "GET", path, headers=metadata)
        assert (status, protobuf.envelope(listed)[1]) == (200, "PartialObjectMetadataList")


async def test_discovery_is_to_be_had_so_as_well(cluster: Cluster) -> None:
    async with admin(cluster) as session:
        status, media_type, document = await answered(session, "GET", "apis/apps/v1")
    assert (status, media_type) == (200, PROTOBUF)
    assert protobuf.envelope(document)[:2] == ("v1", "APIResourceList")
    verbs = (b"create", b"delete", b"deletecollection", b"get", b"list", b"patch", b"update", b"watch")
    listed = b"".join(b"\x0a" + bytes([len(verb)]) + verb for verb in verbs)
    assert b"\x22" + bytes([len(listed)]) + listed in document  # 4, a message: its 1 is repeated


def delimited(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2, len(content)]) + content


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("apis/apps/v1/namespaces/default/controllerrevisions", delimited(2, delimited(1, b'{"a":\xe0}'))),
        ("api/v1/namespaces/default/pods", delimited(1, delimited(8, b"\x08" + b"\xff" * 8 + b"\x7f"))),
        (
            "api/v1/namespaces/default/resourcequotas",
            delimited(2, delimited(1, b"\x0a\x01a\x12\x05\x0a\x03abc")),
        ),
        (
            "api/v1/namespaces/default/pods",
            delimited(2, delimited(2, delimited(6, b"\x18" + b"\xff" * 8 + b"\x7f"))),
        ),
        (DEFINITIONS, delimited(2, delimited(7, delimited(4, delimited(1, b"\x49" + b"\xff" * 8))))),
    ],
    ids=["JSON that is none", "a time", "a quantity", "a number", "not a number"],
)
async def test_a_message_that_cannot_be_read_is_refused(cluster: Cluster, path: str, body: bytes) -> None:
    kind = kind_at(path).resource
    document = protobuf_encoding.enveloped(kind.api_version, kind.kind, body)
    as_sent = {"Content-Type": PROTOBUF, "Accept": "application/json"}
    async with admin(cluster) as session:
        status, _, told = await answered(session, "POST", path, data=document, headers=as_sent)
    assert (status, b"cannot be handled as a" in told) == (400, True), told
