"""The garbage collector follows every kind that is served, also those that come while it runs."""

import pytest

from kubelab.cluster.apiserver.crd import establishing
from kubelab.cluster.apiserver.crd.definition import DEFINITIONS
from kubelab.cluster.apiserver.local import LocalApi
from kubelab.cluster.apiserver.registry import Registry
from kubelab.cluster.clock import VirtualClock
from kubelab.cluster.controllers.garbage_collector import REDISCOVERY_S
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import CONFIGMAPS, Object, Resource

pytestmark = pytest.mark.usefixtures("controllers")

JOBS = Resource("batch", "v1", "jobs", "Job", namespaced=True)
BOATS = Resource("example.com", "v1", "boats", "Boat", namespaced=True)
DEFINITION: Object = {
    "metadata": {"name": "boats.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "boats", "singular": "boat", "kind": "Boat", "listKind": "BoatList"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object"}},
            }
        ],
    },
}


def job(name: str) -> Object:
    container = {"name": "once", "image": "kubelab/shell"}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    return {"metadata": {"name": name, "namespace": "default"}, "spec": {"template": template}}


def owned_by(owner: Object, name: str = "log") -> Object:
    reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"]}
    reference |= {"name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}
    return {"metadata": {"name": name, "namespace": "default", "ownerReferences": [reference]}}


async def is_gone(api: LocalApi, resource: Resource, name: str) -> bool:
    try:
        await api.get(resource, "default", name)
    except ApiError as refusal:
        return refusal.is_not_found
    return False


async def established(api: LocalApi, since: str) -> None:
    async with api.watch(DEFINITIONS, resource_version=since) as events:
        async for event in events:
            conditions = (event.object.get("status") or {}).get("conditions") or ()
            if ("Established", "True") in {(each["type"], each["status"]) for each in conditions}:
                return


async def test_a_job_is_orphaned_by_default_and_then_goes(api: LocalApi, clock: VirtualClock) -> None:
    made = await api.create(JOBS, job("once"))
    await api.create(CONFIGMAPS, owned_by(made))
    await api.delete(JOBS, "default", "once")
    await clock.advance(1)
    assert await is_gone(api, JOBS, "once")
    log = await api.get(CONFIGMAPS, "default", "log")
    assert not log["metadata"].get("ownerReferences")


@pytest.mark.parametrize("propagation", ["Foreground", "Background"])
async def test_what_a_job_owns_goes_with_it(api: LocalApi, clock: VirtualClock, propagation: str) -> None:
    made = await api.create(JOBS, job("once"))
    await api.create(CONFIGMAPS, owned_by(made))
    await api.delete(JOBS, "default", "once", propagation=propagation)  # type: ignore[arg-type]
    await clock.advance(1)
    assert await is_gone(api, JOBS, "once")
    assert await is_gone(api, CONFIGMAPS, "log")


async def test_owners_in_a_circle_all_go(api: LocalApi, clock: VirtualClock) -> None:
    """As upstream's test/e2e/apimachinery/garbage_collector.go has it."""
    names = ("a", "b", "c")
    made = [await api.create(CONFIGMAPS, {"metadata": {"name": n, "namespace": "default"}}) for n in names]
    for index, each in enumerate(made):
        owner = made[index - 1]["metadata"]
        reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": owner["name"], "uid": owner["uid"]}
        references = [reference | {"controller": True, "blockOwnerDeletion": True}]
        patch = {"metadata": {"ownerReferences": references}}
        await api.patch(CONFIGMAPS, "default", each["metadata"]["name"], patch)
    await clock.advance(1)
    await api.delete(CONFIGMAPS, "default", "a", propagation="Foreground")
    await clock.advance(1)
    assert all([await is_gone(api, CONFIGMAPS, name) for name in names])


async def test_custom_resources_own_and_are_owned(
    api: LocalApi, registry: Registry, clock: VirtualClock
) -> None:
    async with establishing.following(registry):
        made = await api.create(DEFINITIONS, DEFINITION)
        await established(api, made["metadata"]["resourceVersion"])
        await clock.advance(REDISCOVERY_S)
        boat = {"apiVersion": "example.com/v1", "kind": "Boat"}
        owner = await api.create(BOATS, boat | {"metadata": {"name": "ana", "namespace": "default"}})
        await api.create(CONFIGMAPS, owned_by(owner))
        await api.create(BOATS, boat | owned_by(owner, "tender"))
        await clock.advance(1)
        assert not await is_gone(api, CONFIGMAPS, "log")
        await api.delete(BOATS, "default", "ana")
        await clock.advance(1)
        assert await is_gone(api, CONFIGMAPS, "log")
        assert await is_gone(api, BOATS, "tender")
