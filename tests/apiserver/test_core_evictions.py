"""Evictions: a budget decides whether a pod can be spared.

Source: kubernetes, pkg/registry/core/pod/storage/eviction_test.go;
https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/.
"""

from typing import Any

import pytest
from api_manifests import on, pod
from bare_cluster import bare_api

from kubelab.cluster.apiserver.local import LocalApi
from kubelab.cluster.clock import VirtualClock
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import PODDISRUPTIONBUDGETS, PODS, Object

READY = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
UNREADY = {"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}]}


@pytest.fixture
async def api(clock: VirtualClock) -> LocalApi:
    return await bare_api(clock)


async def running(api: LocalApi, status: Object, name: str = "web") -> Object:
    await api.create(PODS, pod(name))
    await api.create(PODS, on("minion-1", name), subresource="binding")
    return await api.patch(PODS, "default", name, {"status": status}, subresource="status")


async def budget(api: LocalApi, name: str = "enough", policy: str | None = None, **status: Any) -> None:
    spec: Object = {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}
    spec |= {"unhealthyPodEvictionPolicy": policy} if policy else {}
    metadata = {"name": name, "namespace": "default"}
    await api.create(PODDISRUPTIONBUDGETS, {"metadata": metadata, "spec": spec})
    counted = {"expectedPods": 1, "currentHealthy": 1, "desiredHealthy": 1, "disruptionsAllowed": 0}
    seen = counted | {"observedGeneration": 1} | status
    where = (PODDISRUPTIONBUDGETS, "default", name)
    await api.patch(*where, {"status": seen}, subresource="status")


async def evict(api: LocalApi, **fields: Any) -> Object:
    body = {"metadata": {"name": "web", "namespace": "default"}} | fields
    return await api.create(PODS, body, subresource="eviction")


async def is_going(api: LocalApi) -> bool:
    return "deletionTimestamp" in (await api.get(PODS, "default", "web"))["metadata"]


async def test_a_pod_without_a_budget_goes(api: LocalApi) -> None:
    await running(api, READY)
    answer = await evict(api, deleteOptions={"gracePeriodSeconds": 5})
    assert (answer["kind"], answer["status"], answer["code"]) == ("Status", "Success", 201)
    assert (await api.get(PODS, "default", "web"))["metadata"]["deletionGracePeriodSeconds"] == 5


async def test_a_budget_that_needs_the_pod_keeps_it(api: LocalApi) -> None:
    await running(api, READY)
    await budget(api)
    with pytest.raises(ApiError) as refusal:
        await evict(api)
    assert (refusal.value.code, refusal.value.reason) == (429, "TooManyRequests")
    assert str(refusal.value) == "Cannot evict pod as it would violate the pod's disruption budget."
    message = "The disruption budget enough needs 1 healthy pods and has 1 currently"
    assert refusal.value.details["causes"] == [{"reason": "DisruptionBudget", "message": message}]
    assert not await is_going(api)


async def test_an_eviction_is_spent_of_the_budget(api: LocalApi) -> None:
    await running(api, READY)
    await budget(api, currentHealthy=2, disruptionsAllowed=1)
    await evict(api)
    status = (await api.get(PODDISRUPTIONBUDGETS, "default", "enough"))["status"]
    assert (status["disruptionsAllowed"], list(status["disruptedPods"])) == (0, ["web"])
    (condition,) = status["conditions"]
    assert (condition["type"], condition["status"]) == ("DisruptionAllowed", "False")
    assert await is_going(api)


async def test_a_dry_run_spends_nothing(api: LocalApi) -> None:
    await running(api, READY)
    await budget(api, currentHealthy=2, disruptionsAllowed=1)
    await evict(api, deleteOptions={"dryRun": ["All"]})
    status = (await api.get(PODDISRUPTIONBUDGETS, "default", "enough"))["status"]
    assert (status["disruptionsAllowed"], await is_going(api)) == (1, False)


async def test_a_budget_that_was_not_looked_at_yet_asks_for_patience(api: LocalApi) -> None:
    await running(api, READY)
    await budget(api, observedGeneration=0, disruptionsAllowed=1)
    with pytest.raises(ApiError) as refusal:
        await evict(api)
    assert refusal.value.details["retryAfterSeconds"] == 10
    (cause,) = refusal.value.details["causes"]
    assert cause["message"] == "The disruption budget enough is still being processed by the server."


@pytest.mark.parametrize(
    ("policy", "healthy", "goes"),
    [(None, 1, True), (None, 0, False), ("AlwaysAllow", 0, True), ("IfHealthyBudget", 0, False)],
)
async def test_an_unready_pod_goes_if_it_is_not_missed(
    api: LocalApi, policy: str | None, healthy: int, goes: bool
) -> None:
    await running(api, UNREADY)
    await budget(api, policy=policy, currentHealthy=healthy)
    if goes:
        await evict(api)
    else:
        with pytest.raises(ApiError, match="Cannot evict pod"):
            await evict(api)
    assert await is_going(api) is goes


@pytest.mark.parametrize("phase", ["Pending", "Succeeded", "Failed"])
async def test_a_pod_that_does_not_run_needs_no_budget(api: LocalApi, phase: str) -> None:
    await running(api, {"phase": phase})
    await budget(api)
    await evict(api)


async def test_two_budgets_are_one_too_many(api: LocalApi) -> None:
    await running(api, READY)
    await budget(api)
    await budget(api, "more")
    with pytest.raises(ApiError, match="This pod has more than one PodDisruptionBudget") as refusal:
        await evict(api)
    assert refusal.value.code == 500


async def test_a_budget_that_selects_nothing_keeps_nobody(api: LocalApi) -> None:
    await running(api, READY)
    await api.create(
        PODDISRUPTIONBUDGETS,
        {"metadata": {"name": "none", "namespace": "default"}, "spec": {"minAvailable": 1, "selector": {}}},
    )
    await evict(api)


async def test_another_pod_of_that_name_stays(api: LocalApi) -> None:
    await running(api, READY)
    with pytest.raises(ApiError, match="Precondition failed: UID in precondition: other"):
        await evict(api, deleteOptions={"preconditions": {"uid": "other"}})
    assert not await is_going(api)
