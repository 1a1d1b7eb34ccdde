"""What only the wire shows: who is let in, forms and streams, and how the server ends."""

import asyncio
import io
import json
import stat
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from api_manifests import configmap, node, on, pod
from served_cluster import Cluster, admin, client, serving

from kubelab.cluster.apiserver import pki
from kubelab.cluster.apiserver.watching import Deadlines
from kubelab.cluster.objects import CONFIGMAPS, NODES, PODS

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
METADATA = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json"


async def test_without_a_certificate_nobody_is_let_in(cluster: Cluster) -> None:
    async with client(cluster) as session, session.get("/api/v1/pods") as response:
        assert response.status == 401
        assert await response.json() == {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": "Unauthorized",
            "reason": "Unauthorized",
            "code": 401,
        }


@pytest.mark.parametrize(("who", "status"), [("kubelet", 200), ("scheduler", 200), ("stranger", 403)])
async def test_the_certificate_says_who_asks(cluster: Cluster, who: str, status: int) -> None:
    authority = cluster.authority
    pair = {
        "kubelet": lambda: authority.kubelet("minion-1"),
        "scheduler": authority.scheduler,
        "stranger": lambda: authority.issue("stranger", "mallory"),
    }[who]()
    path = "/api/v1/namespaces/default/pods?fieldSelector=spec.nodeName%3Dminion-1"
    async with client(cluster, pair) as session, session.get(path) as response:
        assert response.status == status
        if status == 403:
            assert (await response.json())["message"] == (
                'pods is forbidden: User "mallory" cannot list resource "pods" in API group "" in the '
                'namespace "default"'
            )


def test_only_their_owner_reads_the_keys(cluster: Cluster) -> None:
    modes = {stat.S_IMODE(path.stat().st_mode) for path in cluster.authority.directory.iterdir()}
    assert modes == {0o600}


async def test_a_list_comes_in_the_form_that_is_asked_for(cluster: Cluster) -> None:
    await cluster.api.create(PODS, pod())
    async with admin(cluster) as session:
        kinds = []
        for accept in ("application/json", TABLE, METADATA.replace("Metadata;", "MetadataList;")):
            async with session.get("/api/v1/pods", headers={"Accept": accept}) as response:
                kinds.append((await response.json())["kind"])
        async with session.get("/api/v1/pods", headers={"Accept": "text/html"}) as response:
            assert response.status == 406
    assert kinds == ["PodList", "Table", "PartialObjectMetadataList"]


async def test_a_table_of_an_older_version_is_of_that_version_throughout(cluster: Cluster) -> None:
    await cluster.api.create(CONFIGMAPS, configmap())
    path = "/api/v1/namespaces/default/configmaps/settings"
    wanted = {"Accept": TABLE.replace("v=v1", "v=v1beta1")}
    async with admin(cluster) as session, session.get(path, headers=wanted) as response:
        table = await response.json()
    assert (table["kind"], table["apiVersion"]) == ("Table", "meta.k8s.io/v1beta1")
    assert table["rows"][0]["object"]["apiVersion"] == "meta.k8s.io/v1beta1"


async def test_a_review_has_no_table(cluster: Cluster) -> None:
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    review = {"spec": {"nonResourceAttributes": {"path": "/", "verb": "get"}}}
    async with admin(cluster) as session:
        for accept, status in ((TABLE, 201), (TABLE.partition(",")[0], 406)):
            async with session.post(path, json=review, headers={"Accept": accept}) as response:
                assert response.status == status


async def test_a_long_list_comes_in_pieces_and_is_the_same(cluster: Cluster) -> None:
    for number in range(30):
        await cluster.api.create(CONFIGMAPS, configmap(f"settings-{number}", big="x" * 10_000))
    path, lists = "/api/v1/namespaces/default/configmaps", []
    async with admin(cluster) as session:
        for encoding in ("identity", "gzip"):
            async with session.get(path, headers={"Accept-Encoding": encoding}) as response:
                lists.append(await response.read())
                assert response.headers.get("Content-Encoding", "identity") == encoding
    assert lists[0] == lists[1]
    assert len(json.loads(lists[0])["items"]) == 30
    assert [each.bytes_sent for each in cluster.requests.recent][-2] == len(lists[0])


