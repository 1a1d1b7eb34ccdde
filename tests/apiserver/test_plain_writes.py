"""A write that comes whole is answered as one that comes in pieces: same words, rights, order and record."""

import asyncio
import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest
from aiohttp import HttpVersion11
from aiohttp.http_parser import RawRequestMessage
from api_manifests import configmap, deployment, pod
from multidict import CIMultiDict, CIMultiDictProxy
from served_cluster import Cluster, serving
from yarl import URL

from kubelab.cluster.apiserver.admission import Attributes
from kubelab.cluster.apiserver.inflight import InFlight
from kubelab.cluster.apiserver.pki import KeyPair, client_context
from kubelab.cluster.apiserver.plain_request import BODY_BYTES_MAX, PlainRequest
from kubelab.cluster.clock import SystemClock
from kubelab.cluster.objects import CLUSTERROLEBINDINGS, NAMESPACES, Object

CONTENT = {"Content-Type": "application/json"}
MERGE = {"Content-Type": "application/merge-patch+json"}
CLOSES = {"Connection": "close"}  # Such a request goes aiohttp's way.
NAMESPACE = "space-%s"
WAYS = ("quick", "usual")
_OWN = (
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "<uid>"),
    (re.compile(r"resourceVersion: ?\d+"), "<version>"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), "<time>"),
    (re.compile(r"kube-api-access-\w{5}"), "<volume>"),
    (re.compile(r"space-(quick|usual)"), "<namespace>"),
    (re.compile(r"Date: .*?GMT"), "<date>"),
    (re.compile(r"Connection: close\r\n"), ""),
    (re.compile(r"Content-Length: \d+"), "<length>"),
)


@dataclass(frozen=True)
class Write:
    method: str
    path: str
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = tuple(CONTENT.items())

    def encoded(self, **more: str) -> bytes:
        fields = dict(self.headers) | {"Host": "localhost", "Content-Length": str(len(self.body))} | more
        lines = (f"{self.method} {self.path} HTTP/1.1", *(f"{k}: {v}" for k, v in fields.items()), "", "")
        return "\r\n".join(lines).encode() + self.body

    def way(self, name: str) -> "Write":
        """Return the same for the namespace of that *name*."""
        return Write(self.method, self.path.replace("@", NAMESPACE % name), self.body, self.headers)


def post(plural: str, obj: Object, query: str = "", group: str = "/api/v1", **headers: str) -> Write:
    stripped = obj | {"metadata": {k: v for k, v in obj["metadata"].items() if k != "namespace"}}
    fields = tuple((CONTENT | headers).items())
    return Write("POST", f"{group}/namespaces/@/{plural}{query}", json.dumps(stripped).encode(), fields)


def on(method: str, path: str, obj: object = None, headers: dict[str, str] = CONTENT) -> Write:
    body = b"" if obj is None else json.dumps(obj).encode()
    return Write(method, f"/api/v1/namespaces/@/{path}", body, tuple(headers.items()))


WRITES = (
    *[post("pods", pod(name)) for name in ("a", "b", "c", "d", "e", "a")],
    post("pods", pod("strict") | {"unknown": 1}, "?fieldValidation=Strict"),
    post("pods", pod("warned") | {"unknown": "á"}),
    post("pods", pod("dry"), "?dryRun=All&fieldManager=me"),
    post("pods", pod("Not_A_Name")),
    post("pods", pod("no-accept"), Accept="text/nothing"),
    post("pods", pod("as-yaml"), Accept="application/yaml"),
    post("pods", pod("nobody"), **{"Impersonate-User": "nobody"}),
    post("deployments", deployment("d"), group="/apis/apps/v1"),
    post("deployments", deployment("d"), group="/apis/apps/v2"),
    post("configmaps", configmap("c", text="x" * 1000)),
    on("POST", "pods", ["no", "object"]),
    on("POST", "pods", {}, {"Content-Type": "text/plain"}),
    Write("POST", "/api/v1/namespaces/@/pods", b"{nonsense"),
    Write("POST", "/api/v1/namespaces/@/pods"),
    on("PATCH", "pods/a", {"metadata": {"labels": {"n": "1"}}}, MERGE),
    on("PATCH", "pods/a", {"status": {"message": "é"}}, MERGE),
    on("PATCH", "pods/a/status", {"status": {"message": "é"}}, MERGE),
    on("PATCH", "pods/a", {"spec": {"nodeName": 7}}, MERGE),
    on("PUT", "configmaps/c", {"metadata": {"name": "c"}, "data": {"a": "b"}}),
    on("PUT", "configmaps/c", {"metadata": {"name": "other"}}),
    on("POST", "pods/a/%65xec", {}),
    on("POST", "pods/%61", {}),
    on("DELETE", "pods/b"),
    on("DELETE", "pods/b", {"gracePeriodSeconds": 0}),
    on("DELETE", "pods/never"),
    on("DELETE", "configmaps?labelSelector=none"),
    on("DELETE", "configmaps?gracePeriodSeconds=x"),
)


