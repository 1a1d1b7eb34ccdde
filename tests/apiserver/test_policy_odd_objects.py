"""Whatever fits a kind's types is either stored and shown, or refused with causes."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from creations import NOW, created, updated
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kind_manifests import autoscaler, changed, cluster_role_binding, cluster_wide, job, network_policy
from test_policy_columns import POLICIES, WORKLOADS

from kubelab.cluster import objects
from kubelab.cluster.apiserver import autoscaler_conversion, schema
from kubelab.cluster.apiserver.kinds import BY_RESOURCE
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import Object, Resource

EXIT = {"action": "Ignore", "onExitCodes": {"operator": "In", "values": [1]}}
VALUE = {"metric": {"name": "a"}, "target": {"type": "AverageValue", "averageValue": "1"}}
SELECTORS = {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}
PORTS = {"ports": [{"port": 80, "endPort": 90}], "from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}
SEEDS: list[tuple[Resource, Object]] = [
    *((resource, obj | {"status": status}) for resource, obj, status in WORKLOADS.values()),
    *(
        (resource, obj | ({"status": status} if status else {}))
        for resource, obj, status in POLICIES.values()
    ),
    (objects.JOBS, job(podFailurePolicy={"rules": [EXIT]})),
    (objects.JOBS, job(completionMode="Indexed", completions=5) | {"status": {"completedIndexes": "0-1"}}),
    (objects.HORIZONTALPODAUTOSCALERS, autoscaler(metrics=[{"type": "Pods", "pods": VALUE}], behavior={})),
    (objects.CLUSTERROLES, cluster_wide(aggregationRule=SELECTORS)),
    (objects.CLUSTERROLEBINDINGS, cluster_role_binding(subjects=[{"kind": "User", "name": "a"}])),
    (objects.NETWORKPOLICIES, network_policy(ingress=[PORTS])),
]
ODD = [None, {}, [], "", "x", "a/b", "50%", 0, -1, 10**9, True, False, "é\n", ["x"], [{}], {"x": "y"}, "::1"]
ODD += ["2026-01-01T12:00:00Z", "2026-99-99T12:00:00Z"]


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each place of a JSON value: what it is in, and the key or index there."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from places(value[key])


@st.composite
def odd_objects(draw: st.DrawFn) -> tuple[Resource, Object, Object]:
    """Draw a kind, a good object of it, and the same with odd values here and there."""
    resource, good = draw(st.sampled_from(SEEDS))
    odd = copy.deepcopy(good)
    for _ in range(draw(st.integers(1, 3))):
        within, key = draw(st.sampled_from([place for place in places(odd) if place[1] != "metadata"]))
        within[key] = copy.deepcopy(draw(st.sampled_from(ODD)))
    return resource, good, odd


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(odd_objects())
def test_what_fits_is_stored_and_shown_or_refused(drawn: tuple[Resource, Object, Object]) -> None:
    resource, good, odd = drawn
    kind = BY_RESOURCE[resource]
    try:
        fitted, _ = schema.bundled().fitted(kind.go_type, odd)
    except schema.MismatchError:
        return
    before = created(resource, good)
    attempts = (("", fitted), ("status", before | {"status": fitted.get("status") or {}}))
    for part, wanted in attempts:
        for stored in _outcomes(resource, wanted, before, part):
            assert len(kind.cells(stored, NOW)) == len(kind.columns)
            assert all(isinstance(warning, str) for warning in kind.warnings(stored))
            if resource == objects.HORIZONTALPODAUTOSCALERS:
                autoscaler_conversion.to_storage(autoscaler_conversion.from_storage(stored))


def _outcomes(resource: Resource, wanted: Object, before: Object, part: str) -> Iterator[Object]:
    """Yield what is stored when *wanted* is created, or *before* changed to it."""
    wanted = wanted | {"metadata": copy.deepcopy(before["metadata"])}
    try:
        yield updated(resource, wanted, before, part)
        if not part:
            yield created(resource, wanted)
    except ApiError as error:
        assert error.code == 422
        assert error.details["causes"]


@pytest.mark.parametrize("time", ["2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-01-01T25:00:00Z"])
def test_a_time_that_cannot_be_is_no_time(time: str) -> None:
    odd = changed(job(), "status.startTime", time)
    with pytest.raises(schema.MismatchError, match=f'parsing time "{time}": [a-z]+ out of range'):
        schema.bundled().fitted("k8s.io/api/batch/v1.Job", odd)
