"""The other kinds of the core group: what they must be, what is filled in, and how they are printed.

Source: kubernetes, pkg/apis/core/validation/validation_test.go, pkg/apis/discovery/validation,
pkg/printers/internalversion/printers_test.go.
"""

import base64
from datetime import UTC, datetime
from typing import Any

import pytest
from api_manifests import pod
from bare_cluster import bare_api, refusal_of

from kubelab.cluster.apiserver.kinds import BY_RESOURCE
from kubelab.cluster.apiserver.local import LocalApi
from kubelab.cluster.clock import VirtualClock
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import (
    ENDPOINTS,
    ENDPOINTSLICES,
    EVENTS,
    EVENTS_V1,
    LIMITRANGES,
    NAMESPACES,
    NODES,
    PODTEMPLATES,
    REPLICATIONCONTROLLERS,
    RESOURCEQUOTAS,
    SECRETS,
    SERVICEACCOUNTS,
    Object,
    Resource,
)

NOW = datetime(2026, 1, 1, 1, 0, tzinfo=UTC)
METADATA = {"name": "a", "namespace": "default"}


@pytest.fixture
async def api(clock: VirtualClock) -> LocalApi:
    return await bare_api(clock)


def named(**fields: Any) -> Object:
    return {"metadata": dict(METADATA)} | fields


def secret(type_: str, **data: str) -> Object:
    return named(
        type=type_, data={key: base64.b64encode(text.encode()).decode() for key, text in data.items()}
    )


def quota(**spec: Any) -> Object:
    return named(spec=spec)


def limits(type_: str, **limit: Any) -> Object:
    return named(spec={"limits": [{"type": type_} | limit]})


def controller(**spec: Any) -> Object:
    template = {"metadata": {"labels": {"app": "a"}}, "spec": pod()["spec"]}
    return named(spec={"template": template} | spec)


def endpoints(address: str, **port: Any) -> Object:
    return named(subsets=[{"addresses": [{"ip": address}], "ports": [{"port": 80} | port]}])


def slice_(address: str, type_: str = "IPv4", **endpoint: Any) -> Object:
    return named(addressType=type_, endpoints=[{"addresses": [address]} | endpoint])


def node(**spec: Any) -> Object:
    return {"metadata": {"name": "n"}, "spec": spec}


def event(**fields: Any) -> Object:
    return named(involvedObject={"kind": "Pod", "namespace": "default", "name": "web"}) | fields


NEWER = {
    "eventTime": "2026-01-01T00:00:00.000000Z",
    "reportingComponent": "lab",
    "reportingInstance": "lab-1",
}

