"""Autoscalers in autoscaling/v1, which are kept as those of v2: nothing gets lost on the way."""

import json
from typing import Any

from creations import created
from hypothesis import given, settings
from hypothesis import strategies as st
from kind_manifests import autoscaler, changed

from kubelab.cluster.apiserver import autoscaler_conversion as conversion
from kubelab.cluster.apiserver.local import LocalApi
from kubelab.cluster.objects import HORIZONTALPODAUTOSCALERS as V2
from kubelab.cluster.objects import HORIZONTALPODAUTOSCALERS_V1 as V1
from kubelab.cluster.objects import Object

PREFIX = "autoscaling.alpha.kubernetes.io"


def utilization(percent: int, name: str = "cpu") -> Object:
    target = {"type": "Utilization", "averageUtilization": percent}
    return {"type": "Resource", "resource": {"name": name, "target": target}}


amounts = st.integers(1, 10**6).map(str)
percents = st.integers(1, 100)
names = st.text("abcdefg-", min_size=1, max_size=8)
identifiers = st.fixed_dictionaries(
    {"name": names}, optional={"selector": st.just({"matchLabels": {"queue": "orders"}})}
)
values = st.builds(lambda value: {"type": "Value", "value": value}, amounts)
averages = st.builds(lambda value: {"type": "AverageValue", "averageValue": value}, amounts)
references = st.fixed_dictionaries({"apiVersion": st.just("v1"), "kind": st.just("Service"), "name": names})


def metric(type_: str, **source: st.SearchStrategy[Any]) -> st.SearchStrategy[Object]:
    part = type_[0].lower() + type_[1:]
    return st.fixed_dictionaries({"type": st.just(type_), part: st.fixed_dictionaries(source)})


metrics = st.one_of(
    metric("Pods", metric=identifiers, target=averages),
    metric("Object", metric=identifiers, target=values | averages, describedObject=references),
    metric("External", metric=identifiers, target=values | averages),
    metric("Resource", name=st.just("memory"), target=averages),
    metric("ContainerResource", name=st.just("cpu"), container=names, target=averages),
    st.builds(utilization, percents, st.just("memory")),
)
policies = st.lists(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["Pods", "Percent"]), "value": percents, "periodSeconds": percents}
    ),
    min_size=1,
    max_size=2,
)
rules = st.fixed_dictionaries(
    {"policies": policies, "selectPolicy": st.sampled_from(["Max", "Min", "Disabled"])},
    optional={"stabilizationWindowSeconds": st.integers(0, 3600)},
)
behaviors = st.fixed_dictionaries({}, optional={"scaleUp": rules, "scaleDown": rules})
statuses = st.fixed_dictionaries(
    {"currentReplicas": percents, "desiredReplicas": percents},
    optional={
        "currentMetrics": st.just(
            [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 7}}}]
        ),
        "conditions": st.just([{"type": "AbleToScale", "status": "True", "reason": "ReadyForNewScale"}]),
    },
)


@st.composite
def autoscalers(draw: st.DrawFn) -> Object:
    """Draw a v2 autoscaler; that of the CPU, if there is one, stands last, where v1 puts it."""
    found = draw(st.lists(metrics, max_size=3)) + draw(st.lists(st.builds(utilization, percents), max_size=1))
    spec: Object = {"metrics": found or [utilization(80)], "minReplicas": 1}
    if behavior := draw(behaviors):
        spec["behavior"] = behavior
    obj = autoscaler(**spec) | {"kind": V2.kind, "apiVersion": V2.api_version, "status": draw(statuses)}
    annotations = draw(st.dictionaries(names, names, max_size=1))
    return changed(obj, "metadata.annotations", annotations) if annotations else obj


@settings(max_examples=60)
@given(autoscalers())
def test_what_is_read_and_written_in_v1_is_in_v2_as_before(stored: Object) -> None:
    before = json.dumps(stored)
    shown = conversion.from_storage(stored)
    assert shown["apiVersion"] == V1.api_version
    assert not {"metrics", "behavior"} & shown["spec"].keys()
    assert not {"currentMetrics", "conditions"} & shown["status"].keys()
    assert conversion.to_storage(shown) == stored
    assert json.dumps(stored) == before, "a conversion leaves what it was handed"


def test_all_but_the_cpu_travels_in_annotations_in_the_form_that_upstream_gives_it() -> None:
    scale_up = {"stabilizationWindowSeconds": 0, "selectPolicy": "Max", "policies": []}
    pods = {"metric": {"name": "orders"}, "target": {"type": "AverageValue", "averageValue": "10"}}
    stored = autoscaler(
        metrics=[utilization(50), {"type": "Pods", "pods": pods}], behavior={"scaleUp": scale_up}
    )
    shown = conversion.from_storage(stored)
    assert shown["spec"]["targetCPUUtilizationPercentage"] == 50
    annotations = shown["metadata"]["annotations"]
    assert json.loads(annotations[f"{PREFIX}/metrics"]) == [
        {"type": "Pods", "pods": {"metricName": "orders", "targetAverageValue": "10"}}
    ]
    assert json.loads(annotations[f"{PREFIX}/behavior"]) == {
        "ScaleUp": {"StabilizationWindowSeconds": 0, "SelectPolicy": "Max", "Policies": []}
    }


def test_annotations_that_are_no_json_change_nothing() -> None:
    broken = changed(autoscaler(), "metadata.annotations", {f"{PREFIX}/metrics": "{", "note": "kept"})
    stored = conversion.to_storage(broken)
    assert stored["spec"]["metrics"] == [utilization(80)]
    assert stored["metadata"]["annotations"] == {"note": "kept"}


async def test_both_versions_are_one_object(api: LocalApi) -> None:
    made = await api.create(V1, autoscaler(targetCPUUtilizationPercentage=50))
    assert (made["apiVersion"], made["spec"]["minReplicas"]) == ("autoscaling/v1", 1)
    stored = await api.get(V2, "default", "shop")
    assert stored["spec"]["metrics"] == [utilization(50)]
    both = changed(stored, "spec.metrics", [utilization(60, "memory"), utilization(50)])
    await api.update(V2, both)
    old = await api.get(V1, "default", "shop")
    await api.update(V1, changed(old, "spec.targetCPUUtilizationPercentage", 70))
    after = await api.get(V2, "default", "shop")
    assert after["spec"]["metrics"] == [utilization(60, "memory"), utilization(70)]


def test_an_autoscaler_begins_with_nothing_seen() -> None:
    assert created(V2, autoscaler())["status"] == {"currentMetrics": None, "desiredReplicas": 0}
