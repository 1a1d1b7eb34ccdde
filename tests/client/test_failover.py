"""Several servers, busy servers and long lists over HTTPS: what a client does before it gives up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_api_contract import configmap
from test_api_contract import serving as serving_registry
from test_https_transport import Answer, config_of, saying, serving

from kubelab.cluster.apiserver.bootstrap import bootstrap
from kubelab.cluster.apiserver.pki import Authority
from kubelab.cluster.apiserver.registry import Registry
from kubelab.cluster.client import https, kubeconfig
from kubelab.cluster.client.https import HttpsApi
from kubelab.cluster.client.informer import Informer
from kubelab.cluster.client.servers import Servers
from kubelab.cluster.clock import SystemClock
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import CONFIGMAPS, NAMESPACES, PODS, Object
from kubelab.cluster.store.memory import MemoryStore


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.create(tmp_path_factory.mktemp("pki"), datetime.now(UTC))


@pytest.fixture
async def registry() -> Registry:
    registry = Registry(MemoryStore(), SystemClock())
    await bootstrap(registry)
    return registry


class NoWaiting(SystemClock):
    """Real time, but for sleeps, which are noted instead."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def sleep(self, delay_s: float) -> None:
        self.slept.append(delay_s)


class InTurn:
    """A server that gives one of *answers* (status with headers, body) to each request."""

    def __init__(self, *answers: tuple[str, Object]) -> None:
        self._left = iter(answers)
        self.requests: list[str] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await _head(reader):
            self.requests.append(request)
            status, body = next(self._left)
            encoded = msgspec.json.encode(body)
            writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(encoded)}\r\n\r\n".encode() + encoded)
            await writer.drain()


