"""Limits and quotas, decided without a server: what pods use, and what is said when it is too much.

The expected sentences are those of upstream's plug-ins (limitranger, resourcequota).
"""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubelab.cluster.apiserver import limit_ranger
from kubelab.cluster.clock import rfc3339
from kubelab.cluster.objects import CONFIGMAPS, DEPLOYMENTS, EVENTS, PODS, SERVICES, Object, Resource
from kubelab.cluster.quantity import Quantity, parse
from kubelab.cluster.quota import (
    Charge,
    QuotaError,
    counted,
    in_scope,
    is_counted,
    unnamed,
    usage,
    used_after,
)
from kubelab.cluster.resource_list import (
    add,
    grown,
    maximum,
    parse_list,
    pod_limits,
    pod_requests,
    pretty,
    written,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def container(name: str = "a", **resources: Object) -> Object:
    return {"name": name, "image": "i", "resources": resources}


def pod(*containers: Object, phase: str = "Pending", **spec: object) -> Object:
    return {
        "metadata": {"name": "p", "namespace": "default"},
        "spec": {"containers": list(containers or (container(),)), **spec},
        "status": {"phase": phase},
    }


def quota(hard: Object, used: Object | None = None, **spec: object) -> Object:
    return {
        "metadata": {"name": "q", "namespace": "default"},
        "spec": {"hard": hard, **spec},
        "status": {"hard": hard, "used": dict.fromkeys(hard, "0") if used is None else used},
    }


def sidecar(name: str, **resources: Object) -> Object:
    return container(name, **resources) | {"restartPolicy": "Always"}


# What a pod uses


def test_a_pod_needs_its_containers_together_or_its_largest_init_container() -> None:
    spec = pod(container(requests={"cpu": "200m"}), container("b", requests={"cpu": "300m"}))["spec"]
    spec["initContainers"] = [container("i", requests={"cpu": "400m", "memory": "1Gi"})]
    assert written(pod_requests(spec)) == {"cpu": "500m", "memory": "1Gi"}


def test_a_sidecar_counts_beside_the_init_containers_after_it_and_the_containers() -> None:
    spec = pod(container(requests={"cpu": "1"}))["spec"]
    spec["initContainers"] = [
        container("before", requests={"cpu": "2"}),
        sidecar("side", requests={"cpu": "500m"}),
        container("after", requests={"cpu": "2"}),
    ]
    assert written(pod_requests(spec)) == {"cpu": "2500m"}


def test_overhead_adds_to_the_requests_and_to_what_is_limited() -> None:
    spec = pod(container(limits={"cpu": "1"}), overhead={"cpu": "250m", "memory": "64Mi"})["spec"]
    assert written(pod_requests(spec)) == {"cpu": "250m", "memory": "64Mi"}
    assert written(pod_limits(spec)) == {"cpu": "1250m"}


amounts = st.dictionaries(
    st.sampled_from(["cpu", "memory", "pods"]), st.integers(0, 10**15).map(Quantity), max_size=3
)


@given(amounts, amounts)
def test_what_grew_and_what_was_make_the_greater_of_both(
    new: dict[str, Quantity], old: dict[str, Quantity]
) -> None:
    grew = add(grown(new, old), {name: value for name, value in old.items() if name in new})
    assert grew == {name: max(value, old.get(name, Quantity(0))) for name, value in new.items()}
    assert maximum(new, old) == maximum(old, new)


# LimitRanges


def limit_range(*limits: Object) -> Object:
    return {"metadata": {"name": "l"}, "spec": {"limits": list(limits)}}


RATIO = "memory max limit to request ratio per Container"
DEFAULTS = limit_range(
    {
        "type": "Container",
        "default": {"cpu": "500m", "memory": "128Mi"},
        "defaultRequest": {"cpu": "100m", "memory": "64Mi"},
    }
)


def test_containers_get_the_resources_that_they_do_not_name_and_the_pod_a_note() -> None:
    made = pod(container(), container("b", limits={"cpu": "1"}))
    limit_ranger.set_defaults(made, DEFAULTS)
    assert made["spec"]["containers"][0]["resources"] == {
        "requests": {"cpu": "100m", "memory": "64Mi"},
        "limits": {"cpu": "500m", "memory": "128Mi"},
    }
    assert made["spec"]["containers"][1]["resources"]["limits"] == {"cpu": "1", "memory": "128Mi"}
    assert made["metadata"]["annotations"][limit_ranger.ANNOTATION] == (
        "LimitRanger plugin set: cpu, memory request for container a; cpu, memory limit for container a; "
        "cpu, memory request for container b; memory limit for container b"
    )


def test_a_pod_that_names_everything_is_left_alone() -> None:
    made = pod(container(requests={"cpu": "1", "memory": "1"}, limits={"cpu": "1", "memory": "1"}))
    limit_ranger.set_defaults(made, DEFAULTS)
    assert "annotations" not in made["metadata"]


@pytest.mark.parametrize(
    ("limit", "resources", "sentence"),
    [
        ({"min": {"cpu": "100m"}}, {}, "minimum cpu usage per Container is 100m.  No request is specified"),
        (
            {"min": {"memory": "1Gi"}},
            {"requests": {"memory": "512Mi"}},
            "minimum memory usage per Container is 1Gi, but request is 512Mi",
        ),
        ({"max": {"cpu": "500m"}}, {}, "maximum cpu usage per Container is 500m.  No limit is specified"),
        (
            {"max": {"cpu": "500m"}},
            {"limits": {"cpu": "1"}},
            "maximum cpu usage per Container is 500m, but limit is 1",
        ),
        (
            {"maxLimitRequestRatio": {"memory": "2"}},
            {"limits": {"memory": "300Mi"}, "requests": {"memory": "100Mi"}},
            f"{RATIO} is 2, but provided ratio is 3.000000",
        ),
        (
            {"maxLimitRequestRatio": {"memory": "2"}},
            {},
            f"{RATIO} is 2, but no request is specified or request is 0",
        ),
    ],
)
def test_a_container_out_of_bounds_is_told_of_the_bound_and_of_itself(
    limit: Object, resources: Object, sentence: str
) -> None:
    bounds = limit_range({"type": "Container", **limit})
    assert list(limit_ranger.pod_violations(pod(container(**resources)), bounds)) == [sentence]


def test_the_bounds_of_a_pod_are_those_of_its_containers_together() -> None:
    bounds = limit_range({"type": "Pod", "max": {"cpu": "1"}})
    large = pod(container(limits={"cpu": "700m"}), container("b", limits={"cpu": "600m"}))
    assert list(limit_ranger.pod_violations(large, bounds)) == [
        "maximum cpu usage per Pod is 1, but limit is 1300m"
    ]


# Quotas


def charge(obj: Object, resource: Resource = PODS, old: Object | None = None) -> Charge:
    return Charge(resource, obj, old, NOW)


def test_the_last_place_can_be_taken_and_none_after_it() -> None:
    one_left = quota({"pods": "2"}, {"pods": "1"})
    used = used_after(one_left, charge(pod()))
    assert used is not None
    assert written(used) == {"pods": "2"}
    with pytest.raises(QuotaError) as refusal:
        used_after(quota({"pods": "2"}, {"pods": "2"}), charge(pod()))
    assert str(refusal.value) == "exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2"


def test_only_what_is_exceeded_is_named() -> None:
    full = quota(
        {"pods": "5", "requests.cpu": "1", "memory": "1Gi"},
        {"pods": "0", "requests.cpu": "800m", "memory": "0"},
    )
    wanted = pod(container(requests={"cpu": "300m", "memory": "10Mi"}))
    with pytest.raises(QuotaError) as refusal:
        used_after(full, charge(wanted))
    assert str(refusal.value) == (
        "exceeded quota: q, requested: requests.cpu=300m, used: requests.cpu=800m, limited: requests.cpu=1"
    )


def test_a_quota_on_compute_wants_every_container_to_say_how_much() -> None:
    bounded = quota({"limits.cpu": "1", "limits.memory": "1Gi"})
    vague = pod(container(), container("b", limits={"cpu": "1"}))
    with pytest.raises(QuotaError) as refusal:
        used_after(bounded, charge(vague))
    assert str(refusal.value) == ("failed quota: q: must specify limits.cpu for: a; limits.memory for: a,b")


def test_a_quota_of_other_things_asks_for_nothing() -> None:
    assert unnamed(["pods", "requests.ephemeral-storage"], pod()) == ""


def test_before_it_was_counted_a_quota_lets_nothing_through_and_without_limits_in_its_status_all() -> None:
    assert used_after(quota({"pods": "0"}) | {"status": {}}, charge(pod())) is None
    with pytest.raises(QuotaError) as refusal:
        used_after(quota({"pods": "2"}, {}), charge(pod()))
    assert str(refusal.value) == "status unknown for quota: q, resources: pods"


def test_a_deleted_pod_on_a_lost_node_is_one_object_and_no_load() -> None:
    gone = pod(container(requests={"cpu": "1"}))
    gone["metadata"] |= {
        "deletionTimestamp": rfc3339(NOW - timedelta(seconds=31)),
        "deletionGracePeriodSeconds": 30,
    }
    assert written(usage(PODS, gone, NOW)) == {"count/pods": "1"}
    assert written(usage(PODS, pod(phase="Succeeded"), NOW)) == {"count/pods": "1"}


@pytest.mark.parametrize(
    ("scope", "member", "other"),
    [
        ({"scopes": ["Terminating"]}, {"activeDeadlineSeconds": 5}, {}),
        ({"scopes": ["NotTerminating"]}, {}, {"activeDeadlineSeconds": 5}),
        (
            {
                "scopeSelector": {
                    "matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}]
                }
            },
            {"priorityClassName": "high"},
            {"priorityClassName": "low"},
        ),
        ({"scopes": ["PriorityClass"]}, {"priorityClassName": "any"}, {}),
    ],
)
def test_a_quota_counts_what_is_in_its_scopes(scope: Object, member: Object, other: Object) -> None:
    scoped = quota({"pods": "1"}, **scope)
    assert in_scope(scoped, PODS, pod(**member))
    assert not in_scope(scoped, PODS, pod(**other))
    assert not in_scope(scoped, CONFIGMAPS, {"metadata": {"name": "c"}})


def test_best_effort_pods_are_told_from_the_others() -> None:
    scoped, reverse = (
        quota({"pods": "1"}, scopes=["BestEffort"]),
        quota({"pods": "1"}, scopes=["NotBestEffort"]),
    )
    modest, demanding = pod(), pod(container(requests={"cpu": "1"}))
    assert [in_scope(scoped, PODS, each) for each in (modest, demanding)] == [True, False]
    assert [in_scope(reverse, PODS, each) for each in (modest, demanding)] == [False, True]


def service(type_: str, *ports: Object, **spec: object) -> Object:
    return {"metadata": {"name": "s"}, "spec": {"type": type_, "ports": list(ports), **spec}}


@pytest.mark.parametrize(
    ("made", "used"),
    [
        (
            service("ClusterIP", {"port": 1}),
            "count/services=1,services=1,services.loadbalancers=0,services.nodeports=0",
        ),
        (
            service("NodePort", {"port": 1}, {"port": 2}),
            "count/services=1,services=1,services.loadbalancers=0,services.nodeports=2",
        ),
        (
            service("LoadBalancer", {"port": 1}, allocateLoadBalancerNodePorts=False),
            "count/services=1,services=1,services.loadbalancers=1,services.nodeports=0",
        ),
    ],
)
def test_services_use_node_ports_and_load_balancers(made: Object, used: str) -> None:
    assert pretty(usage(SERVICES, made, NOW)) == used


def test_a_service_that_changes_its_type_is_charged_the_difference() -> None:
    full = quota({"services": "1", "services.nodeports": "1"}, {"services": "1", "services.nodeports": "0"})
    before, after = service("ClusterIP", {"port": 1}), service("NodePort", {"port": 1})
    used = used_after(full, charge(after, SERVICES, before))
    assert used is not None
    assert written(used) == {"services": "1", "services.nodeports": "1"}
    assert used_after(full, charge(after, SERVICES, after)) is None


def test_every_namespaced_kind_can_be_counted_but_events() -> None:
    assert [is_counted(each) for each in (DEPLOYMENTS, EVENTS)] == [True, False]
    used = used_after(
        quota({"count/deployments.apps": "1"}), charge({"metadata": {"name": "d"}}, DEPLOYMENTS)
    )
    assert used == {"count/deployments.apps": parse("1")}


@given(st.lists(st.integers(0, 2000), max_size=8), st.integers(0, 5000))
def test_charging_one_by_one_comes_to_what_counting_all_does(requests: list[int], hard: int) -> None:
    """Admission and the controller agree, and neither lets more in than fits."""
    standing = quota({"pods": "100", "requests.cpu": f"{hard}m"})
    admitted = []
    for milli in requests:
        wanted = pod(container(requests={"cpu": f"{milli}m"}))
        try:
            used = used_after(standing, charge(wanted))
        except QuotaError:
            continue
        admitted.append(wanted)
        standing["status"]["used"] = written(used or {})
    _, recounted = counted(standing, {PODS: admitted}, NOW)
    assert recounted == parse_list(standing["status"]["used"])
    assert recounted["requests.cpu"] <= parse(f"{hard}m")
