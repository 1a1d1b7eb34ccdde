"""The resource quota controller on the real API server in process, together with admission."""

import pytest
from objects_for_tests import make_deployment

from kubelab.cluster.apiserver.local import LocalApi
from kubelab.cluster.clock import VirtualClock
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import (
    CONFIGMAPS,
    DEPLOYMENTS,
    EVENTS,
    PODS,
    REPLICASETS,
    RESOURCEQUOTAS,
    SERVICES,
    Object,
)

pytestmark = pytest.mark.usefixtures("controllers")


def pod(name: str, **resources: Object) -> Object:
    container = {"name": "a", "image": "kubelab/shell", "resources": resources}
    return {"metadata": {"name": name, "namespace": "default"}, "spec": {"containers": [container]}}


def configmap(name: str) -> Object:
    return {"metadata": {"name": name, "namespace": "default"}}


async def limit(api: LocalApi, clock: VirtualClock, **hard: str) -> None:
    hard = {name.replace("__", "/").replace("_", "."): value for name, value in hard.items()}
    await api.create(RESOURCEQUOTAS, configmap("quota") | {"spec": {"hard": hard}})
    await clock.advance(0)


async def status(api: LocalApi) -> Object:
    return dict((await api.get(RESOURCEQUOTAS, "default", "quota"))["status"])


async def test_a_new_quota_counts_what_is_there(api: LocalApi, clock: VirtualClock) -> None:
    await api.create(PODS, pod("a", requests={"cpu": "300m"}))
    await api.create(PODS, pod("b", requests={"cpu": "200m"}))
    await limit(api, clock, pods="5", requests_cpu="1", services="2", count__deployments_apps="3")
    hard = {"pods": "5", "requests.cpu": "1", "services": "2", "count/deployments.apps": "3"}
    used = {"pods": "2", "requests.cpu": "500m", "services": "1", "count/deployments.apps": "0"}
    assert await status(api) == {"hard": hard, "used": used}
    assert [each["metadata"]["name"] for each in (await api.list(SERVICES, "default")).items] == [
        "kubernetes"
    ]


async def test_what_goes_and_what_ends_makes_room(api: LocalApi, clock: VirtualClock) -> None:
    await limit(api, clock, pods="2", count__pods="3")
    for name in ("a", "b"):
        await api.create(PODS, pod(name))
    with pytest.raises(
        ApiError, match="exceeded quota: quota, requested: pods=1, used: pods=2, limited: pods=2"
    ):
        await api.create(PODS, pod("c"))
    await api.delete(PODS, "default", "a")
    await clock.advance(0)
    assert (await status(api))["used"] == {"pods": "1", "count/pods": "1"}
    await api.patch(PODS, "default", "b", {"status": {"phase": "Succeeded"}}, subresource="status")
    await clock.advance(0)
    assert (await status(api))["used"] == {"pods": "0", "count/pods": "1"}
    await api.create(PODS, pod("c"))


async def test_what_was_charged_and_never_came_about_is_given_back(
    api: LocalApi, clock: VirtualClock
) -> None:
    """Admission charges before the name turns out to be taken; a later count finds it."""
    await limit(api, clock, configmaps="5")
    await api.create(CONFIGMAPS, configmap("a"))
    before = (await status(api))["used"]
    with pytest.raises(ApiError, match="already exists"):
        await api.create(CONFIGMAPS, configmap("a"))
    await clock.advance(300)
    assert (await status(api))["used"] == before


async def test_a_changed_limit_counts_at_once(api: LocalApi, clock: VirtualClock) -> None:
    await limit(api, clock, pods="1")
    await api.create(PODS, pod("a"))
    await api.patch(RESOURCEQUOTAS, "default", "quota", {"spec": {"hard": {"pods": "2", "count/pods": "9"}}})
    await clock.advance(0)
    assert await status(api) == {
        "hard": {"pods": "2", "count/pods": "9"},
        "used": {"pods": "1", "count/pods": "1"},
    }


async def test_a_deployment_gets_as_many_pods_as_fit_and_its_set_says_why_no_more(
    api: LocalApi, clock: VirtualClock
) -> None:
    await limit(api, clock, pods="2")
    await api.create(DEPLOYMENTS, make_deployment(replicas=3))
    await clock.advance(1)
    assert len((await api.list(PODS, "default")).items) == 2
    (replicaset,) = (await api.list(REPLICASETS, "default")).items
    events = [each["message"] for each in (await api.list(EVENTS)).items if each["reason"] == "FailedCreate"]
    assert events
    assert events[0].startswith(f'Error creating: pods "{replicaset["metadata"]["name"]}-')
    assert events[0].endswith(
        "is forbidden: exceeded quota: quota, requested: pods=1, used: pods=2, limited: pods=2"
    )
