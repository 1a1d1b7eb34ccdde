"""All controllers together on the real API in process, on virtual time; the tests make the pods ready."""

from typing import Any

import pytest
from objects_for_tests import make_deployment, make_replication_controller

from kubelab.cluster.apiserver.local import LocalApi
from kubelab.cluster.clock import VirtualClock, rfc3339
from kubelab.cluster.controllers.event_garbage import LOOK_S
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import (
    CONFIGMAPS,
    DEPLOYMENTS,
    EVENTS,
    NAMESPACES,
    NODES,
    PODS,
    REPLICASETS,
    REPLICATIONCONTROLLERS,
    Object,
    Resource,
)

pytestmark = pytest.mark.usefixtures("controllers")


async def items(api: LocalApi, resource: Resource) -> list[Object]:
    return list((await api.list(resource, "default")).items)


async def make_ready(api: LocalApi, clock: VirtualClock) -> None:
    """Let every pod that lives run and be ready, and everything that follows come to rest."""
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": rfc3339(clock.now())}
    for pod in await items(api, PODS):
        if pod["status"].get("phase") == "Pending":
            status = pod["status"] | {"phase": "Running", "conditions": [ready]}
            await api.update(PODS, pod | {"status": status}, subresource="status")
    await clock.advance(0)


async def change_image(api: LocalApi, image: str) -> None:
    containers = [{"name": "web", "image": image}]
    patch = {"spec": {"template": {"spec": {"containers": containers}}}}
    await api.patch(DEPLOYMENTS, "default", "web", patch)


def condition(obj: Object, type_: str) -> tuple[str, str]:
    found = next(c for c in obj["status"]["conditions"] if c["type"] == type_)
    return found["status"], found["reason"]


async def is_gone(api: LocalApi, resource: Resource, namespace: str, name: str) -> bool:
    try:
        await api.get(resource, namespace, name)
    except ApiError as refusal:
        return refusal.is_not_found
    return False


async def test_a_deployment_becomes_a_replicaset_and_its_pods(api: LocalApi, clock: VirtualClock) -> None:
    await api.create(DEPLOYMENTS, make_deployment())
    await clock.advance(0)
    (replica_set,) = await items(api, REPLICASETS)
    pods = await items(api, PODS)
    hash_ = replica_set["metadata"]["labels"]["pod-template-hash"]
    assert replica_set["metadata"]["name"] == f"web-{hash_}"
    assert replica_set["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "1"
    assert len(pods) == 3
    assert {pod["metadata"]["labels"]["pod-template-hash"] for pod in pods} == {hash_}
    assert {pod["metadata"]["ownerReferences"][0]["uid"] for pod in pods} == {replica_set["metadata"]["uid"]}


async def test_a_deployment_tells_how_far_it_is(api: LocalApi, clock: VirtualClock) -> None:
    await api.create(DEPLOYMENTS, make_deployment())
    await clock.advance(0)
    before = await api.get(DEPLOYMENTS, "default", "web")
    assert condition(before, "Available") == ("False", "MinimumReplicasUnavailable")
    assert before["status"]["unavailableReplicas"] == 3
    await make_ready(api, clock)
    after = await api.get(DEPLOYMENTS, "default", "web")
    assert condition(after, "Available") == ("True", "MinimumReplicasAvailable")
    assert condition(after, "Progressing") == ("True", "NewReplicaSetAvailable")
    assert after["status"]["readyReplicas"] == after["status"]["availableReplicas"] == 3


async def test_a_rollout_that_gets_nowhere_is_called_late(api: LocalApi, clock: VirtualClock) -> None:
    await api.create(DEPLOYMENTS, make_deployment(progressDeadlineSeconds=60))
    await clock.advance(62)
    late = await api.get(DEPLOYMENTS, "default", "web")
    assert condition(late, "Progressing") == ("False", "ProgressDeadlineExceeded")


async def test_a_deployment_scaled_in_a_rollout_shares_its_replicas_out(
    api: LocalApi, clock: VirtualClock
) -> None:
    """As in upstream's end-to-end test of that: the new image never gets ready."""
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 3, "maxUnavailable": 2}}
    await api.create(DEPLOYMENTS, make_deployment(replicas=10, strategy=strategy))
    await clock.advance(0)
    await make_ready(api, clock)
    await change_image(api, "kubelab/none:1")
    await clock.advance(0)
    assert sorted(each["spec"]["replicas"] for each in await items(api, REPLICASETS)) == [5, 8]
    await api.patch(DEPLOYMENTS, "default", "web", {"spec": {"replicas": 30}})
    await clock.advance(0)
    assert sorted(each["spec"]["replicas"] for each in await items(api, REPLICASETS)) == [13, 20]
    assert len(await items(api, PODS)) == 33


