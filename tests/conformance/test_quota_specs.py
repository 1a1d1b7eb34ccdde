"""ResourceQuotas and LimitRanges: patched, their status written and set right again, deleted by label.

Source: kubernetes, test/e2e/apimachinery/resource_quota.go, test/e2e/scheduling/limit_range.go.
"""

import copy
from typing import Any

import pytest
from spec_client import STRATEGIC, Client
from spec_objects import QUOTAS, SUBJECTS

from kubelab.cluster.apiserver.negotiation import JSON, PROTOBUF

LIMITRANGES = next(each for each in SUBJECTS if each.plural == "limitranges")
SELECTOR = "e2e-rq-label=e2e-quota"


def hard(cpu: str, memory: str) -> dict[str, str]:
    return {"cpu": cpu, "memory": memory}


def with_hard(values: dict[str, str]) -> Any:
    return lambda quota: (quota.get("status") or {}).get("hard") == values


@pytest.mark.parametrize("form", [JSON, PROTOBUF], ids=["json", "protobuf"])
async def test_a_quota_is_patched_and_deleted_by_its_label(client: Client, form: str) -> None:
    """ResourceQuota should manage the lifecycle of a ResourceQuota."""
    typed, path = client.speaking(form), QUOTAS.path(name="e2e-quota")
    await typed.create(QUOTAS.path(), QUOTAS.made("e2e-quota", {"e2e-rq-label": "e2e-quota"}))
    assert (await typed.get(path))["spec"]["hard"] == hard("1", "500Mi")
    assert len(await typed.items(QUOTAS.path(namespace=""), SELECTOR)) == 1
    payload = {"metadata": {"labels": {"e2e-quota": "patched"}}, "spec": {"hard": {"memory": "750Mi"}}}
    patched = await typed.patch(path, payload, STRATEGIC)
    assert patched["metadata"]["labels"]["e2e-quota"] == "patched"
    assert patched["spec"]["hard"] == hard("1", "750Mi")
    await typed.delete(QUOTAS.path(), selector=SELECTOR)
    assert await typed.is_gone(path)


@pytest.mark.usefixtures("controllers")
async def test_a_quotas_status_is_written_and_set_right_again(client: Client) -> None:
    """ResourceQuota should apply changes to a resourcequota status."""
    path = QUOTAS.path(name="e2e-quota")
    since = (await client.get(QUOTAS.path(namespace=""), labelSelector=SELECTOR))["metadata"][
        "resourceVersion"
    ]
    made = QUOTAS.made("e2e-quota", {"e2e-rq-label": "e2e-quota"}) | {"spec": {"hard": hard("500m", "500Mi")}}
    await client.create(QUOTAS.path(), made)
    async with client.watch(QUOTAS.path(), since, labelSelector=SELECTOR) as watch:
        answer = None
        while answer is None or answer.status == 409:  # The controller writes it, too.
            current = await client.get(path)
            wanted = current | {"status": {"hard": hard("500m", "500Mi")}}
            answer = await client.ask("PUT", f"{path}/status", wanted)
        assert answer.status == 200
        assert await watch.until("MODIFIED", with_hard(hard("500m", "500Mi")))
        await client.patch(path, {"spec": {"hard": hard("1", "1Gi")}}, STRATEGIC)
        await client.patch(f"{path}/status", {"status": {"hard": hard("1", "1Gi")}}, STRATEGIC)
        assert await watch.until("MODIFIED", with_hard(hard("1", "1Gi")))
        assert with_hard(hard("1", "1Gi"))(await client.get(f"{path}/status"))
        repatched = await client.patch(f"{path}/status", {"status": {"hard": hard("2", "2Gi")}}, STRATEGIC)
        assert with_hard(hard("2", "2Gi"))(repatched)
        assert await watch.until("MODIFIED", with_hard(hard("2", "2Gi")))
    reset = await client.until(path, lambda answer: with_hard(hard("1", "1Gi"))(answer.body))
    assert reset.body["spec"]["hard"] == hard("1", "1Gi")


async def test_limit_ranges_of_two_namespaces_are_listed_and_one_is_deleted(client: Client) -> None:
    """LimitRange should list, patch and delete a LimitRange by collection."""
    labels = {"e2e-test": "e2e-limitrange", "e2e-limitrange": "created"}
    metadata = {"name": "other", "creationTimestamp": None}
    await client.create("/api/v1/namespaces", {"kind": "Namespace", "apiVersion": "v1", "metadata": metadata})
    created = await client.create(LIMITRANGES.path(), LIMITRANGES.made("e2e-limitrange", labels))
    await client.create(LIMITRANGES.path("other"), LIMITRANGES.made("e2e-limitrange", labels))
    assert len(await client.items(LIMITRANGES.path(namespace=""), "e2e-test=e2e-limitrange")) == 2
    limits = copy.deepcopy(created["spec"]["limits"])
    limits[0]["min"] = {"cpu": "9m", "memory": "49Mi", "ephemeral-storage": "49Gi"}
    payload = {
        "metadata": {
            "creationTimestamp": created["metadata"]["creationTimestamp"],
            "labels": {"e2e-limitrange": "patched"},
        },
        "spec": {"limits": limits},
    }
    patched = await client.patch(LIMITRANGES.path(name="e2e-limitrange"), payload, STRATEGIC)
    assert patched["metadata"]["labels"]["e2e-limitrange"] == "patched"
    assert patched["spec"]["limits"][0]["min"] == limits[0]["min"]
    await client.delete(LIMITRANGES.path(), selector="e2e-limitrange=patched")
    assert len(await client.items(LIMITRANGES.path(namespace=""), "e2e-test=e2e-limitrange")) == 1
