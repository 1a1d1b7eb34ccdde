"""The parts of an object that have a path of their own: status and scale, read, patched and replaced.

Source: kubernetes, test/e2e/apps/{cronjob,daemon_set,deployment,disruption,job,rc,replica_set,
statefulset}.go, network/{ingress,service}.go, common/node/pods.go, auth/certificates.go.
"""

import copy
from typing import Any

import pytest
import spec_objects
from spec_client import MERGE, STRATEGIC, Client
from spec_objects import Subject

from kubelab.cluster.apiserver.negotiation import JSON, PROTOBUF
from kubelab.cluster.objects import Object

LABELS = {"e2e": "testing"}
FIRST, SECOND = "2026-01-01T00:00:00Z", "2026-01-01T00:00:07Z"
UPDATED = {"type": "StatusUpdate", "status": "True", "reason": "E2E", "message": "Set from e2e test"}
PATCHED = {"type": "StatusPatched", "status": "True"}
HAVING_CONDITIONS = {
    "Daemon set should verify changes to a daemon set status": spec_objects.DAEMONSETS,
    "Deployment should validate Deployment Status endpoints": spec_objects.DEPLOYMENTS,
    "ReplicaSet should validate Replicaset Status endpoints": spec_objects.REPLICASETS,
    "StatefulSet should validate Statefulset Status endpoints": spec_objects.STATEFULSETS,
    "ReplicationController should test the lifecycle of a ReplicationController": (
        spec_objects.REPLICATIONCONTROLLERS
    ),
}
SCALED = {
    "Deployment should have a working scale subresource": spec_objects.DEPLOYMENTS,
    "ReplicaSet Replicaset should have a working scale subresource": spec_objects.REPLICASETS,
    "StatefulSet should have a working scale subresource": spec_objects.STATEFULSETS,
    "ReplicationController should get and update a ReplicationController scale": (
        spec_objects.REPLICATIONCONTROLLERS
    ),
}


def has_condition(type_: str) -> Any:
    return lambda obj: type_ in {each["type"] for each in obj["status"].get("conditions") or ()}


@pytest.mark.parametrize("form", [JSON, PROTOBUF], ids=["json", "protobuf"])
@pytest.mark.parametrize(("spec", "subject"), HAVING_CONDITIONS.items(), ids=list(HAVING_CONDITIONS))
async def test_conditions_are_written_through_the_status(
    client: Client, spec: str, subject: Subject, form: str
) -> None:
    typed, collection, path = client.speaking(form), subject.path(), subject.path(name="test")
    since = (await client.get(subject.path(namespace=""), labelSelector="e2e=testing"))["metadata"]
    await typed.create(collection, subject.made("test", {}))
    await typed.patch(path, {"metadata": {"labels": LABELS}}, STRATEGIC)
    uid = (await client.get(f"{path}/status"))["metadata"]["uid"]
    obj = await typed.get(path)
    assert obj["metadata"]["uid"] == uid
    status = obj["status"] | {"conditions": [*(obj["status"].get("conditions") or ()), UPDATED]}
    await typed.update(f"{path}/status", obj | {"status": status})
    async with client.watch(collection, since["resourceVersion"], labelSelector="e2e=testing") as watch:
        seen = await watch.until("MODIFIED", has_condition("StatusUpdate"))
        assert UPDATED.items() <= seen["status"]["conditions"][-1].items()
        patched = await typed.patch(f"{path}/status", {"status": {"conditions": [PATCHED]}}, MERGE)
        assert has_condition("StatusPatched")(patched)
        seen = await watch.until("MODIFIED", has_condition("StatusPatched"))
        assert not has_condition("StatusUpdate")(seen)


@pytest.mark.parametrize("form", [JSON, PROTOBUF], ids=["json", "protobuf"])
async def test_a_cronjobs_status_takes_times_and_annotations(client: Client, form: str) -> None:
    """CronJob should support CronJob API operations."""
    typed, subject = client.speaking(form), spec_objects.CRONJOB
    created = await typed.create(subject.path(), subject.made("test-api", LABELS))
    path = subject.path(name="test-api", subresource="status")
    patch = {"metadata": {"annotations": {"patchedstatus": "true"}}, "status": {"lastScheduleTime": FIRST}}
    patched = await typed.patch(path, patch)
    assert patched["status"]["lastScheduleTime"] == FIRST
    assert patched["metadata"]["annotations"] == {"patchedstatus": "true"}
    current = await typed.get(subject.path(name="test-api"))
    updated = await typed.update(path, current | {"status": {"lastScheduleTime": SECOND}})
    assert updated["status"]["lastScheduleTime"] == SECOND
    assert (await client.get(path))["metadata"]["uid"] == created["metadata"]["uid"]


