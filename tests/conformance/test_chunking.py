"""Long lists in pages: of one version, and on from where they were when that has been compacted away.

Source: kubernetes, test/e2e/apimachinery/chunking.go.
"""

import asyncio

import pytest
from served_cluster import Cluster
from spec_client import Client
from spec_objects import POD_SPEC

from kubelab.cluster.apiserver.negotiation import JSON, PROTOBUF
from kubelab.cluster.objects import CONFIGMAPS, PODTEMPLATES, Object

PATH = "/api/v1/namespaces/default/podtemplates"
TOTAL = 400


@pytest.fixture
async def templates(cluster: Cluster) -> None:
    async def create(number: int) -> None:
        metadata = {"name": f"template-{number:04}", "namespace": "default"}
        await cluster.api.create(PODTEMPLATES, {"metadata": metadata, "template": {"spec": POD_SPEC}})

    async with asyncio.TaskGroup() as group:
        for number in range(TOTAL):
            group.create_task(create(number))


def check(page: Object, found: int) -> int:
    """Check what a page has after *found* objects, and what it says is left; return how many were found."""
    names = [each["metadata"]["name"] for each in page["items"]]
    assert names == [f"template-{number:04}" for number in range(found, found + len(names))]
    metadata, found = page["metadata"], found + len(names)
    assert metadata.get("remainingItemCount") == (TOTAL - found if metadata.get("continue") else None)
    return found


async def read_on(client: Client, page: Object, limit: int, found: int = 0) -> int:
    """Read all pages from *page* on, which are of one version; return how many objects were found."""
    version, found = page["metadata"]["resourceVersion"], check(page, found)
    while token := page["metadata"].get("continue"):
        page = await client.get(PATH, limit=str(limit), **{"continue": token})
        assert len(page["items"]) <= limit
        assert page["metadata"]["resourceVersion"] == version
        found = check(page, found)
    return found


@pytest.mark.parametrize("form", [JSON, PROTOBUF], ids=["json", "protobuf"])
@pytest.mark.usefixtures("templates")
async def test_pages_are_of_one_version_and_say_what_is_left(client: Client, form: str) -> None:
    """Servers with support for API chunking should return chunks of results for list calls."""
    client = client.speaking(form)
    for _ in range(3):
        assert await read_on(client, await client.get(PATH, limit="17"), 17) == TOTAL
    assert len((await client.get(PATH, limit=str(TOTAL + 1)))["items"]) == TOTAL


@pytest.mark.parametrize("form", [JSON, PROTOBUF], ids=["json", "protobuf"])
@pytest.mark.usefixtures("templates")
async def test_a_list_goes_on_when_its_version_is_compacted_away(
    cluster: Cluster, client: Client, form: str
) -> None:
    """Servers with support for API chunking should support continue listing from the last key if the original
    version has been compacted away, though the list is inconsistent."""
    client, limit = client.speaking(form), TOTAL // 10
    first = await client.get(PATH, limit=str(limit))
    found = check(first, 0)
    await cluster.api.create(CONFIGMAPS, {"metadata": {"name": "later", "namespace": "default"}})
    await cluster.registry.store.compact(cluster.registry.store.revision)
    token = first["metadata"]["continue"]
    expired = await client.ask("GET", PATH, limit=str(limit), **{"continue": token})
    assert (expired.status, expired.body["reason"]) == (410, "Expired")
    inconsistent = expired.body["metadata"]["continue"]
    second = await client.get(PATH, limit=str(limit), **{"continue": inconsistent})
    assert second["metadata"]["resourceVersion"] != first["metadata"]["resourceVersion"]
    assert len(second["items"]) == limit
    assert await read_on(client, second, limit, found) == TOTAL
