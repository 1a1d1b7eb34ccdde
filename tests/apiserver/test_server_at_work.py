"""What an operator sees of the server: health, metrics, audit, and how it keeps itself from drowning."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qsl

import aiohttp
import pytest
from api_manifests import configmap
from peer_members import until
from prometheus_client.parser import text_string_to_metric_families
from served_cluster import Cluster, admin

from kubelab.cluster.apiserver import audit, queries
from kubelab.cluster.apiserver.durations import parse_duration
from kubelab.cluster.apiserver.health import Health
from kubelab.cluster.apiserver.inflight import InFlight
from kubelab.cluster.apiserver.metrics import Metrics
from kubelab.cluster.apiserver.registry import Registry
from kubelab.cluster.apiserver.request_log import RequestLog, RequestRecord
from kubelab.cluster.apiserver.server import GZIP_FROM_BYTES
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import CONFIGMAPS

RECORD = RequestRecord(
    *("id", "ResponseComplete", datetime(2026, 1, 2, tzinfo=UTC), 0.5, "get", "/api/v1/pods/a"),
    *("", "v1", "pods", "", "default", "a", "eva", ("team",), "", "curl/8", "127.0.0.1", 200),
)


async def text(session: aiohttp.ClientSession, path: str) -> tuple[int, str]:
    async with session.get(path) as response:
        return response.status, await response.text()


# Health


async def test_health_tells_of_each_check(cluster: Cluster) -> None:
    async with admin(cluster) as session:
        assert await text(session, "/livez") == (200, "ok")
        assert await text(session, "/readyz/etcd") == (200, "ok")
        status, told = await text(session, "/readyz?verbose&exclude=ping&exclude=dns")
        assert status == 200
        assert told.splitlines() == [
            "[+]ping excluded: ok",
            "[+]etcd ok",
            "[+]shutdown ok",
            'warn: some health checks cannot be excluded: no matches for "dns"',
            "readyz check passed",
        ]
        assert (await text(session, "/livez/dns"))[0] == 404
    assert await cluster.ok("get", "--raw", "/readyz?verbose=true")


async def test_a_failed_check_fails_the_whole_and_its_reason_stays_inside() -> None:
    async def well() -> str:
        return ""

    async def ill() -> str:
        return "the password is 1234"

    health = Health({"readyz": {"ping": well, "etcd": ill}})
    verdict = await health.answer("/readyz", (), verbose=False)
    assert verdict is not None
    assert verdict.status == 500
    assert verdict.text == "[+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed\n"
    excluded = await health.answer("/readyz", ("etcd",), verbose=False)
    assert excluded is not None
    assert excluded.status == 200


# Metrics


def samples(exposition: str, name: str, **labels: str) -> list[float]:
    return [
        sample.value
        for family in text_string_to_metric_families(exposition)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]


async def test_metrics_count_requests_by_verb_resource_and_code(cluster: Cluster) -> None:
    async with admin(cluster) as session:
        for name, code in (("here", 201), ("here", 409)):
            async with session.post(
                "/api/v1/namespaces/default/configmaps", json=configmap(name)
            ) as response:
                assert response.status == code
        await text(session, "/api/v1/namespaces/default/configmaps")
        await text(session, "/api/v1/namespaces/default/configmaps?watch=1&timeoutSeconds=0")
        _, told = await text(session, "/metrics")
    posted = {"verb": "CREATE", "resource": "configmaps", "version": "v1", "scope": "namespace"}
    assert samples(told, "apiserver_request_total", code="201", **posted) == [1]
    assert samples(told, "apiserver_request_total", code="409", **posted) == [1]
    assert samples(told, "apiserver_request_total", verb="LIST", resource="configmaps", code="200") == [1]
    assert samples(told, "apiserver_request_duration_seconds_count", **posted) == [2]
    assert samples(told, "apiserver_request_duration_seconds_bucket", le="+Inf", **posted) == [2]
    assert samples(told, "apiserver_watch_events_total", resource="configmaps") == [1]
    assert samples(told, "apiserver_storage_objects", resource="configmaps")[0] >= 1
    assert samples(told, "apiserver_current_inflight_requests", request_kind="readOnly") == [1]
    assert samples(told, "process_resident_memory_bytes")[0] > 1 << 20


async def test_metrics_count_what_is_stored_though_nobody_has_read_it(cluster: Cluster) -> None:
    await cluster.api.create(CONFIGMAPS, configmap("unread"))
    stored = len((await cluster.api.list(CONFIGMAPS)).items)
    anew = Registry(cluster.registry.store.service, cluster.registry.clock)
    assert (await anew.counts())["configmaps"] == stored


async def test_requests_go_on_while_metrics_are_written_down() -> None:
    async def objects() -> dict[str, int]:
        return {}

    metrics, name = Metrics(InFlight(), objects), iter(range(1_000_000))
    for _ in range(500):
        metrics.note(replace(RECORD, resource=f"r{next(name)}"))
    writing = asyncio.create_task(metrics.text())
    while not writing.done():
        metrics.note(replace(RECORD, resource=f"r{next(name)}"))
        await asyncio.sleep(0.001)  # Else what is written grows as quickly as it is written.
    assert sum(samples((await writing).decode(), "apiserver_request_total")) >= 500


# The wire


async def test_large_answers_are_gzipped_for_those_who_read_that(cluster: Cluster) -> None:
    await cluster.api.create(CONFIGMAPS, configmap("large", text="a" * GZIP_FROM_BYTES))
    path = "/api/v1/namespaces/default/configmaps/large"
    async with admin(cluster, auto_decompress=False) as session:
        async with session.get(path, headers={"Accept-Encoding": "gzip"}) as response:
            assert response.headers["Content-Encoding"] == "gzip"
            assert response.headers["Vary"] == "Accept-Encoding"
            assert int(response.headers["Content-Length"]) < 4096
        async with session.get(path, headers={"Accept-Encoding": "identity"}) as response:
            assert "Content-Encoding" not in response.headers
            assert len(await response.read()) > GZIP_FROM_BYTES
        small = "/api/v1/namespaces/default"
        async with session.get(small, headers={"Accept-Encoding": "gzip"}) as response:
            assert "Content-Encoding" not in response.headers
    assert "aaaa" in await cluster.ok("get", "configmap", "large", "-o", "yaml")


async def test_a_request_ends_when_its_time_is_over(cluster: Cluster) -> None:
    async def never(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    cluster.registry.store.get = never  # type: ignore[assignment,method-assign]
    async with admin(cluster) as session, session.get("/api/v1/namespaces/default?timeout=20ms") as response:
        status = await response.json()
    assert (response.status, status["reason"]) == (504, "Timeout")


@pytest.mark.parametrize(
    ("written", "seconds"), [("1m30s", 90), ("500ms", 0.5), ("1.5h", 5400), ("-2s", -2), ("0", 0)]
)
def test_durations_are_read_as_go_writes_them(written: str, seconds: float) -> None:
    assert parse_duration(written) == pytest.approx(seconds)


@pytest.mark.parametrize("written", ["", "5", "s", "1s2", "1 s", "ten"])
def test_what_go_would_not_read_is_no_duration(written: str) -> None:
    with pytest.raises(ValueError, match="invalid duration"):
        parse_duration(written)


async def test_an_unreadable_timeout_is_refused(cluster: Cluster) -> None:
    refused = await cluster.refused("get", "--raw", "/api/v1/nodes?timeout=soon")
    assert 'invalid timeout specified in the request URL: time: invalid duration "soon"' in refused


# Requests in flight


def test_beyond_its_places_the_server_refuses_readers_and_writers_apart() -> None:
    in_flight = InFlight(reading_max=1, writing_max=1)
    with in_flight.place(writes=False):
        with pytest.raises(ApiError) as refused, in_flight.place(writes=False):
            raise AssertionError("there was a place")
        assert (refused.value.code, refused.value.reason) == (429, "TooManyRequests")
        assert refused.value.details == {"retryAfterSeconds": 1}
        with in_flight.place(writes=True), in_flight.place(writes=False, exempt=True):
            assert in_flight.now == {"readOnly": 2, "mutating": 1}
    with in_flight.place(writes=False):
        assert in_flight.now == {"readOnly": 1, "mutating": 0}


# Who asked for what


def last(requests: RequestLog, verb: str) -> RequestRecord:
    return next(record for record in reversed(requests.recent) if record.verb == verb)


async def test_each_request_is_told_with_who_what_and_how_it_ended(cluster: Cluster) -> None:
    await cluster.ok("create", "configmap", "told", "--from-literal=a=b")
    record = last(cluster.requests, "create")
    assert (record.user, record.code, record.resource) == ("kubernetes-admin", 201, "configmaps")
    assert (record.namespace, record.name, record.stage) == ("default", "", "ResponseComplete")
    assert record.user_agent.startswith("kubectl")
    assert record.uri.startswith("/api/v1/namespaces/default/configmaps?")
    assert record.duration_s > 0
    assert record.bytes_sent > 100
    await cluster.refused("get", "pod", "nobody")
    refused = last(cluster.requests, "get")
    assert (refused.name, refused.code, refused.reason) == ("nobody", 404, "NotFound")


async def test_who_acts_for_another_is_told_with_that_other(cluster: Cluster) -> None:
    await cluster.refused("get", "pods", "--as=ana")
    record = last(cluster.requests, "list")
    assert (record.user, record.impersonated, record.code) == ("kubernetes-admin", "ana", 403)


async def test_a_watch_is_told_when_it_begins_and_when_it_ends(cluster: Cluster) -> None:
    async with admin(cluster) as session:
        ended = asyncio.Event()

        def note(record: RequestRecord) -> None:
            if record.stage == "ResponseComplete" and record.verb == "watch":
                ended.set()

        with cluster.requests.listening(note):
            async with session.get("/api/v1/pods?watch=1&timeoutSeconds=30"):
                began = last(cluster.requests, "watch")
                assert (began.stage, began.code) == ("ResponseStarted", 200)
            await ended.wait()
    assert last(cluster.requests, "watch").id == began.id
    assert last(cluster.requests, "watch").stage == "ResponseComplete"


async def test_a_slow_listener_hears_how_many_it_missed() -> None:
    requests = RequestLog()
    records = requests.records()
    first = asyncio.ensure_future(anext(records))
    await asyncio.sleep(0)
    for _ in range(1030):
        requests.add(RECORD)
    batch, missed = await first
    assert (len(batch), missed) == (1024, 6)
    await records.aclose()


def test_an_audit_event_is_upstreams_at_level_metadata() -> None:
    record = RequestRecord(
        *("8b1c", "ResponseComplete", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), 0.25),
        *("get", "/api/v1/namespaces/default/pods/a/log", "", "v1", "pods", "log", "default", "a"),
        *("admin", ("system:masters",), "eva", "kubectl/v1.37.0", "127.0.0.1", 403, "Forbidden"),
    )
    assert audit.event(record) == {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "auditID": "8b1c",
        "stage": "ResponseComplete",
        "requestURI": "/api/v1/namespaces/default/pods/a/log",
        "verb": "get",
        "user": {"username": "admin", "groups": ["system:masters"]},
        "impersonatedUser": {"username": "eva"},
        "sourceIPs": ["127.0.0.1"],
        "userAgent": "kubectl/v1.37.0",
        "objectRef": {
            "resource": "pods",
            "namespace": "default",
            "name": "a",
            "apiVersion": "v1",
            "subresource": "log",
        },
        "responseStatus": {"metadata": {}, "code": 403, "status": "Failure", "reason": "Forbidden"},
        "requestReceivedTimestamp": "2026-01-02T03:04:05.000000Z",
        "stageTimestamp": "2026-01-02T03:04:05.250000Z",
    }


async def test_a_disk_that_is_full_does_not_end_the_server(caplog: pytest.LogCaptureFixture) -> None:
    requests = RequestLog()
    async with audit.audited(requests, Path("/dev/full")):
        requests.add(RECORD)
    assert [record.getMessage() for record in caplog.records] == [
        "Requests are missing in the audit log /dev/full: No space left on device"
    ]


async def test_many_requests_do_not_wait_to_be_written(tmp_path: Path) -> None:
    requests, path = RequestLog(), tmp_path / "audit.log"
    async with audit.audited(requests, path, every_s=3600):
        for _ in range(audit.MANY):
            requests.add(RECORD)
        await until(lambda: path.exists() and path.read_text().count("\n") == audit.MANY)


async def test_the_audit_log_holds_no_body(cluster: Cluster) -> None:
    async with audit.audited(cluster.requests, cluster.home / "audit.log"):
        await cluster.ok("create", "configmap", "told", "--from-literal=word=sesame")
    written = (cluster.home / "audit.log").read_text()
    events = [json.loads(line) for line in written.splitlines()]
    assert any(event["verb"] == "create" and event["responseStatus"]["code"] == 201 for event in events)
    assert "sesame" not in written
    assert (cluster.home / "audit.log").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("asked", "means"),
    [("", False), ("watch=0", False), ("watch=False", False), ("watch", True), ("watch=True", True)],
)
def test_a_flag_is_set_unless_it_is_false_or_0(asked: str, means: bool) -> None:
    assert queries.flag(dict(parse_qsl(asked, keep_blank_values=True)), "watch") is means