@pytest.mark.parametrize("form", [JSON, PROTOBUF], ids=["json", "protobuf"])
async def test_a_jobs_status_takes_a_condition_of_ones_own(client: Client, form: str) -> None:
    """Job should apply changes to a job status."""
    typed, subject = client.speaking(form), spec_objects.JOBS
    created = await typed.create(subject.path(), subject.made("test", LABELS))
    path = subject.path(name="test", subresource="status")

    def condition(at: str) -> Object:
        return {"type": "CustomConditionType", "status": "True", "lastTransitionTime": at}

    patch = {
        "metadata": {"annotations": {"patchedstatus": "true"}},
        "status": {"conditions": [condition(FIRST)]},
    }
    patched = await typed.patch(path, patch)
    assert patched["metadata"]["annotations"] == {"patchedstatus": "true"}
    assert patched["status"]["conditions"][0]["lastTransitionTime"] == FIRST
    current = copy.deepcopy(await typed.get(subject.path(name="test")))
    current["status"]["conditions"][0]["lastTransitionTime"] = SECOND
    updated = await typed.update(path, current)
    assert updated["status"]["conditions"][0]["lastTransitionTime"] == SECOND
    assert (await client.get(path))["metadata"]["uid"] == created["metadata"]["uid"]


@pytest.mark.parametrize("form", [JSON, PROTOBUF], ids=["json", "protobuf"])
async def test_a_budgets_status_tells_of_disrupted_pods(client: Client, form: str) -> None:
    """DisruptionController should create a PodDisruptionBudget; should update/patch PodDisruptionBudget
    status."""
    typed, subject = client.speaking(form), spec_objects.BUDGETS
    path = subject.path(name="foo")
    created = await typed.create(subject.path(), subject.made("foo", LABELS))
    updated = await typed.update(path, created | {"spec": created["spec"] | {"minAvailable": "2%"}})
    assert updated["spec"]["minAvailable"] == "2%"
    patched = await client.patch(path, {"spec": {"minAvailable": "3%"}})
    assert patched["spec"]["minAvailable"] == "3%"
    disrupted = patched["status"] | {"disruptedPods": {"pod-0": FIRST}}
    await typed.update(f"{path}/status", patched | {"status": disrupted})
    assert (await client.get(f"{path}/status"))["status"]["disruptedPods"] == {"pod-0": FIRST}
    calm = await client.patch(f"{path}/status", {"status": {"disruptedPods": None}})
    assert not calm["status"].get("disruptedPods")