REFUSALS = [
    (SECRETS, secret("kubernetes.io/tls", **{"tls.crt": "x"}), "data[tls.key]: Required value"),
    (
        SECRETS,
        secret("kubernetes.io/basic-auth"),
        "[data[username]: Required value, data[password]: Required value]",
    ),
    (SECRETS, secret("kubernetes.io/ssh-auth"), "data[ssh-privatekey]: Required value"),
    (
        SECRETS,
        secret("kubernetes.io/dockerconfigjson", **{".dockerconfigjson": "no"}),
        'data[.dockerconfigjson]: Invalid value: "<secret contents redacted>"',
    ),
    (
        SECRETS,
        secret("kubernetes.io/service-account-token"),
        "metadata.annotations[kubernetes.io/service-account.name]: Required value",
    ),
    (SECRETS, secret("Opaque", **{"a b": "x"}), 'data[a b]: Invalid value: "a b": a valid config key must'),
    (RESOURCEQUOTAS, quota(hard={"disk": "1"}), "must be a standard resource type or fully qualified"),
    (
        RESOURCEQUOTAS,
        quota(hard={"storage": "1"}),
        'spec.hard[storage]: Invalid value: "storage": must be a standard resource for quota',
    ),
    (
        RESOURCEQUOTAS,
        quota(hard={"pods": "500m"}),
        '[pods]: Invalid value: "500m": must be an integer',
    ),
    (RESOURCEQUOTAS, quota(hard={"pods": "-1"}), "must be greater than or equal to 0"),
    (RESOURCEQUOTAS, quota(scopes=["Rainy"]), 'spec.scopes: Invalid value: ["Rainy"]: unsupported scope'),
    (
        RESOURCEQUOTAS,
        quota(scopes=["BestEffort", "NotBestEffort"]),
        'Invalid value: ["BestEffort","NotBestEffort"]: conflicting scopes',
    ),
    (
        RESOURCEQUOTAS,
        quota(scopes=["BestEffort"], hard={"cpu": "1"}),
        "unsupported scope applied to resource",
    ),
    (
        RESOURCEQUOTAS,
        quota(scopeSelector={"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In"}]}),
        "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector",
    ),
    (LIMITRANGES, limits("Thing"), "must be a standard limit type or fully qualified"),
    (
        LIMITRANGES,
        limits("Container", min={"cpu": "2"}, max={"cpu": "1"}),
        'spec.limits[0].min[cpu]: Invalid value: "2": min value 2 is greater than max value 1',
    ),
    (
        LIMITRANGES,
        limits("Container", default={"cpu": "2"}, max={"cpu": "1"}),
        "default value 2 is greater than max value 1",
    ),
    (
        LIMITRANGES,
        limits("Container", defaultRequest={"cpu": "2"}, default={"cpu": "1"}),
        "default request value 2 is greater than default limit value 1",
    ),
    (
        LIMITRANGES,
        limits("Pod", default={"cpu": "1"}),
        "spec.limits[0].default: Forbidden: may not be specified when `type` is 'Pod'",
    ),
    (
        LIMITRANGES,
        limits("Pod", maxLimitRequestRatio={"cpu": "800m"}),
        'maxLimitRequestRatio[cpu]: Invalid value: "800m": ratio 800m is less than 1',
    ),
    (
        LIMITRANGES,
        limits("Pod", maxLimitRequestRatio={"cpu": "10"}, min={"cpu": "1"}, max={"cpu": "2"}),
        "ratio 10 is greater than max/min = 2.000000",
    ),
    (
        LIMITRANGES,
        limits("PersistentVolumeClaim"),
        "either minimum or maximum storage value is required, but neither was provided",
    ),
    (REPLICATIONCONTROLLERS, controller(template=None), "spec.template: Required value"),
    (REPLICATIONCONTROLLERS, controller(replicas=-1), "spec.replicas: Invalid value: -1: must be greater"),
    (
        REPLICATIONCONTROLLERS,
        controller(selector={"app": "b"}),
        "`selector` does not match template `labels`",
    ),
    (PODTEMPLATES, named(template={"spec": {}}), "template.spec.containers: Required value"),
    (ENDPOINTS, named(subsets=[{}]), "subsets[0]: Required value: must specify `addresses` or `notReadyAdd"),
    (ENDPOINTS, endpoints("10.1"), 'subsets[0].addresses[0].ip: Invalid value: "10.1": must be a valid IP'),
    (ENDPOINTS, endpoints("169.254.1.1"), "may not be in the link-local range (169.254.0.0/16, fe80::/10)"),
    (ENDPOINTS, endpoints("10.1.0.2", port=0), "subsets[0].ports[0].port: Invalid value: 0: must be between"),
    (ENDPOINTSLICES, named(endpoints=[]), "addressType: Required value"),
    (ENDPOINTSLICES, slice_("10.1.0.2", "IP"), 'Unsupported value: "IP": supported values: "FQDN", "IPv4"'),
    (ENDPOINTSLICES, slice_("fd00::1"), 'addresses[0]: Invalid value: "fd00::1": must be an IPv4 address'),
    (
        ENDPOINTSLICES,
        slice_("10.1.0.2", addresses=[]),
        "endpoints[0].addresses: Required value: must contain at least 1 address",
    ),
    (
        ENDPOINTSLICES,
        named(addressType="IPv4", endpoints=1001 * [{"addresses": ["10.1.0.2"]}]),
        "endpoints: Too many: 1001: must have at most 1000 items",
    ),
    (
        NODES,
        node(taints=2 * [{"key": "a", "effect": "NoSchedule"}]),
        'Duplicate value: {"key":"a","effect":"NoSchedule"}: taints must be unique by key and effect pair',
    ),
    (NODES, node(taints=[{"key": "a"}]), "metadata.taints[0].effect: Required value"),
    (NODES, node(podCIDRs=["10.1.0.1/24"]), "must not have bits set beyond the prefix length"),
    (
        NAMESPACES,
        {"metadata": {"name": "n"}, "spec": {"finalizers": ["mine"]}},
        "name is neither a standard finalizer name nor is it fully qualified",
    ),
    (EVENTS, event(involvedObject={"namespace": "other"}), "does not match event.namespace"),
    (EVENTS, event(**NEWER, reason="x"), "action: Required value"),
    (EVENTS, event(**NEWER, action="a", reason="x" * 129), 'reason: Invalid value: "": can have at most 128'),
]


