"""Pods as the API keeps them, and what they read: generations, ephemeral containers, immutable data.

Source: kubernetes, test/e2e/node/pods.go, test/e2e/common/node/{ephemeral_containers,configmap,secrets,
podtemplates}.go, test/e2e/common/storage/{configmap,secrets}_volume.go.
Left out: what kubelets report (see tests/node), and changed resources (pods/resize).
"""

import copy
from typing import Any

import pytest
from spec_client import STRATEGIC, Client
from spec_objects import POD_SPEC, PODS, SUBJECTS

from kubelab.cluster.apiserver.negotiation import JSON, PROTOBUF
from kubelab.cluster.objects import Object

PATH = PODS.path(name="pod-generation")
TOLERATION = {"key": "foo-1", "operator": "Equal", "value": "bar", "effect": "NoSchedule"}


def made(**metadata: Any) -> Object:
    pod = copy.deepcopy(PODS.made("pod-generation", {"time": "1"}))
    pod["metadata"] |= metadata
    pod["spec"] |= {"initContainers": [{"name": "init-container", "image": "kubelab/shell", "resources": {}}]}
    return pod


def tolerating(pod: Object) -> None:
    pod["spec"]["tolerations"] = [TOLERATION]


def limited(pod: Object) -> None:
    pod["spec"]["activeDeadlineSeconds"] = 5000


def with_another_image(pod: Object) -> None:
    pod["spec"]["containers"][0]["image"] = "kubelab/web"


def with_another_init_image(pod: Object) -> None:
    pod["spec"]["initContainers"][0]["image"] = "kubelab/web"


def annotated(pod: Object) -> None:
    pod["metadata"]["annotations"] = {"key": "value"}


def of_generation_one(pod: Object) -> None:
    pod["metadata"]["generation"] = 1


@pytest.mark.parametrize("form", [JSON, PROTOBUF], ids=["json", "protobuf"])
async def test_a_generation_counts_what_is_wanted(client: Client, form: str) -> None:
    """Pods Extended (pod generation) pod generation should start at 1 and increment per update."""
    typed = client.speaking(form)
    assert (await typed.create(PODS.path(), made()))["metadata"]["generation"] == 1
    generations = []
    for change in (
        lambda _: None,
        tolerating,
        limited,
        with_another_image,
        with_another_init_image,
        annotated,
        of_generation_one,
    ):
        pod = copy.deepcopy(await typed.get(PATH))
        change(pod)
        await typed.update(PATH, pod)
        generations.append((await typed.get(PATH))["metadata"]["generation"])
    assert generations == [1, 2, 3, 4, 5, 5, 5]


async def test_a_graceful_end_is_wanted_too(client: Client) -> None:
    """Pods Extended (pod generation) custom-set generation on new pods and graceful delete."""
    await client.create(PODS.path(), made(generation=100))
    target = {"kind": "Node", "name": "somewhere"}
    binding = {
        "kind": "Binding",
        "apiVersion": "v1",
        "metadata": {"name": "pod-generation"},
        "target": target,
    }
    await client.create(f"{PATH}/binding", binding)
    running = {"status": {"phase": "Running"}}
    assert (await client.patch(f"{PATH}/status", running))["metadata"]["generation"] == 1
    answer = await client.ask("DELETE", PATH, gracePeriodSeconds="60")
    assert answer.status == 200
    assert (await client.get(PATH))["metadata"]["generation"] == 2


async def test_five_hundred_updates_make_as_many_generations(client: Client) -> None:
    """Pods Extended (pod generation) issue 500 podspec updates and verify generation and observedGeneration
    eventually converge."""
    pod = copy.deepcopy(PODS.made("pod-generation", {}))
    pod["spec"]["activeDeadlineSeconds"] = 5000
    pod = await client.create(PODS.path(), pod)
    for _ in range(499):
        pod["spec"]["activeDeadlineSeconds"] -= 1
        pod = await client.update(PATH, pod)
    assert pod["metadata"]["generation"] == 500