async def exchanged(cluster: Cluster, data: bytes, pair: KeyPair | None = None) -> bytes:
    """Send *data* at once; return all that comes until the server closes."""
    tls = client_context(cluster.authority.certificate_path, pair or cluster.authority.admin())
    reader, writer = await asyncio.open_connection("localhost", cluster.port, ssl=tls)
    writer.write(data)
    answer = await reader.read()
    writer.close()
    return answer


async def one_after_another(cluster: Cluster, data: bytes, count: int) -> str:
    """Send *data* on a connection that stays; return the answers to its *count* requests."""
    tls = client_context(cluster.authority.certificate_path, cluster.authority.admin())
    reader, writer = await asyncio.open_connection("localhost", cluster.port, ssl=tls)
    writer.write(data)
    answers = b""
    for _ in range(count):
        head = await reader.readuntil(b"\r\n\r\n")
        found = re.search(rb"Content-Length: (\d+)", head)
        assert found is not None
        answers += head + await reader.readexactly(int(found[1]))
    writer.close()
    return answers.decode()


def compared(answer: str) -> str:
    answer = re.sub(r'[\\"]', "", answer)  # A uid has quotes in YAML or has none.
    for pattern, word in _OWN:
        answer = pattern.sub(word, answer)
    return answer


class SameSecond(SystemClock):
    """Who owns which field is told in the order of time, and two ways may go in different seconds."""

    def __init__(self) -> None:
        self._now = super().now()

    def now(self) -> datetime:
        return self._now


@pytest.mark.parametrize("seed", range(2))
async def test_both_ways_lead_to_the_same(tmp_path: Path, seed: int) -> None:
    async with serving(tmp_path, clock=SameSecond()) as cluster:
        for way in WAYS:
            await cluster.api.create(NAMESPACES, {"metadata": {"name": NAMESPACE % way}})
        order = [*WRITES, *WRITES]
        if seed:
            random.Random(seed).shuffle(order)
        await lead_to_the_same(cluster, order)


async def lead_to_the_same(cluster: Cluster, order: Sequence[Write]) -> None:
    for write in order:
        quick = await one_after_another(cluster, write.way("quick").encoded(), 1)
        usual = await exchanged(cluster, write.way("usual").encoded(**CLOSES))
        assert compared(quick) == compared(usual.decode()), write
        records = [*cluster.requests.recent][-2:]
        told = {(e.verb, e.resource, e.name, e.code, e.reason, e.user, e.impersonated) for e in records}
        assert len(told) == 1, told


async def test_who_shows_nothing_comes_in_nowhere(cluster: Cluster) -> None:
    write = WRITES[0].way("quick")
    pair = cluster.authority.issue("stranger", "mallory")
    answer = await exchanged(cluster, write.encoded() + write.encoded(**CLOSES), pair)
    assert answer.count(b"HTTP/1.1 403 Forbidden") == 2


async def test_writes_that_come_together_are_answered_in_their_order(cluster: Cluster) -> None:
    await cluster.api.create(NAMESPACES, {"metadata": {"name": NAMESPACE % "quick"}})
    writes = [post("configmaps", configmap(name)).way("quick") for name in ("a", "b", "c")]
    answers = await one_after_another(cluster, b"".join(each.encoded() for each in writes), len(writes))
    assert re.findall(r'"name":"(\w)"', answers) == ["a", "b", "c"]


async def test_what_comes_while_a_write_is_under_way_waits_for_it(cluster: Cluster) -> None:
    await cluster.api.create(NAMESPACES, {"metadata": {"name": NAMESPACE % "quick"}})
    tls = client_context(cluster.authority.certificate_path, cluster.authority.admin())
    reader, writer = await asyncio.open_connection("localhost", cluster.port, ssl=tls)
    create = post("configmaps", configmap("a")).way("quick").encoded()
    read = on("GET", "configmaps/a").way("quick").encoded(**CLOSES)
    writer.write(create)
    await writer.drain()
    writer.write(read)
    answers = (await reader.read()).decode()
    writer.close()
    assert re.findall(r"HTTP/1.1 (\d+)", answers) == ["201", "200"]


async def test_a_long_body_is_written_too(cluster: Cluster) -> None:
    await cluster.api.create(NAMESPACES, {"metadata": {"name": NAMESPACE % "quick"}})
    write = post("configmaps", configmap("long", text="x" * 2 * BODY_BYTES_MAX)).way("quick")
    answer = await one_after_another(cluster, write.encoded(), 1)
    assert answer.startswith("HTTP/1.1 201 Created")


class Broken:
    """An admission plug-in with a mistake in it."""

    async def admit(self, attributes: Attributes) -> None:
        raise ZeroDivisionError(attributes.name)

    async def validate(self, attributes: Attributes) -> None:
        """It does not come to that."""