@pytest.mark.parametrize(("resource", "obj", "sentence"), REFUSALS)
def test_what_an_object_may_not_be_is_said(resource: Resource, obj: Object, sentence: str) -> None:
    assert sentence in refusal_of(resource, obj)


# Secrets


async def test_text_becomes_data(api: LocalApi) -> None:
    given = secret("", a="1", b="1") | {"stringData": {"b": "2"}}
    created = await api.create(SECRETS, given)
    assert created["type"] == "Opaque"
    assert created["data"] == {"a": "MQ==", "b": "Mg=="}
    assert "stringData" not in created
    changed = await api.patch(SECRETS, "default", "a", {"stringData": {"c": "3"}})
    assert changed["data"]["c"] == "Mw=="


async def test_a_secrets_type_and_an_immutable_one_stay(api: LocalApi) -> None:
    await api.create(SECRETS, secret("Opaque", a="1") | {"immutable": True})
    for patch, sentence in (
        ({"type": "kubernetes.io/tls"}, 'type: Invalid value: "kubernetes.io/tls": field is immutable'),
        ({"data": {"a": "Mg=="}}, "data: Forbidden: field is immutable when `immutable` is set"),
        ({"immutable": False}, "immutable: Forbidden: field is immutable when `immutable` is set"),
    ):
        with pytest.raises(ApiError) as refusal:
            await api.patch(SECRETS, "default", "a", patch)
        assert sentence in str(refusal.value)


# Replication controllers, limits, quotas, slices


async def test_a_replication_controller_selects_its_template(api: LocalApi) -> None:
    created = await api.create(REPLICATIONCONTROLLERS, controller())
    assert (created["spec"]["selector"], created["metadata"]["labels"]) == ({"app": "a"}, {"app": "a"})
    assert (created["spec"]["replicas"], created["status"]) == (1, {"replicas": 0})
    too_many = {"status": {"replicas": 1, "readyReplicas": 2}}
    with pytest.raises(ApiError, match=r"readyReplicas: Invalid value: 2: cannot be greater than status"):
        await api.patch(REPLICATIONCONTROLLERS, "default", "a", too_many, subresource="status")


async def test_limits_follow_from_each_other(api: LocalApi) -> None:
    given = limits("Container", max={"cpu": "2", "memory": "1Gi"}, min={"cpu": "100m"}, default={"cpu": "1"})
    (limit,) = (await api.create(LIMITRANGES, given))["spec"]["limits"]
    assert limit["default"] == {"cpu": "1", "memory": "1Gi"}
    assert limit["defaultRequest"] == {"cpu": "1", "memory": "1Gi"}


async def test_the_scopes_of_a_quota_stay(api: LocalApi) -> None:
    await api.create(RESOURCEQUOTAS, quota(hard={"pods": "1"}, scopes=["BestEffort"]))
    with pytest.raises(ApiError, match=r"spec.scopes: Invalid value: \[\]: field is immutable"):
        await api.patch(RESOURCEQUOTAS, "default", "a", {"spec": {"scopes": None}})


async def test_a_slices_generation_counts_what_it_says(api: LocalApi) -> None:
    created = await api.create(ENDPOINTSLICES, slice_("10.1.0.2") | {"ports": [{"port": 80}]})
    assert created["ports"] == [{"port": 80, "name": "", "protocol": "TCP"}]
    labelled = await api.patch(ENDPOINTSLICES, "default", "a", {"metadata": {"labels": {"a": "b"}}})
    changed = await api.patch(ENDPOINTSLICES, "default", "a", {"endpoints": []})
    generations = [each["metadata"]["generation"] for each in (created, labelled, changed)]
    assert generations == [1, 1, 2]
    with pytest.raises(ApiError, match="addressType: Invalid value"):
        await api.patch(ENDPOINTSLICES, "default", "a", {"addressType": "IPv6"})


