"""How lists and watches may be asked for, and how a watch begins (KEP-3157), over real HTTPS."""

import json
from typing import Any

import aiohttp
import pytest
from api_manifests import configmap
from served_cluster import Cluster
from test_http import admin

from kubelab.cluster.apiserver import queries
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import CONFIGMAPS

PATH = "/api/v1/namespaces/default/configmaps"
STREAMING = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
TABLE = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
PARTIAL = {"Accept": "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"}


@pytest.mark.parametrize(
    ("query", "said"),
    [
        (
            {"sendInitialEvents": "true"},
            "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        ),
        (
            {"resourceVersionMatch": "NotOlderThan"},
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        ),
    ],
)
def test_a_watch_with_options_that_do_not_fit_is_invalid(query: dict[str, str], said: str) -> None:
    with pytest.raises(ApiError) as refusal:
        queries.watch_options(query)
    head = 'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: '
    assert (refusal.value.code, refusal.value.message) == (422, head + said)


@pytest.mark.parametrize(
    "query",
    [
        {"sendInitialEvents": "true"},
        {"resourceVersionMatch": "Exact"},
        {"resourceVersionMatch": "Exact", "resourceVersion": "0"},
        {"resourceVersionMatch": "Newest", "resourceVersion": "5"},
        {"resourceVersionMatch": "Exact", "resourceVersion": "5", "continue": "x"},
    ],
)
def test_a_list_with_options_that_do_not_fit_is_invalid(query: dict[str, str]) -> None:
    with pytest.raises(ApiError) as refusal:
        queries.list_options(query)
    assert (refusal.value.code, refusal.value.reason) == (422, "Invalid")


async def lines(response: aiohttp.ClientResponse, count: int) -> list[Any]:
    return [json.loads(await response.content.readline()) for _ in range(count)]


async def test_without_bookmarks_initial_events_come_without_an_end(cluster: Cluster) -> None:
    await cluster.api.create(CONFIGMAPS, configmap("a"))
    async with admin(cluster) as session, session.get(f"{PATH}?{STREAMING}") as response:
        (first,) = await lines(response, 1)
        await cluster.api.create(CONFIGMAPS, configmap("b"))
        (second,) = await lines(response, 1)
    assert [each["object"]["metadata"]["name"] for each in (first, second)] == ["a", "b"]


async def test_a_watch_may_begin_with_what_comes_and_leave_out_what_is_there(cluster: Cluster) -> None:
    await cluster.api.create(CONFIGMAPS, configmap("a"))
    query = "watch=1&sendInitialEvents=false&resourceVersionMatch=NotOlderThan"
    async with admin(cluster) as session, session.get(f"{PATH}?{query}") as response:
        await cluster.api.create(CONFIGMAPS, configmap("b"))
        (first,) = await lines(response, 1)
    assert first["object"]["metadata"]["name"] == "b"


async def test_what_is_there_comes_as_rows_without_an_end(cluster: Cluster) -> None:
    await cluster.api.create(CONFIGMAPS, configmap("a"))
    async with (
        admin(cluster) as session,
        session.get(f"{PATH}?{STREAMING}", headers=TABLE) as response,
    ):
        (row,) = await lines(response, 1)
    assert row["object"]["columnDefinitions"][0]["name"] == "Name"
    assert row["object"]["rows"][0]["cells"][0] == "a"


async def test_what_is_there_comes_as_metadata_and_ends_so(cluster: Cluster) -> None:
    await cluster.api.create(CONFIGMAPS, configmap("a"))
    query = f"{STREAMING}&allowWatchBookmarks=true"
    async with (
        admin(cluster) as session,
        session.get(f"{PATH}?{query}", headers=PARTIAL) as response,
    ):
        partial, end = await lines(response, 2)
    assert (partial["object"]["kind"], "data" in partial["object"]) == ("PartialObjectMetadata", False)
    assert end["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


async def test_a_version_that_is_not_there_yet_or_no_more_ends_the_watch_with_an_error(
    cluster: Cluster,
) -> None:
    await cluster.api.create(CONFIGMAPS, configmap("a"))
    store = cluster.registry.store
    await store.compact(store.revision)
    async with admin(cluster) as session:
        async with session.get(f"{PATH}?watch=1&resourceVersion=1") as response:
            (gone,) = await lines(response, 1)
            assert await response.content.read() == b""
        async with session.get(f"{PATH}?{STREAMING}&resourceVersion=99999") as response:
            (future,) = await lines(response, 1)
    assert (gone["type"], gone["object"]["code"], gone["object"]["reason"]) == ("ERROR", 410, "Expired")
    assert (future["type"], future["object"]["reason"]) == ("ERROR", "Timeout")


async def test_hundreds_of_initial_events_come_in_order(cluster: Cluster) -> None:
    for number in range(230):
        await cluster.api.create(CONFIGMAPS, configmap(f"c{number:03}"))
    query = f"{STREAMING}&allowWatchBookmarks=true"
    async with admin(cluster) as session, session.get(f"{PATH}?{query}") as response:
        events = await lines(response, 231)
    names = [each["object"]["metadata"].get("name") for each in events]
    assert names == [*(f"c{number:03}" for number in range(230)), None]