async def test_ephemeral_containers_are_added_to_a_pod(client: Client) -> None:
    """Ephemeral Containers should update the ephemeral containers in an existing pod."""
    await client.create(PODS.path(), made())
    part = f"{PATH}/ephemeralcontainers"
    first = {"name": "debugger", "image": "kubelab/shell", "command": ["/bin/sh"], "stdin": True, "tty": True}
    patched = await client.patch(part, {"spec": {"ephemeralContainers": [first]}}, STRATEGIC)
    assert [each["name"] for each in patched["spec"]["ephemeralContainers"]] == ["debugger"]
    current = copy.deepcopy(await client.get(part))
    current["spec"]["ephemeralContainers"].append(first | {"name": "debugger2"})
    await client.update(part, current)
    found = (await client.get(PATH))["spec"]["ephemeralContainers"]
    assert [each["name"] for each in found] == ["debugger", "debugger2"]


@pytest.mark.parametrize("form", [JSON, PROTOBUF], ids=["json", "protobuf"])
@pytest.mark.parametrize("plural", ["configmaps", "secrets"])
async def test_what_is_immutable_stays_so(client: Client, plural: str, form: str) -> None:
    """ConfigMap should be immutable if `immutable` field is set; Secrets should be immutable if `immutable`
    field is set."""
    typed, subject = client.speaking(form), next(each for each in SUBJECTS if each.plural == plural)
    path, other = subject.path(name="immutable"), {"data-1": "dmFsdWUtMg=="}

    async def with_(**changes: Any) -> tuple[int, str]:
        answer = await typed.ask("PUT", path, await typed.get(path) | changes)
        return answer.status, answer.body.get("reason", "")

    current = await typed.create(subject.path(), subject.made("immutable", {}))
    assert await with_(data=current["data"] | other) == (200, "")
    data = (await typed.get(path))["data"]
    assert await with_(immutable=True) == (200, "")
    for changes in ({"data": data | {"data-3": "dmFsdWU="}}, {"immutable": False}, {"immutable": None}):
        assert await with_(**changes) == (422, "Invalid")
    metadata = (await typed.get(path))["metadata"] | {"labels": {"label1": "value1"}}
    assert await with_(metadata=metadata) == (200, "")
    await typed.delete(path)
    assert await typed.is_gone(path)


@pytest.mark.parametrize("plural", ["configmaps", "secrets"])
async def test_a_key_may_not_be_empty(client: Client, plural: str) -> None:
    """ConfigMap should fail to create ConfigMap with empty key; Secrets should fail to create secret due to
    empty secret key."""
    subject = next(each for each in SUBJECTS if each.plural == plural)
    answer = await client.ask("POST", subject.path(), subject.made("empty", {}) | {"data": {"": "dmFsdWU="}})
    assert (answer.status, answer.body["reason"]) == (422, "Invalid")


async def test_a_pod_template_is_replaced(client: Client) -> None:
    """PodTemplates should replace a pod template."""
    subject = next(each for each in SUBJECTS if each.plural == "podtemplates")
    created = await client.create(subject.path(), subject.made("podtemplate", {"podtemplate-label": "a"}))
    template = {
        "metadata": {"creationTimestamp": None},
        "spec": POD_SPEC | {"terminationGracePeriodSeconds": 0},
    }
    metadata = created["metadata"] | {"annotations": {"updated": "true"}}
    updated = await client.update(
        subject.path(name="podtemplate"), created | {"metadata": metadata, "template": template}
    )
    assert updated["metadata"]["annotations"] == {"updated": "true"}
    assert updated["template"]["spec"]["terminationGracePeriodSeconds"] == 0


@pytest.mark.parametrize("prefix", ["1-", "$_-", "a b.", "!#%&", "_A0"])
async def test_a_variable_may_be_named_with_any_printable_sign_but_one(client: Client, prefix: str) -> None:
    """ConfigMap should be consumable as environment variable names with various prefixes; Secrets should be
    consumable as environment variable names variable names with various prefixes."""
    pod = copy.deepcopy(PODS.made("env", {}))
    sources = [{"prefix": prefix, kind: {"name": "source"}} for kind in ("configMapRef", "secretRef")]
    variables = [{"name": f"{prefix}data_1", "value": "a"}]
    pod["spec"]["containers"][0] |= {"envFrom": sources, "env": variables}
    created = await client.create(PODS.path(), pod)
    assert [each["prefix"] for each in created["spec"]["containers"][0]["envFrom"]] == [prefix, prefix]