async def test_a_namespaces_phase_follows_its_deletion(api: LocalApi) -> None:
    with pytest.raises(ApiError, match="may only be 'Active' if `deletionTimestamp` is empty"):
        status = {"status": {"phase": "Terminating"}}
        await api.patch(NAMESPACES, "", "default", status, subresource="status")


async def test_a_node_keeps_its_pod_network(api: LocalApi) -> None:
    created = await api.create(NODES, node(podCIDR="10.1.0.0/24"))
    assert created["spec"]["podCIDRs"] == ["10.1.0.0/24"]
    with pytest.raises(ApiError, match="node updates may not change podCIDR except from"):
        await api.patch(NODES, "", "n", {"spec": {"podCIDR": "10.2.0.0/24", "podCIDRs": None}})


# Events in both groups


async def test_an_event_is_one_in_both_groups(api: LocalApi) -> None:
    await api.create(EVENTS, event(message="hello", reason="Greeted", source={"component": "lab"}, count=2))
    newer = await api.get(EVENTS_V1, "default", "a")
    assert (newer["apiVersion"], newer["note"]) == ("events.k8s.io/v1", "hello")
    assert (newer["regarding"]["name"], newer["deprecatedSource"]) == ("web", {"component": "lab"})
    made = named(**{key: NEWER[key] for key in ("eventTime", "reportingInstance")})
    made["metadata"]["name"] = "b"
    made |= {"reportingController": "lab", "action": "Greet", "reason": "Greeted", "type": "Normal"}
    await api.create(EVENTS_V1, made | {"note": "again", "regarding": event()["involvedObject"]})
    older = await api.get(EVENTS, "default", "b")
    assert (older["message"], older["reportingComponent"]) == ("again", "lab")


async def test_events_are_found_by_what_they_are_about(api: LocalApi) -> None:
    await api.create(EVENTS, event(source={"component": "lab"}))
    for resource, selector, found in (
        (EVENTS, "involvedObject.name=web,source=lab", 1),
        (EVENTS, "source=other", 0),
        (EVENTS_V1, "regarding.kind=Pod", 1),
    ):
        listed = await api.list(resource, "default", field_selector=selector)
        assert len(listed.items) == found


# Tables


@pytest.mark.parametrize(
    ("resource", "obj", "row"),
    [
        (SECRETS, named(type="Opaque", data={"a": "", "b": ""}), ["a", "Opaque", 2, "<unknown>"]),
        (SERVICEACCOUNTS, named(secrets=[{"name": "s"}]), ["a", 1, "<unknown>"]),
        (
            ENDPOINTS,
            named(
                subsets=[{"addresses": [{"ip": f"10.1.0.{i}"} for i in range(2, 6)], "ports": [{"port": 80}]}]
            ),
            ["a", "10.1.0.2:80,10.1.0.3:80,10.1.0.4:80 + 1 more...", "<unknown>"],
        ),
        (ENDPOINTS, named(), ["a", "<none>", "<unknown>"]),
        (
            ENDPOINTSLICES,
            slice_("10.1.0.2") | {"ports": [{"port": 80}, {"name": "all"}]},
            ["a", "IPv4", "80,all", "10.1.0.2", "<unknown>"],
        ),
        (ENDPOINTSLICES, named(addressType="IPv4"), ["a", "IPv4", "<unset>", "<unset>", "<unknown>"]),
        (
            RESOURCEQUOTAS,
            named(status={"hard": {"pods": "2", "limits.cpu": "1", "cpu": "1"}, "used": {"pods": "1"}}),
            ["a", "cpu: 0/1, pods: 1/2", "limits.cpu: 0/1", "<unknown>"],
        ),
        (
            REPLICATIONCONTROLLERS,
            controller(replicas=2, selector={"app": "a"}) | {"status": {"replicas": 2, "readyReplicas": 1}},
            ["a", 2, 2, 1, "<unknown>", "shell", "kubelab/shell", "app=a"],
        ),
        (
            PODTEMPLATES,
            named(template=controller()["spec"]["template"]),
            ["a", "shell", "kubelab/shell", "app=a"],
        ),
    ],
)
def test_a_row_is_upstreams(resource: Resource, obj: Object, row: list[Any]) -> None:
    kind = BY_RESOURCE[resource]
    assert kind.cells(obj, NOW) == row
    assert len(kind.columns) == len(row)