async def test_a_mistake_of_the_server_is_told_as_one(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    for way in WAYS:
        await cluster.api.create(NAMESPACES, {"metadata": {"name": NAMESPACE % way}})
    cluster.registry.admission.plugins.insert(0, Broken())
    write = post("configmaps", configmap("a"))
    quick = (await exchanged(cluster, write.way("quick").encoded())).decode()
    usual = (await exchanged(cluster, write.way("usual").encoded(**CLOSES))).decode()
    assert quick.startswith("HTTP/1.1 500 Internal Server Error\r\n")
    assert "Connection: close\r\n" in quick
    assert sorted(compared(quick).splitlines()) == sorted(compared(usual).splitlines())
    logged = [each.exc_info[1] for each in caplog.records if each.exc_info]
    assert [type(each) for each in logged] == [ZeroDivisionError, ZeroDivisionError]


class Held:
    """An admission plug-in that lets nothing through until it is told to."""

    def __init__(self) -> None:
        self.came = asyncio.Event()
        self.let_go = asyncio.Event()

    async def admit(self, attributes: Attributes) -> None:
        self.came.set()
        await self.let_go.wait()

    async def validate(self, attributes: Attributes) -> None:
        """All was held before anything was changed."""


async def test_more_writes_than_there_are_places_for_are_put_off(tmp_path: Path) -> None:
    """As both ways tell it, and until one of those that came before is done."""
    async with serving(tmp_path, in_flight=InFlight(writing_max=1)) as cluster:
        await cluster.api.create(NAMESPACES, {"metadata": {"name": NAMESPACE % "quick"}})
        await cluster.api.create(CLUSTERROLEBINDINGS, _may_do_all("worker"))
        worker = cluster.authority.issue("worker", "worker")  # Administrators are never put off.
        first, late = (post("configmaps", configmap(name)).way("quick") for name in ("first", "late"))
        while await _status(cluster, on("DELETE", "configmaps").way("quick").encoded(), worker) == 403:
            pass  # The authorizer is about to hear of the binding.
        held = Held()
        cluster.registry.admission.plugins.insert(0, held)
        async with asyncio.TaskGroup() as group:
            under_way = group.create_task(_status(cluster, first.encoded(), worker))
            await held.came.wait()
            for refused in (late.encoded(), late.encoded(**CLOSES)):
                head, body = (await _answered(cluster, refused, worker)).decode().split("\r\n\r\n", 1)
                assert head.startswith("HTTP/1.1 429 Too Many Requests")
                assert "Retry-After: 1" in head.splitlines()
                assert json.loads(body)["reason"] == "TooManyRequests"
            held.let_go.set()
        assert under_way.result() == 201
        assert await _status(cluster, late.encoded(), worker) == 201


def _may_do_all(user: str) -> Object:
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}
    return {"metadata": {"name": user}, "roleRef": role, "subjects": [subject]}


async def _status(cluster: Cluster, data: bytes, pair: KeyPair) -> int:
    return int((await _answered(cluster, data, pair))[9:12])


async def _answered(cluster: Cluster, data: bytes, pair: KeyPair) -> bytes:
    """Send *data* on a connection of its own; return the one answer."""
    tls = client_context(cluster.authority.certificate_path, pair)
    reader, writer = await asyncio.open_connection("localhost", cluster.port, ssl=tls)
    writer.write(data)
    head = await reader.readuntil(b"\r\n\r\n")
    found = re.search(rb"Content-Length: (\d+)", head)
    assert found is not None
    answer = head + await reader.readexactly(int(found[1]))
    writer.close()
    return answer


async def test_a_client_that_goes_away_leaves_its_write_in_the_record(cluster: Cluster) -> None:
    await cluster.api.create(NAMESPACES, {"metadata": {"name": NAMESPACE % "quick"}})
    begun, ended = asyncio.Event(), asyncio.Event()

    async def never(*_: object, **__: object) -> None:
        begun.set()
        await asyncio.Event().wait()

    cluster.registry.store.txn = never  # type: ignore[assignment,method-assign]
    tls = client_context(cluster.authority.certificate_path, cluster.authority.admin())
    _, writer = await asyncio.open_connection("localhost", cluster.port, ssl=tls)
    with cluster.requests.listening(lambda record: ended.set() if record.code == 499 else None):
        writer.write(post("configmaps", configmap("a")).way("quick").encoded())
        await begun.wait()
        writer.transport.abort()
        await ended.wait()


async def test_who_asked_is_known_when_the_connection_is_closed(cluster: Cluster) -> None:
    tls = client_context(cluster.authority.certificate_path, cluster.authority.admin())
    _, writer = await asyncio.open_connection("127.0.0.1", cluster.port, ssl=tls, server_hostname="localhost")
    path, headers = "/api/v1/namespaces", CIMultiDictProxy(CIMultiDict[str]())
    message = RawRequestMessage(
        "POST", path, HttpVersion11, headers, (), False, None, False, False, URL(path)
    )
    request = PlainRequest(message, b"", writer.transport)
    for _ in range(2):  # The second takes asyncio's transport what it would answer from.
        writer.transport.close()
    assert request.remote == "127.0.0.1"