async def test_a_variables_name_has_no_equals_sign(client: Client) -> None:
    pod = copy.deepcopy(PODS.made("env", {}))
    pod["spec"]["containers"][0]["envFrom"] = [{"prefix": "a=", "configMapRef": {"name": "source"}}]
    assert (await client.ask("POST", PODS.path(), pod)).status == 422


@pytest.mark.parametrize("form", [JSON, PROTOBUF], ids=["json", "protobuf"])
async def test_a_pod_has_the_overhead_of_its_runtime_class(client: Client, form: str) -> None:
    """RuntimeClass should schedule a Pod requesting a RuntimeClass and initialize its Overhead; should reject
    a Pod requesting a non-existent RuntimeClass."""
    typed, subject = client.speaking(form), next(each for each in SUBJECTS if each.plural == "runtimeclasses")
    overhead = {"cpu": "10m", "memory": "1Mi"}
    await typed.create(subject.path(), subject.made("slow", {}) | {"overhead": {"podFixed": overhead}})
    pod = PODS.made("web", {})
    created = await typed.create(PODS.path(), pod | {"spec": POD_SPEC | {"runtimeClassName": "slow"}})
    assert created["spec"]["overhead"] == overhead
    answer = await typed.ask("POST", PODS.path(), pod | {"spec": POD_SPEC | {"runtimeClassName": "nothing"}})
    assert (answer.status, answer.body["reason"]) == (403, "Forbidden")


@pytest.mark.parametrize("form", [JSON, PROTOBUF], ids=["json", "protobuf"])
async def test_a_pod_may_name_an_inline_volume_of_a_driver(client: Client, form: str) -> None:
    """CSIInlineVolumes should support CSIVolumeSource in Pod API."""
    typed, pod = client.speaking(form), copy.deepcopy(PODS.made("pod-csi-inline-volumes", {"e2e": "inline"}))
    volume = {"name": "csi-vol", "csi": {"driver": "e2e.example.com", "volumeAttributes": {"a": "b"}}}
    pod["spec"] |= {"volumes": [volume]}
    pod["spec"]["containers"][0]["volumeMounts"] = [{"name": "csi-vol", "mountPath": "/mnt"}]
    await typed.create(PODS.path(), pod)
    path = PODS.path(name="pod-csi-inline-volumes")
    assert [each["csi"]["driver"] for each in (await typed.get(path))["spec"]["volumes"]] == [
        "e2e.example.com"
    ]
    patched = await typed.patch(path, {"metadata": {"labels": {"e2e": "patched"}}}, STRATEGIC)
    assert patched["metadata"]["labels"] == {"e2e": "patched"}
    await typed.delete(path)
    assert await typed.is_gone(path)


@pytest.mark.parametrize("form", [JSON, PROTOBUF], ids=["json", "protobuf"])
async def test_the_value_of_a_priority_class_stays(client: Client, form: str) -> None:
    """SchedulerPreemption PriorityClass endpoints verify PriorityClass endpoints can be operated with
    different HTTP methods."""
    typed, subject = (
        client.speaking(form),
        next(each for each in SUBJECTS if each.plural == "priorityclasses"),
    )
    path = subject.path(name="p1")
    await typed.create(subject.path(), subject.made("p1", {}))
    patched = await client.patch(path, {"description": "patched"})
    assert (patched["value"], patched["description"]) == (1, "patched")
    assert (await client.ask("PATCH", path, {"value": 99}, "application/merge-patch+json")).status == 422
    current = await typed.get(path)
    assert (await typed.update(path, current | {"description": "updated"}))["description"] == "updated"
    assert (await typed.ask("PUT", path, await typed.get(path) | {"value": 99})).status == 422
