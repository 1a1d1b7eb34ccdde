"""The promises of `client.api.Api`, on both that keep them: the API server in process, and over HTTPS."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from own_addresses import own_address

from kubelab.cluster.apiserver.bootstrap import bootstrap
from kubelab.cluster.apiserver.local import LocalApi
from kubelab.cluster.apiserver.pki import Authority, client_context, server_context
from kubelab.cluster.apiserver.registry import Registry
from kubelab.cluster.apiserver.server import Security, serve
from kubelab.cluster.client.api import Api, PatchType
from kubelab.cluster.client.https import HttpsApi
from kubelab.cluster.client.informer import Informer
from kubelab.cluster.client.kubeconfig import ClientConfig
from kubelab.cluster.clock import SystemClock
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import CONFIGMAPS, DEPLOYMENTS, NAMESPACES, NODES, PODS, Object
from kubelab.cluster.store.memory import MemoryStore
from kubelab.cluster.store.requests import Compaction


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.create(tmp_path_factory.mktemp("pki"), datetime.now(UTC))


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
async def registry(store: MemoryStore) -> Registry:
    registry = Registry(store, SystemClock())
    await bootstrap(registry)
    return registry


@asynccontextmanager
async def serving(
    registry: Registry, authority: Authority, place: tuple[str, int] = ("127.0.0.1", 0)
) -> AsyncIterator[ClientConfig]:
    """Serve on loopback; yield how the administrator connects."""
    listener, admin = socket.create_server(place), authority.admin()
    ca = authority.certificate_path
    security = Security(server_context(ca, authority.apiserver()), client_context(ca, admin))
    url = "https://{}:{}".format(*listener.getsockname())
    async with serve(registry, security, [listener]):
        yield ClientConfig(
            url,
            ca.read_bytes(),
            admin.certificate.read_bytes(),
            admin.key.read_bytes(),
            tls_server_name="localhost",
        )


@pytest.fixture(params=["in process", "https"])
async def api(request: pytest.FixtureRequest, registry: Registry, authority: Authority) -> AsyncIterator[Api]:
    if request.param == "in process":
        yield LocalApi(registry)
        return
    async with serving(registry, authority) as config, HttpsApi.connect(config) as https:
        yield https


def configmap(name: str, value: str = "1", **labels: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "default", "labels": labels},
        "data": {"value": value},
    }


async def test_what_is_created_can_be_read_listed_and_deleted(api: Api) -> None:
    created = await api.create(CONFIGMAPS, configmap("a"))
    assert await api.get(CONFIGMAPS, "default", "a") == created
    listed = await api.list(CONFIGMAPS)
    assert listed.items == (created,)
    assert (listed.items[0]["apiVersion"], listed.items[0]["kind"]) == ("v1", "ConfigMap")
    assert int(listed.resource_version) >= int(created["metadata"]["resourceVersion"])
    await api.delete(CONFIGMAPS, "default", "a", uid=created["metadata"]["uid"])
    assert (await api.list(CONFIGMAPS, "default")).items == ()


async def test_discovery_names_every_resource_that_is_served(api: Api) -> None:
    assert {CONFIGMAPS, NAMESPACES, NODES, PODS, DEPLOYMENTS} <= set(await api.resources())
    for resource in await api.resources():
        await api.list(resource)


async def test_each_resource_is_named_once_in_the_version_that_clients_prefer(api: Api) -> None:
    resources = await api.resources()
    names = [(each.group, each.plural) for each in resources]
    assert sorted(names) == sorted(set(names))
    assert {each.version for each in resources if each.plural == "horizontalpodautoscalers"} == {"v2"}
    assert "tokenreviews" not in {each.plural for each in resources}


async def test_refusals_are_typed_and_in_upstream_s_words(api: Api) -> None:
    with pytest.raises(ApiError, match='configmaps "a" not found') as error:
        await api.get(CONFIGMAPS, "default", "a")
    assert error.value.is_not_found
    assert error.value.reason == "NotFound"
    assert error.value.details == {"name": "a", "kind": "configmaps"}
    created = await api.create(CONFIGMAPS, configmap("a"))
    with pytest.raises(ApiError, match='configmaps "a" already exists') as error:
        await api.create(CONFIGMAPS, configmap("a"))
    assert error.value.reason == "AlreadyExists"
    await api.update(CONFIGMAPS, {**created, "data": {"value": "2"}})
    with pytest.raises(ApiError) as error:
        await api.update(CONFIGMAPS, {**created, "data": {"value": "3"}})
    assert error.value.is_conflict
    with pytest.raises(ApiError) as error:
        await api.delete(CONFIGMAPS, "default", "a", uid="another")
    assert error.value.is_conflict


@pytest.mark.parametrize(
    ("patch", "patch_type"),
    [
        ({"data": {"value": None, "new": "2"}}, PatchType.MERGE),
        ({"data": {"$retainKeys": ["new"], "new": "2"}}, PatchType.STRATEGIC),
        ([{"op": "move", "from": "/data/value", "path": "/data/new"}], PatchType.JSON),
    ],
)
async def test_all_three_patches(api: Api, patch: Any, patch_type: PatchType) -> None:
    await api.create(CONFIGMAPS, configmap("a", "2"))
    patched = await api.patch(CONFIGMAPS, "default", "a", patch, patch_type)
    assert patched["data"] == {"new": "2"}


async def test_selectors(api: Api) -> None:
    for name, tier in (("a", "front"), ("b", "back")):
        await api.create(CONFIGMAPS, configmap(name, tier=tier))
    by_label = await api.list(CONFIGMAPS, label_selector="tier in (front, side)")
    by_field = await api.list(CONFIGMAPS, field_selector="metadata.name!=a,metadata.namespace=default")
    assert [obj["metadata"]["name"] for obj in (*by_label.items, *by_field.items)] == ["a", "b"]
    with pytest.raises(ApiError) as error:
        await api.list(CONFIGMAPS, label_selector="=")
    assert error.value.code == 400


async def test_a_watch_tells_all_changes_since_a_resource_version(api: Api) -> None:
    start = (await api.list(CONFIGMAPS)).resource_version
    await api.create(CONFIGMAPS, configmap("a"))
    async with api.watch(CONFIGMAPS, resource_version=start) as events:
        await api.patch(CONFIGMAPS, "default", "a", {"data": {"value": "2"}})
        await api.delete(CONFIGMAPS, "default", "a")
        seen = [await anext(events) for _ in range(3)]
    assert [(event.type, event.object["data"]["value"]) for event in seen] == [
        ("ADDED", "1"),
        ("MODIFIED", "2"),
        ("DELETED", "2"),
    ]
    assert seen[0].object["kind"] == "ConfigMap"


async def test_a_watch_with_initial_events_is_a_list_and_then_a_watch(api: Api) -> None:
    """KEP-3157: what is there as ADDED, then a bookmark with its annotation."""
    created = await api.create(CONFIGMAPS, configmap("a"))
    async with api.watch(CONFIGMAPS, "default", resource_version="", initial_events=True) as events:
        first, end = await anext(events), await anext(events)
        assert (first.type, first.object) == ("ADDED", created)
        assert end.ends_initial_events
        assert int(end.object["metadata"]["resourceVersion"]) >= int(created["metadata"]["resourceVersion"])
        await api.delete(CONFIGMAPS, "default", "a")
        assert (await anext(events)).type == "DELETED"


async def test_a_watch_from_what_is_compacted_is_gone(api: Api, store: MemoryStore) -> None:
    start = (await api.list(CONFIGMAPS)).resource_version
    for name in ("a", "b", "c"):
        await api.create(CONFIGMAPS, configmap(name))
    await store.compact(Compaction(store.revision))
    with pytest.raises(ApiError) as error:
        async with api.watch(CONFIGMAPS, resource_version=start) as events:
            await anext(events)
    assert (error.value.code, error.value.reason) == (410, "Expired")


async def test_a_pod_is_bound_by_its_subresource_and_its_status_is_its_own(api: Api) -> None:
    await api.create(NODES, {"metadata": {"name": "minion-1"}})
    container = {"name": "a", "image": "kubelab/shell"}
    await api.create(
        PODS, {"metadata": {"name": "a", "namespace": "default"}, "spec": {"containers": [container]}}
    )
    target = {"apiVersion": "v1", "kind": "Node", "name": "minion-1"}
    await api.create(
        PODS, {"metadata": {"name": "a", "namespace": "default"}, "target": target}, subresource="binding"
    )
    running = {"spec": {"nodeName": "other"}, "status": {"phase": "Running"}}
    await api.patch(PODS, "default", "a", running, PatchType.MERGE, subresource="status")
    pod = await api.get(PODS, "default", "a")
    assert (pod["spec"]["nodeName"], pod["status"]["phase"]) == ("minion-1", "Running")
    await api.delete(PODS, "default", "a", grace_period_s=0)
    assert (await api.list(PODS)).items == ()


async def test_names_are_quoted(api: Api) -> None:
    with pytest.raises(ApiError) as error:
        await api.get(NAMESPACES, "", "a/../default?x=y")
    assert error.value.is_not_found


async def test_an_informer_outlives_a_restart_of_the_server(registry: Registry, authority: Authority) -> None:
    changes = asyncio.Queue[str]()

    def note(old: Object | None, new: Object | None) -> None:
        changes.put_nowait(f"{old and old['metadata']['name']} -> {new and new['metadata']['name']}")

    place = own_address(), 6443  # Nobody else takes it while there is no server.
    async with AsyncExitStack() as first_server:
        config = await first_server.enter_async_context(serving(registry, authority, place))
        async with (
            HttpsApi.connect(config) as api,
            Informer(api, CONFIGMAPS, clock=SystemClock()) as informer,
        ):
            informer.on_change(note)
            await informer.wait_synced()
            await first_server.aclose()
            local = LocalApi(registry)
            await local.create(CONFIGMAPS, configmap("a"))
            async with serving(registry, authority, place):
                assert await changes.get() == "None -> a"
                await local.delete(CONFIGMAPS, "default", "a")
                assert await changes.get() == "a -> None"
                assert informer.objects() == []