async def test_a_deleted_pod_is_replaced_once(api: LocalApi, clock: VirtualClock) -> None:
    await api.create(DEPLOYMENTS, make_deployment())
    await clock.advance(0)
    victim = (await items(api, PODS))[0]["metadata"]["name"]
    await api.delete(PODS, "default", victim, grace_period_s=0)
    await clock.advance(5)
    names = [pod["metadata"]["name"] for pod in await items(api, PODS)]
    assert len(names) == 3
    assert victim not in names


async def test_a_replication_controller_keeps_its_pods_by_a_map_of_labels(
    api: LocalApi, clock: VirtualClock
) -> None:
    await api.create(REPLICATIONCONTROLLERS, make_replication_controller())
    await clock.advance(0)
    (controller,) = await items(api, REPLICATIONCONTROLLERS)
    pods = await items(api, PODS)
    assert len(pods) == controller["status"]["replicas"] == 3
    assert {pod["metadata"]["ownerReferences"][0]["uid"] for pod in pods} == {controller["metadata"]["uid"]}
    await api.patch(REPLICATIONCONTROLLERS, "default", "web", {"spec": {"replicas": 1}})
    await clock.advance(0)
    assert len(await items(api, PODS)) == 1


async def test_a_replication_controller_adopts_an_orphan_and_releases_what_it_no_longer_selects(
    api: LocalApi, clock: VirtualClock
) -> None:
    await api.create(REPLICATIONCONTROLLERS, make_replication_controller())
    await clock.advance(0)
    released = (await items(api, PODS))[0]["metadata"]["name"]
    await api.patch(PODS, "default", released, {"metadata": {"labels": {"app": "other"}}})
    await clock.advance(0)
    pods = {pod["metadata"]["name"]: pod for pod in await items(api, PODS)}
    assert len(pods) == 4
    assert not pods[released]["metadata"].get("ownerReferences")
    await api.patch(PODS, "default", released, {"metadata": {"labels": {"app": "web"}}})
    await clock.advance(0)
    assert len(await items(api, PODS)) == 3


async def test_scaling_is_told_as_an_event(api: LocalApi, clock: VirtualClock) -> None:
    await api.create(DEPLOYMENTS, make_deployment())
    await clock.advance(0)
    await api.patch(DEPLOYMENTS, "default", "web", {"spec": {"replicas": 1}})
    await clock.advance(0)
    name = (await items(api, REPLICASETS))[0]["metadata"]["name"]
    told = {e["message"] for e in await items(api, EVENTS) if e["reason"] == "ScalingReplicaSet"}
    assert told == {
        f"Scaled up replica set {name} from 0 to 3",
        f"Scaled down replica set {name} from 3 to 1",
    }