async def test_a_warning_that_no_header_can_carry_is_not_told(cluster: Cluster) -> None:
    body = {"metadata": {"name": "a"}, "two\nlines": 1, "one": 1}
    async with (
        admin(cluster) as session,
        session.post("/api/v1/namespaces/default/configmaps", json=body) as response,
    ):
        assert response.status == 201
        assert response.headers.getall("Warning") == ['299 - "unknown field \\"one\\""']


async def test_yaml_bodies_are_read(cluster: Cluster) -> None:
    path = "/api/v1/namespaces/default/configmaps"
    async with admin(cluster) as session:
        body, yaml = "metadata: {name: a}\ndata: {when: '2026-01-01'}", {"Content-Type": "application/yaml"}
        async with session.post(path, data=body, headers=yaml) as response:
            assert (response.status, (await response.json())["data"]) == (201, {"when": "2026-01-01"})


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/version/", 200),
        ("GET", "/apis/apps/v1", 200),
        ("GET", "/nowhere", 404),
        ("GET", "/api/v1/gadgets", 404),
        ("GET", "/api/v1/namespaces/default/nodes", 404),
        ("POST", "/api/v1/pods", 404),
        ("POST", "/api/v1/namespaces/default/pods/web", 405),
        ("GET", "/api/v1/pods?limit=many", 400),
        ("GET", "/api/v1/pods?continue=nonsense", 400),
        ("GET", "/api/v1/pods?resourceVersion=x", 400),
        ("GET", "/api/v1/pods?resourceVersion=99999", 504),
        ("GET", "/api/v1/pods?watch=1&sendInitialEvents=true", 422),
    ],
)
async def test_every_path_has_its_answer(cluster: Cluster, method: str, path: str, status: int) -> None:
    async with admin(cluster) as session, session.request(method, path) as response:
        assert response.status == status


async def test_a_body_beyond_the_limit_is_refused(cluster: Cluster) -> None:
    async with admin(cluster) as session:
        body = io.BytesIO(json.dumps(configmap(big="x" * 4_000_000)).encode())
        async with session.post("/api/v1/namespaces/default/configmaps", data=body) as response:
            assert response.status == 413


async def test_deletions_answer_with_a_status_or_a_pod(cluster: Cluster) -> None:
    await cluster.api.create(PODS, pod())
    await cluster.api.create(CONFIGMAPS, configmap())
    async with admin(cluster) as session:
        async with session.delete("/api/v1/namespaces/default/pods/web") as response:
            assert (await response.json())["kind"] == "Pod"
        async with session.delete("/api/v1/namespaces/default/configmaps/settings") as response:
            status = await response.json()
        assert (status["kind"], status["status"], status["details"]["kind"]) == (
            "Status",
            "Success",
            "configmaps",
        )
        async with session.delete("/api/v1/namespaces/default/configmaps") as response:
            assert (await response.json())["items"] == []


# Watches


async def test_a_streaming_list_says_where_the_state_ends(cluster: Cluster) -> None:
    await cluster.api.create(PODS, pod("first"))
    query = "watch=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan"
    async with admin(cluster) as session, session.get(f"/api/v1/pods?{query}") as response:
        first, bookmark = [json.loads(await response.content.readline()) for _ in range(2)]
        await cluster.api.create(PODS, pod("second"))
        second = json.loads(await response.content.readline())
    assert (first["type"], first["object"]["metadata"]["name"]) == ("ADDED", "first")
    assert bookmark["type"] == "BOOKMARK"
    assert bookmark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert (second["type"], second["object"]["metadata"]["name"]) == ("ADDED", "second")


async def test_only_the_first_event_of_a_table_has_columns(cluster: Cluster) -> None:
    await cluster.api.create(PODS, pod("first"))
    async with (
        admin(cluster) as session,
        session.get("/api/v1/pods?watch=1", headers={"Accept": TABLE}) as response,
    ):
        first = json.loads(await response.content.readline())
        await cluster.api.create(PODS, pod("second"))
        second = json.loads(await response.content.readline())
    assert first["object"]["columnDefinitions"][0]["name"] == "Name"
    assert second["object"]["columnDefinitions"] is None
    assert second["object"]["rows"][0]["cells"][0] == "second"


async def test_a_watch_from_a_compacted_version_ends_with_410(cluster: Cluster) -> None:
    await cluster.registry.store.compact(cluster.registry.store.revision)
    async with admin(cluster) as session, session.get("/api/v1/pods?watch=1&resourceVersion=1") as response:
        event = json.loads(await response.content.readline())
        assert await response.content.read() == b""
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")