async def test_a_services_status_takes_addresses_and_conditions(client: Client) -> None:
    """Services should complete a service status lifecycle."""
    subject, path = spec_objects.SERVICES, spec_objects.SERVICES.path(name="test-service")
    made = subject.made("test-service", {"test-service-static": "true"})
    made["spec"] = made["spec"] | {
        "type": "LoadBalancer",
        "loadBalancerClass": "example.com/internal-vip",
        "ports": [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": 80}],
    }
    created = await client.create(subject.path(), made)
    since = created["metadata"]["resourceVersion"]
    assert (await client.get(f"{path}/status"))["metadata"]["uid"] == created["metadata"]["uid"]
    status = {"loadBalancer": {"ingress": [{"ip": "203.0.113.1"}]}}
    patch = {"metadata": {"annotations": {"patchedstatus": "true"}}, "status": status}
    async with client.watch(subject.path(), since, labelSelector="test-service-static=true") as watch:
        patched = await client.patch(f"{path}/status", patch)
        assert patched["metadata"]["annotations"] == {"patchedstatus": "true"}
        assert patched["status"]["loadBalancer"]["ingress"][0]["ip"] == "203.0.113.1"
        condition = UPDATED | {"lastTransitionTime": FIRST}
        await client.update(
            f"{path}/status", patched | {"status": patched["status"] | {"conditions": [condition]}}
        )
        seen = await watch.until("MODIFIED", has_condition("StatusUpdate"))
        assert seen["status"]["loadBalancer"]["ingress"][0]["ip"] == "203.0.113.1"
        labels = {"metadata": {"labels": {"test-service": "patched"}}}
        assert await client.patch(path, labels, STRATEGIC)
        assert await watch.until("MODIFIED", lambda obj: "test-service" in obj["metadata"]["labels"])
        await client.delete(path)
        assert await watch.until("DELETED")


async def test_an_ingresss_status_takes_addresses(client: Client) -> None:
    """Ingress API should support creating Ingress API operations."""
    subject, path = spec_objects.INGRESSES, spec_objects.INGRESSES.path(name="e2e-example-ing")
    created = await client.create(subject.path(), subject.made("e2e-example-ing", LABELS))
    status = {"loadBalancer": {"ingress": [{"ip": "169.1.1.1"}]}}
    patch = {"metadata": {"annotations": {"patchedstatus": "true"}}, "status": status}
    patched = await client.patch(f"{path}/status", patch)
    assert (patched["status"], patched["metadata"]["annotations"]) == (status, {"patchedstatus": "true"})
    status = {"loadBalancer": {"ingress": [{"ip": "169.1.1.2"}]}}
    assert (await client.update(f"{path}/status", patched | {"status": status}))["status"] == status
    assert (await client.get(f"{path}/status"))["metadata"]["uid"] == created["metadata"]["uid"]


async def test_a_pods_status_is_patched(client: Client) -> None:
    """Pods should patch a pod status; should run through the lifecycle of Pods and PodStatus."""
    subject, path = spec_objects.PODS, spec_objects.PODS.path(name="pod-e2e")
    await client.create(subject.path(), subject.made("pod-e2e", LABELS))
    patch = {
        "metadata": {"annotations": {"patchedstatus": "true"}},
        "status": {"message": "Patched by e2e test", "reason": "E2E"},
    }
    patched = await client.patch(f"{path}/status", patch)
    assert (patched["status"]["message"], patched["status"]["reason"]) == ("Patched by e2e test", "E2E")
    assert patched["metadata"]["annotations"] == {"patchedstatus": "true"}
    conditions = [{"type": type_, "status": "False"} for type_ in ("Ready", "ContainersReady")]
    updated = await client.update(f"{path}/status", patched | {"status": {"conditions": conditions}})
    assert [each["status"] for each in updated["status"]["conditions"]] == ["False", "False"]


@pytest.mark.parametrize("form", [JSON, PROTOBUF], ids=["json", "protobuf"])
async def test_a_request_is_approved_and_given_a_status(client: Client, form: str) -> None:
    """Certificates API should support CSR API operations."""
    typed, subject = client.speaking(form), spec_objects.REQUESTS
    await typed.create(subject.path(), subject.made("e2e-example-csr", LABELS))
    path = subject.path(name="e2e-example-csr")
    for part, patched_type, updated_type in (
        ("approval", "ApprovalPatch", "Approved"),
        ("status", "StatusPatch", "StatusUpdate"),
    ):
        current = await client.get(f"{path}/{part}")
        condition = {"type": patched_type, "status": "True", "reason": "e2e"}
        conditions = [*(current["status"].get("conditions") or ()), condition]
        patch = {
            "metadata": {"annotations": {f"patched{part}": "true"}},
            "status": {"conditions": conditions},
        }
        patched = await client.patch(f"{path}/{part}", patch)
        assert has_condition(patched_type)(patched)
        assert patched["metadata"]["annotations"][f"patched{part}"] == "true"
        current = await typed.get(path)
        condition = {
            "type": updated_type,
            "status": "True",
            "reason": "E2E",
            "message": "Set from an e2e test",
        }
        conditions = [*(current["status"].get("conditions") or ()), condition]
        status = current["status"] | {"conditions": conditions}
        assert has_condition(updated_type)(await typed.update(f"{path}/{part}", current | {"status": status}))


@pytest.mark.parametrize("form", [JSON, PROTOBUF], ids=["json", "protobuf"])
@pytest.mark.parametrize(("spec", "subject"), SCALED.items(), ids=list(SCALED))
async def test_a_scale_is_read_replaced_and_patched(
    client: Client, spec: str, subject: Subject, form: str
) -> None:
    typed, path = client.speaking(form), subject.path(name="test")
    await typed.create(subject.path(), subject.made("test", LABELS))
    scale = await typed.get(f"{path}/scale")
    assert (scale["apiVersion"], scale["kind"], scale["spec"]) == ("autoscaling/v1", "Scale", {"replicas": 1})
    unconditional = {key: value for key, value in scale["metadata"].items() if key != "resourceVersion"}
    wanted = scale | {"metadata": unconditional, "spec": {"replicas": 2}}
    assert (await typed.update(f"{path}/scale", wanted))["spec"]["replicas"] == 2
    assert (await typed.get(path))["spec"]["replicas"] == 2
    payload = {"metadata": {"creationTimestamp": None}, "spec": {"replicas": 4}, "status": {"replicas": 0}}
    await typed.patch(f"{path}/scale", payload, STRATEGIC)
    assert (await typed.get(path))["spec"]["replicas"] == 4