async def _head(reader: asyncio.StreamReader) -> str:
    try:
        return (await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")[0].decode()
    except asyncio.IncompleteReadError:
        return ""


@asynccontextmanager
async def two(registry: Registry, authority: Authority) -> AsyncIterator[tuple[HttpsApi, AsyncExitStack]]:
    """Serve twice; yield a client of both and what ends the first server."""
    async with AsyncExitStack() as first, serving_registry(registry, authority) as second_config:
        config = await first.enter_async_context(serving_registry(registry, authority))
        config = replace(config, other_servers=(second_config.server,))
        async with HttpsApi.connect(config) as api:
            yield api, first


async def test_when_a_server_ends_the_next_one_is_asked_also_for_writes(
    registry: Registry, authority: Authority
) -> None:
    async with two(registry, authority) as (api, first):
        await api.create(CONFIGMAPS, configmap("a"))
        await first.aclose()
        await api.create(CONFIGMAPS, configmap("b"))
        assert len((await api.list(CONFIGMAPS, "default")).items) == 2


async def test_an_informer_follows_on_the_next_server(registry: Registry, authority: Authority) -> None:
    came = asyncio.Event()

    def note(_: Object | None, new: Object | None) -> None:
        if new and new["metadata"]["name"] == "late":
            came.set()

    async with (
        two(registry, authority) as (api, first),
        Informer(api, CONFIGMAPS, clock=SystemClock()) as informer,
    ):
        informer.on_change(note)
        await informer.wait_synced()
        await first.aclose()
        await api.create(CONFIGMAPS, configmap("late"))
        await came.wait()


async def hang_up(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")


async def test_a_write_is_not_sent_again_when_its_connection_breaks(authority: Authority) -> None:
    """HTTP would allow it for PUT and DELETE. Done twice a write would undo what came in between, and one
    that names a version would be refused though it was done."""
    asked: list[str] = []

    async def break_off(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        asked.append(await _head(reader))

    async with serving(authority, break_off) as port, HttpsApi.connect(config_of(authority, port)) as api:
        for write in (api.update(CONFIGMAPS, configmap("a")), api.delete(CONFIGMAPS, "default", "a")):
            with pytest.raises(ConnectionError):
                await write
    assert [request.split()[0] for request in asked] == ["PUT", "DELETE"]


async def test_what_may_have_been_done_is_not_done_again(authority: Authority) -> None:
    """The first server took the request and broke off: only what changes nothing is asked of the second."""
    second = InTurn(("200 OK", {"kind": "Pod"}))
    async with serving(authority, hang_up) as broken, serving(authority, second) as port:
        config = replace(config_of(authority, broken), other_servers=(f"https://127.0.0.1:{port}",))
        async with HttpsApi.connect(config) as api:
            assert await api.get(PODS, "default", "a") == {"kind": "Pod"}
        async with HttpsApi.connect(config) as api:
            with pytest.raises(ConnectionError):
                await api.create(PODS, {"metadata": {"name": "a", "namespace": "default"}})
    assert len(second.requests) == 1


async def test_a_server_that_failed_must_be_ready_before_it_is_asked_again(authority: Authority) -> None:
    unready = InTurn(("500 Internal Server Error", {}))
    behaviours: list[Answer] = [hang_up, unready]

    async def first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await behaviours[0](reader, writer)

    async with serving(authority, first) as port, serving(authority, hang_up) as other:
        config = replace(config_of(authority, port), other_servers=(f"https://127.0.0.1:{other}",))
        async with HttpsApi.connect(config) as api:
            with pytest.raises(ConnectionError):
                await api.get(PODS, "default", "a")
            del behaviours[0]
            with pytest.raises(ConnectionError):
                await api.get(PODS, "default", "a")
    assert unready.requests == ["GET /readyz HTTP/1.1"]


async def test_a_busy_server_is_asked_again_when_it_said(authority: Authority) -> None:
    clock, busy = NoWaiting(), "429 Too Many Requests\r\nRetry-After: 2"
    answers = InTurn((busy, {}), (busy, {}), ("201 Created", {"kind": "ConfigMap"}))
    async with (
        serving(authority, answers) as port,
        HttpsApi.connect(config_of(authority, port), clock=clock) as api,
    ):
        assert await api.create(CONFIGMAPS, configmap("a")) == {"kind": "ConfigMap"}
    assert clock.slept == [2.0, 2.0]


async def test_a_server_that_stays_busy_is_told_of(authority: Authority) -> None:
    clock, busy = NoWaiting(), "429 Too Many Requests\r\nRetry-After: 1"
    refusal = {"kind": "Status", "code": 429, "reason": "TooManyRequests", "message": "busy"}
    async with (
        serving(authority, InTurn(*[(busy, refusal)] * (https.BUSY_RETRIES_MAX + 1))) as port,
        HttpsApi.connect(config_of(authority, port), clock=clock) as api,
    ):
        with pytest.raises(ApiError, match="busy") as error:
            await api.get(PODS, "default", "a")
    assert error.value.reason == "TooManyRequests"
    assert len(clock.slept) == https.BUSY_RETRIES_MAX


async def test_a_refusal_without_a_time_is_an_answer(authority: Authority) -> None:
    """As of an eviction that a disruption budget does not allow."""
    async with (
        serving(authority, saying("429 Too Many Requests", b'{"message": "no"}')) as port,
        HttpsApi.connect(config_of(authority, port), clock=NoWaiting()) as api,
    ):
        with pytest.raises(ApiError, match="no"):
            await api.get(PODS, "default", "a")


async def test_a_long_list_comes_in_pages_of_one_version(
    registry: Registry, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(https, "PAGE_LIMIT", 3)
    async with serving_registry(registry, authority) as config, HttpsApi.connect(config) as api:
        for number in range(7):
            await api.create(CONFIGMAPS, configmap(f"c{number}"))
        listed = await api.list(CONFIGMAPS, "default")
    assert [obj["metadata"]["name"] for obj in listed.items] == [f"c{number}" for number in range(7)]
    assert listed.resource_version == listed.items[-1]["metadata"]["resourceVersion"]


async def test_a_list_whose_rest_is_compacted_is_asked_for_at_once(authority: Authority) -> None:
    page = {"metadata": {"resourceVersion": "5", "continue": "x"}, "items": [{"metadata": {"name": "a"}}]}
    whole = {"metadata": {"resourceVersion": "9"}, "items": [{"metadata": {"name": "b"}}]}
    expired = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
    answers = InTurn(("200 OK", page), ("410 Gone", expired), ("200 OK", whole))
    async with serving(authority, answers) as port, HttpsApi.connect(config_of(authority, port)) as api:
        listed = await api.list(NAMESPACES)
    assert (listed.resource_version, [each["metadata"]["name"] for each in listed.items]) == ("9", ["b"])
    assert "limit" not in answers.requests[-1]


async def test_of_a_server_that_cannot_stream_lists_an_informer_asks_a_list(authority: Authority) -> None:
    refusal = {"kind": "Status", "code": 422, "reason": "Invalid", "message": "sendInitialEvents: Forbidden"}
    listed = {"metadata": {"resourceVersion": "9"}, "items": [{"metadata": {"name": "b", "uid": "1"}}]}
    answers = InTurn(("422 Unprocessable Entity", refusal), ("200 OK", listed), ("410 Gone", refusal))
    async with (
        serving(authority, answers) as port,
        HttpsApi.connect(config_of(authority, port)) as api,
        Informer(api, NAMESPACES, clock=SystemClock()) as informer,
    ):
        await informer.wait_synced()
        assert [obj["metadata"]["name"] for obj in informer.objects()] == ["b"]


def test_a_kubeconfig_keeps_the_other_servers_where_kubectl_does_not_look(tmp_path: Path) -> None:
    config = kubeconfig.ClientConfig("https://a:1", other_servers=("https://b:1", "https://c:1"))
    kubeconfig.write(tmp_path / "config", config)
    assert kubeconfig.read(tmp_path / "config") == config
    plain = replace(config, other_servers=())
    assert "extensions" not in kubeconfig.render(plain)


def test_one_server_is_kept_while_it_answers_and_rests_when_it_does_not() -> None:
    servers = Servers(["a", "b", "c"])
    assert servers.candidates(0) == ["a", "b", "c"]
    servers.failed("a", 0)
    servers.answered("b")
    assert servers.candidates(0.5) == ["b", "c", "a"]
    assert servers.candidates(5) == ["b", "c", "a"]
    assert servers.must_be_checked("a")
    assert not servers.must_be_checked("b")


HISTORIES = st.lists(
    st.tuples(st.sampled_from(["failed", "answered"]), st.sampled_from("abc"), st.integers(0, 40))
)


@given(HISTORIES)
def test_whatever_happened_every_server_has_its_turn(history: list[tuple[str, str, int]]) -> None:
    servers, now_s = Servers(["a", "b", "c"]), 0.0
    for what, server, later_s in history:
        now_s += later_s
        if what == "failed":
            servers.failed(server, now_s)
        else:
            servers.answered(server)
        assert sorted(servers.candidates(now_s)) == ["a", "b", "c"]
    if history and history[-1][0] == "answered":
        assert servers.candidates(now_s)[0] == history[-1][1]