async def test_a_rolling_update_replaces_all_pods_and_keeps_the_old_set(
    api: LocalApi, clock: VirtualClock
) -> None:
    await api.create(DEPLOYMENTS, make_deployment())
    await clock.advance(0)
    await make_ready(api, clock)
    await change_image(api, "kubelab/shell:2")
    for _ in range(5):
        await clock.advance(1)
        await make_ready(api, clock)
        for pod in await items(api, PODS):  # No kubelet here that would end them.
            if "deletionTimestamp" in pod["metadata"]:
                await api.delete(PODS, "default", pod["metadata"]["name"], grace_period_s=0)
    await clock.advance(1)
    images = {pod["spec"]["containers"][0]["image"] for pod in await items(api, PODS)}
    sizes = sorted(each["spec"]["replicas"] for each in await items(api, REPLICASETS))
    deployment = await api.get(DEPLOYMENTS, "default", "web")
    assert images == {"kubelab/shell:2"}
    assert sizes == [0, 3]
    assert deployment["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2"
    assert condition(deployment, "Progressing") == ("True", "NewReplicaSetAvailable")


async def test_going_back_reuses_the_old_set_under_a_new_revision(api: LocalApi, clock: VirtualClock) -> None:
    await api.create(DEPLOYMENTS, make_deployment(replicas=1))
    await clock.advance(0)
    for image in ("kubelab/shell:2", "kubelab/shell:1"):
        await change_image(api, image)
        await clock.advance(0)
    sets = await items(api, REPLICASETS)
    revisions = sorted(s["metadata"]["annotations"]["deployment.kubernetes.io/revision"] for s in sets)
    assert revisions == ["2", "3"]


async def test_a_name_that_is_taken_changes_the_hash(api: LocalApi, clock: VirtualClock) -> None:
    await api.create(DEPLOYMENTS, make_deployment(replicas=0))
    await clock.advance(0)
    (taken,) = await items(api, REPLICASETS)
    await api.delete(DEPLOYMENTS, "default", "web", propagation="Background")
    await clock.advance(0)
    stranger = {name: taken[name] for name in ("apiVersion", "kind", "spec")}
    labels = {"app": "stranger"}
    spec = taken["spec"] | {"selector": {"matchLabels": labels}}
    spec |= {"template": taken["spec"]["template"] | {"metadata": {"labels": labels}}}
    metadata = {"name": taken["metadata"]["name"], "namespace": "default"}
    await api.create(REPLICASETS, stranger | {"metadata": metadata, "spec": spec})
    await api.create(DEPLOYMENTS, make_deployment(replicas=0))
    await clock.advance(1)
    deployment = await api.get(DEPLOYMENTS, "default", "web")
    assert deployment["status"]["collisionCount"] == 1
    assert len(await items(api, REPLICASETS)) == 2


async def test_a_replicaset_adopts_a_matching_orphan_and_releases_a_relabelled_pod(
    api: LocalApi, clock: VirtualClock
) -> None:
    orphan: dict[str, Any] = {"apiVersion": "v1", "kind": "Pod"}
    orphan["metadata"] = {"name": "orphan", "namespace": "default", "labels": {"app": "web"}}
    orphan["spec"] = {"containers": [{"name": "web", "image": "i:1"}]}
    await api.create(PODS, orphan)
    deployment = make_deployment()
    replica_set = deployment | {"kind": "ReplicaSet"}
    await api.create(REPLICASETS, replica_set)
    await clock.advance(0)
    adopted = await api.get(PODS, "default", "orphan")
    assert adopted["metadata"]["ownerReferences"][0]["kind"] == "ReplicaSet"
    assert len(await items(api, PODS)) == 3
    await api.patch(PODS, "default", "orphan", {"metadata": {"labels": {"app": "debug"}}})
    await clock.advance(0)
    released = await api.get(PODS, "default", "orphan")
    assert not released["metadata"].get("ownerReferences")
    assert len(await items(api, PODS)) == 4


async def test_deleting_a_deployment_takes_everything_with_it(api: LocalApi, clock: VirtualClock) -> None:
    await api.create(DEPLOYMENTS, make_deployment())
    await clock.advance(0)
    await api.delete(DEPLOYMENTS, "default", "web", propagation="Background")
    await clock.advance(0)
    assert await items(api, REPLICASETS) == []
    assert all("deletionTimestamp" in pod["metadata"] for pod in await items(api, PODS))


async def test_deleting_in_the_foreground_waits_for_the_dependents(
    api: LocalApi, clock: VirtualClock
) -> None:
    await api.create(DEPLOYMENTS, make_deployment(replicas=0))
    await clock.advance(0)
    (replica_set,) = await items(api, REPLICASETS)
    held = {"metadata": {"finalizers": ["example.com/hold"]}}
    await api.patch(REPLICASETS, "default", replica_set["metadata"]["name"], held)
    await api.delete(DEPLOYMENTS, "default", "web", propagation="Foreground")
    await clock.advance(1)
    assert not await is_gone(api, DEPLOYMENTS, "default", "web")
    let_go = {"metadata": {"finalizers": []}}
    await api.patch(REPLICASETS, "default", replica_set["metadata"]["name"], let_go)
    await clock.advance(1)
    assert await is_gone(api, DEPLOYMENTS, "default", "web")


async def test_deleting_with_orphans_leaves_the_dependents(api: LocalApi, clock: VirtualClock) -> None:
    await api.create(DEPLOYMENTS, make_deployment())
    await clock.advance(0)
    await api.delete(DEPLOYMENTS, "default", "web", propagation="Orphan")
    await clock.advance(0)
    (replica_set,) = await items(api, REPLICASETS)
    assert await is_gone(api, DEPLOYMENTS, "default", "web")
    assert not replica_set["metadata"].get("ownerReferences")
    assert len(await items(api, PODS)) == 3


async def test_a_deleted_namespace_is_emptied_first(api: LocalApi, clock: VirtualClock) -> None:
    await api.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    metadata = {"name": "settings", "namespace": "shop"}
    await api.create(CONFIGMAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
    await api.delete(NAMESPACES, "", "shop")
    await clock.advance(2)
    assert await is_gone(api, NAMESPACES, "", "shop")
    assert (await api.list(CONFIGMAPS, "shop")).items == ()


async def test_a_silent_node_becomes_unknown_after_forty_seconds(api: LocalApi, clock: VirtualClock) -> None:
    ready = {"type": "Ready", "status": "True"}
    status = {"conditions": [ready | {"lastTransitionTime": rfc3339(clock.now())}]}
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "minion-1"}, "spec": {}}
    await api.create(NODES, node | {"status": status})
    await clock.advance(39)
    assert (await api.get(NODES, "", "minion-1"))["status"]["conditions"][0]["status"] == "True"
    await clock.advance(2)
    lost = await api.get(NODES, "", "minion-1")
    taints = [(taint["key"], taint["effect"]) for taint in lost["spec"]["taints"]]
    unreachable = "node.kubernetes.io/unreachable"
    assert condition(lost, "Ready") == ("Unknown", "NodeStatusUnknown")
    assert taints == [(unreachable, "NoSchedule"), (unreachable, "NoExecute")]


