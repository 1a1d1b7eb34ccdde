"""What clients rely on, whichever way they come: concurrency, metadata, deletion, watches, pages.

Source: https://kubernetes.io/docs/reference/using-api/api-concepts/ and
https://github.com/kubernetes/community/blob/master/contributors/devel/sig-architecture/api-conventions.md.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Literal

import pytest
from api_manifests import configmap, deployment, node, on, pod

from kubelab.cluster.apiserver.kinds import BY_RESOURCE
from kubelab.cluster.apiserver.local import LocalApi
from kubelab.cluster.apiserver.registry import ListOptions, Registry
from kubelab.cluster.client.api import PatchType, WatchEvent
from kubelab.cluster.clock import VirtualClock
from kubelab.cluster.errors import ApiError
from kubelab.cluster.linux.background import background
from kubelab.cluster.objects import (
    CONFIGMAPS,
    DEPLOYMENTS,
    NAMESPACES,
    NODES,
    PODS,
    Object,
    revision_of,
    uid_of,
)


async def take(events: AsyncIterator[WatchEvent], count: int) -> list[tuple[str, str]]:
    """Return type and name of the next *count* events."""
    taken = [await anext(events) for _ in range(count)]
    return [(event.type, event.object["metadata"]["name"]) for event in taken]


async def running_pod(api: LocalApi) -> Object:
    """Return a pod that a kubelet reports as running."""
    await api.create(PODS, pod())
    await api.create(PODS, on("minion-1"), subresource="binding")
    found = await api.get(PODS, "default", "web")
    return await api.update(PODS, found | {"status": {"phase": "Running"}}, subresource="status")


# Creating


async def test_the_server_fills_in_metadata_type_and_status(api: LocalApi) -> None:
    created = await api.create(PODS, pod() | {"status": {"phase": "Running"}})
    metadata = created["metadata"]
    assert (created["apiVersion"], created["kind"]) == ("v1", "Pod")
    assert metadata["creationTimestamp"] == "2026-01-01T00:00:00Z"
    assert metadata["generation"] == 1
    assert len(metadata["uid"]) == 36
    assert created["status"] == {"phase": "Pending", "qosClass": "BestEffort"}
    assert created["spec"]["containers"][0]["imagePullPolicy"] == "Always"


async def test_what_the_caller_handed_over_stays_as_it_was(api: LocalApi) -> None:
    given = pod()
    await api.create(PODS, given)
    assert given == pod()


async def test_generate_name_appends_five_characters(api: LocalApi) -> None:
    given = pod()
    given["metadata"] = {"generateName": "web-", "namespace": "default"}
    names = {(await api.create(PODS, given))["metadata"]["name"] for _ in range(3)}
    assert len(names) == 3
    assert all(len(name) == len("web-") + 5 and name.startswith("web-") for name in names)


async def test_a_name_is_taken_once(api: LocalApi) -> None:
    await api.create(PODS, pod())
    with pytest.raises(ApiError, match=r'^pods "web" already exists$') as refusal:
        await api.create(PODS, pod())
    assert (refusal.value.code, refusal.value.reason) == (409, "AlreadyExists")


async def test_the_namespace_must_be_there(api: LocalApi) -> None:
    with pytest.raises(ApiError, match=r'^namespaces "nowhere" not found$'):
        await api.create(PODS, pod(namespace="nowhere"))


# Changing


async def test_a_stale_resource_version_is_a_conflict(api: LocalApi) -> None:
    first = await api.create(CONFIGMAPS, configmap(a="1"))
    await api.update(CONFIGMAPS, first | {"data": {"a": "2"}})
    with pytest.raises(ApiError) as refusal:
        await api.update(CONFIGMAPS, first | {"data": {"a": "3"}})
    assert refusal.value.is_conflict
    assert str(refusal.value) == (
        'Operation cannot be fulfilled on configmaps "settings": the object has been modified; please apply '
        "your changes to the latest version and try again"
    )


async def test_concurrent_patches_without_a_version_all_take_effect(api: LocalApi) -> None:
    await api.create(CONFIGMAPS, configmap())
    async with asyncio.TaskGroup() as group:
        for index in range(20):
            group.create_task(api.patch(CONFIGMAPS, "default", "settings", {"data": {f"key-{index}": "set"}}))
    assert len((await api.get(CONFIGMAPS, "default", "settings"))["data"]) == 20


async def test_an_update_that_changes_nothing_writes_nothing(api: LocalApi) -> None:
    created = await api.create(DEPLOYMENTS, deployment())
    assert revision_of(await api.update(DEPLOYMENTS, created)) == revision_of(created)


async def test_generation_counts_changes_of_spec_only(api: LocalApi) -> None:
    created = await api.create(DEPLOYMENTS, deployment())
    reported = await api.update(DEPLOYMENTS, created | {"status": {"replicas": 1}}, subresource="status")
    assert reported["metadata"]["generation"] == 1
    scaled = await api.patch(DEPLOYMENTS, "default", "web", {"spec": {"replicas": 5}})
    assert scaled["metadata"]["generation"] == 2


async def test_spec_and_status_are_written_apart(api: LocalApi) -> None:
    created = await api.create(DEPLOYMENTS, deployment())
    both = created | {"spec": created["spec"] | {"replicas": 9}, "status": {"replicas": 7}}
    by_status = await api.update(DEPLOYMENTS, both, subresource="status")
    assert (by_status["spec"]["replicas"], by_status["status"]["replicas"]) == (2, 7)
    both["metadata"] = by_status["metadata"]
    both["status"] = {"replicas": 100}
    by_spec = await api.update(DEPLOYMENTS, both)
    assert (by_spec["spec"]["replicas"], by_spec["status"]["replicas"]) == (9, 7)


async def test_scale_reads_and_writes_the_replicas(api: LocalApi) -> None:
    await api.create(DEPLOYMENTS, deployment())
    scale = await api.patch(DEPLOYMENTS, "default", "web", {"spec": {"replicas": 4}}, subresource="scale")
    assert scale["kind"] == "Scale"
    assert scale["spec"] == {"replicas": 4}
    assert scale["status"]["selector"] == "app=web"
    assert (await api.get(DEPLOYMENTS, "default", "web"))["spec"]["replicas"] == 4


async def test_a_strategic_patch_merges_containers_by_name(api: LocalApi) -> None:
    await api.create(DEPLOYMENTS, deployment())
    sidecar = {"spec": {"template": {"spec": {"containers": [{"name": "side", "image": "kubelab/shell"}]}}}}
    patched = await api.patch(DEPLOYMENTS, "default", "web", sidecar, PatchType.STRATEGIC)
    containers = patched["spec"]["template"]["spec"]["containers"]
    assert {container["name"] for container in containers} == {"shell", "side"}


async def test_a_handed_out_object_is_not_changed_by_later_patches(api: LocalApi) -> None:
    first = await api.create(DEPLOYMENTS, deployment())
    before = repr(first)
    await api.patch(DEPLOYMENTS, "default", "web", {"spec": {"template": {"spec": {"hostname": "h"}}}})
    assert repr(first) == before


async def test_a_deployments_selector_is_immutable(api: LocalApi) -> None:
    await api.create(DEPLOYMENTS, deployment())
    other = {"matchLabels": {"app": "other"}}
    change = {"spec": {"selector": other, "template": {"metadata": {"labels": {"app": "other"}}}}}
    with pytest.raises(ApiError, match=r"spec.selector: Invalid value: .*: field is immutable"):
        await api.patch(DEPLOYMENTS, "default", "web", change)


# Binding


async def test_a_pod_is_bound_once(api: LocalApi) -> None:
    await api.create(PODS, pod())
    await api.create(PODS, on("minion-1"), subresource="binding")
    bound = await api.get(PODS, "default", "web")
    assert bound["spec"]["nodeName"] == "minion-1"
    assert bound["status"]["conditions"][0]["type"] == "PodScheduled"
    with pytest.raises(ApiError, match='pod web is already assigned to node "minion-1"') as refusal:
        await api.create(PODS, on("minion-2"), subresource="binding")
    assert refusal.value.is_conflict


# Deleting


async def test_a_pod_on_no_node_goes_at_once(api: LocalApi) -> None:
    await api.create(PODS, pod())
    await api.delete(PODS, "default", "web")
    with pytest.raises(ApiError) as refusal:
        await api.get(PODS, "default", "web")
    assert refusal.value.is_not_found


async def test_a_running_pod_has_its_grace_period_until_the_kubelet_ends_it(api: LocalApi) -> None:
    await running_pod(api)
    await api.delete(PODS, "default", "web")
    metadata = (await api.get(PODS, "default", "web"))["metadata"]
    assert metadata["deletionTimestamp"] == "2026-01-01T00:00:30Z"
    assert metadata["deletionGracePeriodSeconds"] == 30
    await api.delete(PODS, "default", "web", grace_period_s=0, uid=metadata["uid"])
    assert not (await api.list(PODS)).items


async def test_a_deletion_can_be_hastened_but_not_delayed(api: LocalApi) -> None:
    await running_pod(api)
    await api.delete(PODS, "default", "web", grace_period_s=20)
    await api.delete(PODS, "default", "web", grace_period_s=50)
    await api.delete(PODS, "default", "web", grace_period_s=5)
    metadata = (await api.get(PODS, "default", "web"))["metadata"]
    assert metadata["deletionTimestamp"] == "2026-01-01T00:00:05Z"


async def test_another_uid_is_another_pod(api: LocalApi) -> None:
    await api.create(PODS, pod())
    with pytest.raises(ApiError, match="Precondition failed: UID in precondition: other") as refusal:
        await api.delete(PODS, "default", "web", uid="other")
    assert refusal.value.is_conflict


async def test_an_object_with_a_finalizer_waits_for_it(api: LocalApi) -> None:
    held = configmap()
    held["metadata"]["finalizers"] = ["lab.example/hold"]
    await api.create(CONFIGMAPS, held)
    await api.delete(CONFIGMAPS, "default", "settings")
    assert "deletionTimestamp" in (await api.get(CONFIGMAPS, "default", "settings"))["metadata"]
    await api.patch(CONFIGMAPS, "default", "settings", {"metadata": {"finalizers": None}})
    assert not (await api.list(CONFIGMAPS)).items


@pytest.mark.parametrize(
    ("propagation", "finalizer"), [("Foreground", "foregroundDeletion"), ("Orphan", "orphan")]
)
async def test_the_garbage_collector_is_told_by_a_finalizer(
    api: LocalApi, propagation: Literal["Foreground", "Orphan"], finalizer: str
) -> None:
    await api.create(DEPLOYMENTS, deployment())
    await api.delete(DEPLOYMENTS, "default", "web", propagation=propagation)
    assert (await api.get(DEPLOYMENTS, "default", "web"))["metadata"]["finalizers"] == [finalizer]


async def test_a_namespace_terminates_until_it_is_finalized(api: LocalApi) -> None:
    created = await api.create(NAMESPACES, {"metadata": {"name": "shop"}})
    assert created["metadata"]["labels"] == {"kubernetes.io/metadata.name": "shop"}
    await api.delete(NAMESPACES, "", "shop")
    terminating = await api.get(NAMESPACES, "", "shop")
    assert terminating["status"]["phase"] == "Terminating"
    with pytest.raises(ApiError, match=r"because it is being terminated$") as refusal:
        await api.create(PODS, pod(namespace="shop"))
    assert refusal.value.details["causes"][0]["reason"] == "NamespaceTerminating"
    await api.update(NAMESPACES, terminating | {"spec": {"finalizers": []}}, subresource="finalize")
    with pytest.raises(ApiError, match='namespaces "shop" not found'):
        await api.get(NAMESPACES, "", "shop")


async def test_the_systems_namespaces_stay(api: LocalApi) -> None:
    with pytest.raises(ApiError, match="this namespace may not be deleted"):
        await api.delete(NAMESPACES, "", "default")


# Listing and watching


async def test_selectors_pick_by_label_and_field(api: LocalApi) -> None:
    for name in ("one", "two"):
        await api.create(PODS, pod(name))
    await api.create(PODS, on("minion-1", "two"), subresource="binding")
    by_label = await api.list(PODS, label_selector="app in (one)")
    by_field = await api.list(PODS, "default", field_selector="spec.nodeName=minion-1")
    assert [item["metadata"]["name"] for item in by_label.items] == ["one"]
    assert [item["metadata"]["name"] for item in by_field.items] == ["two"]


async def test_an_unset_flag_equals_false(api: LocalApi) -> None:
    await api.create(NODES, node())
    assert len((await api.list(NODES, field_selector="spec.unschedulable=false")).items) == 1


async def test_a_field_that_cannot_be_selected_by_is_refused(api: LocalApi) -> None:
    with pytest.raises(ApiError, match=r"^field label not supported: spec.hostname$"):
        await api.list(PODS, field_selector="spec.hostname=x")


async def test_readers_share_one_object_per_version(api: LocalApi) -> None:
    await api.create(PODS, pod())
    listed = (await api.list(PODS)).items[0]
    assert listed is await api.get(PODS, "default", "web")


async def test_a_watch_resumes_just_after_a_list(api: LocalApi) -> None:
    await api.create(PODS, pod("before"))
    listed = await api.list(PODS)
    await api.create(PODS, pod("after"))
    async with api.watch(PODS, resource_version=listed.resource_version) as events:
        await api.delete(PODS, "default", "before")
        assert await take(events, 2) == [("ADDED", "after"), ("DELETED", "before")]


async def test_an_object_enters_and_leaves_what_a_watch_selects(api: LocalApi) -> None:
    created = await api.create(PODS, pod())
    start = created["metadata"]["resourceVersion"]
    async with api.watch(PODS, resource_version=start, label_selector="app=other") as events:
        await api.patch(PODS, "default", "web", {"metadata": {"labels": {"app": "other"}}})
        await api.patch(PODS, "default", "web", {"metadata": {"labels": {"more": "yes"}}})
        await api.patch(PODS, "default", "web", {"metadata": {"labels": {"app": "web"}}})
        assert [type_ for type_, _ in await take(events, 3)] == ["ADDED", "MODIFIED", "DELETED"]


async def test_a_deleted_object_has_the_revision_of_its_deletion(api: LocalApi) -> None:
    created = await api.create(PODS, pod())
    async with api.watch(PODS, resource_version=created["metadata"]["resourceVersion"]) as events:
        await api.delete(PODS, "default", "web")
        event = await anext(events)
    assert uid_of(event.object) == uid_of(created)
    assert revision_of(event.object) == revision_of(created) + 1


async def test_watchers_share_one_event(registry: Registry, api: LocalApi) -> None:
    kind, start = BY_RESOURCE[PODS], registry.store.revision
    async with (
        registry.watch(kind, revision=start) as first,
        registry.watch(kind, "default", revision=start) as second,
    ):
        await api.create(PODS, pod())
        assert (await anext(first))[0] is (await anext(second))[0]


async def test_a_compacted_version_is_gone(registry: Registry, api: LocalApi) -> None:
    await api.create(PODS, pod())
    await registry.store.compact(registry.store.revision)
    with pytest.raises(ApiError, match=r"^too old resource version: 1") as refusal:
        async with api.watch(PODS, resource_version="1"):
            pass
    assert (refusal.value.code, refusal.value.reason) == (410, "Expired")


async def test_pages_show_one_revision(registry: Registry, api: LocalApi) -> None:
    kind = BY_RESOURCE[CONFIGMAPS]
    for name in "abcde":
        await api.create(CONFIGMAPS, configmap(name))
    first = await registry.list(kind, "default", ListOptions(limit=2))
    await api.create(CONFIGMAPS, configmap("bb"))
    second = await registry.list(kind, "default", ListOptions(limit=2, continue_=first.continue_))
    third = await registry.list(kind, "default", ListOptions(limit=2, continue_=second.continue_))
    names = [
        version.object["metadata"]["name"] for page in (first, second, third) for version in page.versions
    ]
    assert names == list("abcde")
    assert (first.remaining, third.continue_) == (3, "")
    assert first.revision == second.revision == third.revision


async def test_pages_of_a_selection_are_full(registry: Registry, api: LocalApi) -> None:
    for index in range(6):
        await api.create(PODS, pod(f"pod-{index}"))
    options = ListOptions(label_selector="app in (pod-1,pod-3,pod-5)", limit=2)
    page = await registry.list(BY_RESOURCE[PODS], "", options)
    assert [version.object["metadata"]["name"] for version in page.versions] == ["pod-1", "pod-3"]
    assert page.continue_


async def test_a_dry_run_leaves_no_trace(registry: Registry, clock: VirtualClock) -> None:
    kind, before = BY_RESOURCE[PODS], registry.store.revision
    version = await registry.create(kind, "default", pod(), dry_run=True)
    assert version.object["spec"]["restartPolicy"] == "Always"
    assert registry.store.revision == before


async def test_a_burst_of_writes_lets_the_others_have_their_turns(api: LocalApi) -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with background(count()):
        for number in range(10):
            await api.create(CONFIGMAPS, configmap(f"c{number}"))
            await api.patch(CONFIGMAPS, "default", f"c{number}", {"data": {"a": "b"}})
            await api.delete(CONFIGMAPS, "default", f"c{number}")
    assert turns >= 30