async def test_a_watch_by_a_websocket_has_a_message_for_each_event(cluster: Cluster) -> None:
    async with admin(cluster) as session, session.ws_connect("/api/v1/namespaces?watch=1") as watch:
        seen = [json.loads(await watch.receive_str()) for _ in range(4)]
        assert {event["type"] for event in seen} == {"ADDED"}
        async with session.post("/api/v1/namespaces", json={"metadata": {"name": "new"}}) as answer:
            assert answer.status == 201
        event = json.loads(await watch.receive_str())
    assert (event["type"], event["object"]["metadata"]["name"]) == ("ADDED", "new")
    assert watch.close_code == aiohttp.WSCloseCode.OK


async def test_a_watch_by_a_websocket_ends_when_its_time_is_up(cluster: Cluster) -> None:
    path = "/api/v1/namespaces?watch=1&resourceVersion=5&timeoutSeconds=0"
    async with admin(cluster) as session, session.ws_connect(path) as watch:
        assert (await watch.receive()).type is aiohttp.WSMsgType.CLOSE


async def test_a_watch_ends_when_its_time_is_up(cluster: Cluster) -> None:
    path = "/api/v1/pods?watch=1&resourceVersion=5&timeoutSeconds=0"
    async with admin(cluster) as session, session.get(path) as response:
        assert (response.status, await response.read()) == (200, b"")


async def test_closing_ends_every_watch_at_once() -> None:
    deadlines, ended = Deadlines(), []

    async def watch(name: str) -> None:
        async with deadlines.until(3600):
            await asyncio.Event().wait()
        ended.append(name)

    async with asyncio.TaskGroup() as group:
        for name in ("first", "second"):
            group.create_task(watch(name))
        await asyncio.sleep(0)
        deadlines.close()
    await watch("late")
    assert sorted(ended) == ["first", "late", "second"]


# Logs


@asynccontextmanager
async def kubelet(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[str]]:
    """A kubelet's HTTPS server on a free port; yields the paths that it is asked for."""
    asked: list[str] = []

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(request.path_qs)
        if "previous" in request.query:
            return web.Response(
                status=400, text='previous terminated container "shell" in pod "web" not found\n'
            )
        return web.Response(text="one\ntwo\n")

    pair = cluster.authority.kubelet_server("minion-1", [pki.LOOPBACK])
    server = web.Server(answer)
    tls = pki.server_context(cluster.authority.certificate_path, pair)
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0, ssl=tls)
    monkeypatch.setattr("kubelab.cluster.apiserver.logs.KUBELET_PORT", listener.sockets[0].getsockname()[1])
    try:
        yield asked
    finally:
        listener.close()
        await server.shutdown(0.1)  # 0 would be without limit


async def test_logs_come_from_the_pods_kubelet(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    await cluster.api.create(NODES, node())
    await cluster.api.create(PODS, pod())
    assert await cluster.ok("logs", "web") == ""
    await cluster.api.create(PODS, on("minion-1"), subresource="binding")
    async with kubelet(cluster, monkeypatch) as asked:
        assert await cluster.ok("logs", "web", "--tail=5", "-f") == "one\ntwo\n"
        assert asked == ["/containerLogs/default/web/shell?follow=true&tailLines=5"]
        assert await cluster.refused("logs", "web", "-p") == (
            'Error from server (BadRequest): previous terminated container "shell" in pod "web" not found'
        )
    assert "container nope is not valid for pod web" in await cluster.refused("logs", "web", "-c", "nope")
    assert "Cannot connect to host 127.0.0.1" in await cluster.refused("logs", "web")


# The end


async def test_the_server_ends_at_once_with_clients_connected(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        async with serving(tmp_path) as cluster:
            session = await stack.enter_async_context(admin(cluster))
            await (await session.get("/api/v1/pods")).read()
            watch = await session.get("/api/v1/pods?watch=1&resourceVersion=1")
        assert await watch.content.read() == b""


async def test_nobody_stays_connected_to_a_server_that_has_ended(tmp_path: Path) -> None:
    """Not even one that has not said a word yet, from behind a cut cable, say."""
    async with serving(tmp_path) as cluster:
        reader, writer = await asyncio.open_connection("127.0.0.1", cluster.port)
        async with admin(cluster) as session, session.get("/livez") as response:
            assert response.status == 200  # So the silent one has been taken in, too.
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
