"""A namespace that is deleted: what goes first, and how it tells what keeps it.

Source: kubernetes, pkg/controller/namespace/deletion; https://kep.k8s.io/5080.
"""

import pytest

from kubelab.cluster.apiserver.local import LocalApi
from kubelab.cluster.clock import VirtualClock
from kubelab.cluster.controllers.namespace_conditions import Remaining, conditions
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import (
    CONFIGMAPS,
    EVENTS,
    NAMESPACES,
    PODS,
    REPLICASETS,
    SECRETS,
    Object,
    Resource,
)

NOW = VirtualClock().now()
AT = "2026-01-01T00:00:00Z"
SPEC: Object = {"containers": [{"name": "a", "image": "kubelab/shell"}]}


def named(name: str, *finalizers: str, **parts: Object) -> Object:
    metadata = {"name": name, "namespace": "shop", "finalizers": list(finalizers), "labels": {"app": "shop"}}
    return {"metadata": metadata} | parts


def told(found: list[Object]) -> dict[str, tuple[str, str, str]]:
    return {each["type"]: (each["status"], each["reason"], each["message"]) for each in found}


async def keeps(api: LocalApi) -> dict[str, tuple[str, str, str]]:
    namespace = await api.get(NAMESPACES, "", "shop")
    return {
        type_: said for type_, said in told(namespace["status"]["conditions"]).items() if said[0] == "True"
    }


async def release(api: LocalApi, resource: Resource, name: str) -> None:
    await api.patch(resource, "shop", name, {"metadata": {"finalizers": []}})


@pytest.fixture
async def shop(api: LocalApi, controllers: None) -> None:
    await api.create(NAMESPACES, {"metadata": {"name": "shop"}})


@pytest.mark.usefixtures("shop")
async def test_pods_go_first_and_the_namespace_tells_what_is_left(api: LocalApi, clock: VirtualClock) -> None:
    await api.create(PODS, named("web", "example.com/held", spec=SPEC))
    await api.create(CONFIGMAPS, named("settings", "example.com/kept"))
    await api.create(SECRETS, named("key", "example.com/kept"))
    await api.delete(NAMESPACES, "", "shop")
    await clock.advance(0)
    assert "deletionTimestamp" not in (await api.get(SECRETS, "shop", "key"))["metadata"]
    some = "Some content in the namespace has finalizers remaining:"
    assert await keeps(api) == {
        "NamespaceContentRemaining": (
            "True",
            "SomeResourcesRemain",
            "Some resources are remaining: pods. has 1 resource instances",
        ),
        "NamespaceFinalizersRemaining": (
            "True",
            "SomeFinalizersRemain",
            f"{some} example.com/held in 1 resource instances",
        ),
    }
    await release(api, PODS, "web")
    await clock.advance(1)
    counted = "configmaps. has 1 resource instances, secrets. has 1 resource instances"
    left = await keeps(api)
    assert left["NamespaceContentRemaining"][2] == f"Some resources are remaining: {counted}"
    assert left["NamespaceFinalizersRemaining"][2] == f"{some} example.com/kept in 2 resource instances"
    for resource, name in ((CONFIGMAPS, "settings"), (SECRETS, "key")):
        await release(api, resource, name)
    await clock.advance(1)
    with pytest.raises(ApiError) as refusal:
        await api.get(NAMESPACES, "", "shop")
    assert refusal.value.is_not_found


@pytest.mark.usefixtures("shop")
async def test_a_replicaset_makes_nothing_of_a_namespace_that_takes_nothing_new(
    api: LocalApi, clock: VirtualClock
) -> None:
    template = {"metadata": {"labels": {"app": "shop"}}, "spec": SPEC}
    spec = {"replicas": 2, "selector": {"matchLabels": {"app": "shop"}}, "template": template}
    await api.create(REPLICASETS, named("web", spec=spec))
    await clock.advance(1)
    held, *_ = (await api.list(PODS, "shop")).items
    patch = {"metadata": {"finalizers": ["example.com/held"]}}
    await api.patch(PODS, "shop", held["metadata"]["name"], patch)
    await api.delete(NAMESPACES, "", "shop")
    await clock.advance(5)
    status = (await api.get(REPLICASETS, "shop", "web"))["status"]
    assert not status.get("conditions")
    reasons = {each["reason"] for each in (await api.list(EVENTS, "shop")).items}
    assert reasons == {"SuccessfulCreate"}


def test_a_condition_keeps_its_time_until_it_turns() -> None:
    left = Remaining()
    left.add(PODS, [named("web")])
    mine: Object = {"type": "Mine", "status": "True"}
    remaining = {
        "type": "NamespaceContentRemaining",
        "status": "True",
        "lastTransitionTime": "2025-01-01T00:00:00Z",
    }
    found = {each["type"]: each for each in conditions([mine, remaining], left, NOW)}
    assert found["Mine"] == mine
    assert found["NamespaceContentRemaining"]["lastTransitionTime"] == remaining["lastTransitionTime"]
    assert found["NamespaceFinalizersRemaining"]["lastTransitionTime"] == AT
    gone = {each["type"]: each for each in conditions([*found.values()], Remaining(), NOW)}
    assert gone["NamespaceContentRemaining"]["status"] == "False"
    assert gone["NamespaceContentRemaining"]["lastTransitionTime"] == AT


def test_what_was_refused_is_told() -> None:
    left = Remaining(refusals=[ApiError(500, "InternalError", "b"), ApiError(403, "Forbidden", "a")])
    assert told(conditions([], left, NOW))["NamespaceDeletionContentFailure"] == (
        "True",
        "ContentDeletionFailed",
        "Failed to delete all resource types, 2 remaining: a, b",
    )