async def test_the_pods_of_a_silent_node_are_not_ready_any_more(api: LocalApi, clock: VirtualClock) -> None:
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "minion-1"}, "spec": {}}
    await api.create(NODES, node)
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "default"}}
    container = {"name": "web", "image": "i:1"}
    made = await api.create(PODS, pod | {"spec": {"nodeName": "minion-1", "containers": [container]}})
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": rfc3339(clock.now())}
    await api.update(PODS, made | {"status": {"conditions": [ready]}}, subresource="status")
    await clock.advance(41)
    marked = await api.get(PODS, "default", "web")
    assert condition(marked, "Ready") == ("False", "NodeNotReady")
    assert marked["status"]["conditions"][0]["observedGeneration"] == 1
    assert "NodeNotReady" in {event["reason"] for event in await items(api, EVENTS)}


async def test_the_pods_of_a_deleted_node_are_removed_after_a_while(
    api: LocalApi, clock: VirtualClock
) -> None:
    container = {"name": "web", "image": "i:1"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "left", "namespace": "default"}}
    await api.create(PODS, pod | {"spec": {"nodeName": "gone", "containers": [container]}})
    await clock.advance(39)
    assert not await is_gone(api, PODS, "default", "left")
    await clock.advance(2)
    assert await is_gone(api, PODS, "default", "left")


async def test_an_event_is_forgotten_an_hour_after_it_was_last_seen(
    api: LocalApi, controllers: None, clock: VirtualClock
) -> None:
    async def note(name: str) -> None:
        about = {"kind": "Pod", "name": "web", "namespace": "default"}
        metadata = {"name": name, "namespace": "default"}
        seen = {"lastTimestamp": rfc3339(clock.now()), "reason": "Started", "type": "Normal"}
        await api.create(EVENTS, {"metadata": metadata, "involvedObject": about} | seen)

    await note("early")
    await clock.advance(1800)
    await note("late")
    await clock.advance(1800 + LOOK_S)
    assert [event["metadata"]["name"] for event in (await api.list(EVENTS, "default")).items] == ["late"]
