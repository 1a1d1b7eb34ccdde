"""What is refused, and in which words: upstream's, which learners will meet again on every cluster."""

import copy
from typing import Any

import pytest
from api_manifests import configmap, deployment, pod

from kubelab.cluster.apiserver.local import LocalApi
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import CONFIGMAPS, DEPLOYMENTS, PODS, Object, Resource

TOO_LONG = "x" * 64


def with_(obj: Object, path: str, value: Any) -> Object:
    """Return *obj* with *value* at *path* (`spec.containers.0.image`); None takes it away."""
    changed = copy.deepcopy(obj)
    place: Any = changed
    *parents, last = [int(part) if part.isdecimal() else part for part in path.split(".")]
    for part in parents:
        place = place[part]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return changed


REFUSALS = [
    (PODS, pod(), "spec.containers", [], "spec.containers: Required value"),
    (PODS, pod(), "spec.containers.0.name", None, "spec.containers[0].name: Required value"),
    (PODS, pod(), "spec.containers.0.image", None, "spec.containers[0].image: Required value"),
    (PODS, pod(), "metadata.name", None, "metadata.name: Required value: name or generateName is required"),
    (
        PODS,
        pod(),
        "spec.restartPolicy",
        "Sometimes",
        'Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"',
    ),
    (
        PODS,
        pod(),
        "spec.containers",
        [{"name": "a", "image": "i"}, {"name": "a", "image": "i"}],
        'spec.containers[1].name: Duplicate value: "a"',
    ),
    (
        PODS,
        pod(),
        "spec.containers.0.ports",
        [{"containerPort": 70000}],
        "ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
    ),
    (
        PODS,
        pod(),
        "spec.containers.0.volumeMounts",
        [{"name": "data", "mountPath": "/data"}],
        'spec.containers[0].volumeMounts[0].name: Not found: "data"',
    ),
    (
        PODS,
        pod(),
        "spec.containers.0.resources",
        {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}},
        'resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1',
    ),
    (
        PODS,
        pod(),
        "metadata.labels",
        {"app": TOO_LONG},
        f'metadata.labels: Invalid value: "{TOO_LONG}": must be no more than 63 bytes',
    ),
    (DEPLOYMENTS, deployment(), "spec.selector", None, "spec.selector: Required value"),
    (
        DEPLOYMENTS,
        deployment(),
        "spec.selector",
        {},
        "spec.selector: Invalid value: {}: empty selector is invalid for deployment",
    ),
    (
        DEPLOYMENTS,
        deployment(),
        "spec.template.metadata.labels",
        {"app": "other"},
        'Invalid value: {"app":"other"}: `selector` does not match template `labels`',
    ),
    (
        DEPLOYMENTS,
        deployment(),
        "spec.replicas",
        -1,
        "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
    ),
    (
        DEPLOYMENTS,
        deployment(),
        "spec.template.spec.restartPolicy",
        "Never",
        'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"',
    ),
    (CONFIGMAPS, configmap(), "data", {"..": "x"}, "data[..]: Invalid value: \"..\": must not be '..'"),
]


@pytest.mark.parametrize(("resource", "obj", "path", "value", "sentence"), REFUSALS)
async def test_an_invalid_field_is_named_with_what_is_wrong(
    api: LocalApi, resource: Resource, obj: Object, path: str, value: Any, sentence: str
) -> None:
    with pytest.raises(ApiError) as refusal:
        await api.create(resource, with_(obj, path, value))
    assert (refusal.value.code, refusal.value.reason) == (422, "Invalid")
    assert sentence in str(refusal.value)
    assert refusal.value.details["causes"]


async def test_a_bad_name_is_explained(api: LocalApi) -> None:
    with pytest.raises(ApiError) as refusal:
        await api.create(PODS, pod("Web_1") | {"spec": {}})
    message = str(refusal.value)
    assert message.startswith(
        'Pod "Web_1" is invalid: [metadata.name: Invalid value: "Web_1": a lowercase RFC 1123'
    )
    assert message.endswith("spec.containers: Required value]")


async def test_only_few_fields_of_a_pod_may_change(api: LocalApi) -> None:
    await api.create(PODS, pod())
    await api.patch(PODS, "default", "web", {"spec": {"activeDeadlineSeconds": 10}})
    with pytest.raises(ApiError, match="spec: Forbidden: pod updates may not change fields other than"):
        await api.patch(PODS, "default", "web", {"spec": {"hostname": "other"}})


async def test_an_immutable_configmap_stays(api: LocalApi) -> None:
    await api.create(CONFIGMAPS, configmap(a="1") | {"immutable": True})
    with pytest.raises(ApiError, match="data: Forbidden: field is immutable when `immutable` is set"):
        await api.patch(CONFIGMAPS, "default", "settings", {"data": {"a": "2"}})


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("shell", "Always"),
        ("r:5000/shell", "Always"),
        ("shell:1", "IfNotPresent"),
        ("shell@sha256:0", "IfNotPresent"),
    ],
)
async def test_only_a_latest_image_is_always_pulled(api: LocalApi, image: str, policy: str) -> None:
    created = await api.create(PODS, with_(pod(), "spec.containers.0.image", image))
    assert created["spec"]["containers"][0]["imagePullPolicy"] == policy


@pytest.mark.parametrize(
    ("resources", "qos"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}, "Burstable"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m"}}, "Guaranteed"),
    ],
)
async def test_requests_and_limits_decide_the_quality_of_service(
    api: LocalApi, resources: Object, qos: str
) -> None:
    created = await api.create(PODS, with_(pod(), "spec.containers.0.resources", resources))
    assert created["status"]["qosClass"] == qos
