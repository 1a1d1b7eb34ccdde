"""What a container gets: environment, command line, volumes, cgroup limits."""

from ipaddress import IPv4Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubelab.cluster.node.cgroups import container_limits, pod_limits, weight
from kubelab.cluster.node.environment import ConfigError, Place, args_of, command_of, environment_of, expand
from kubelab.cluster.node.volumes import VolumeError, mounts_of
from kubelab.cluster.objects import Object
from kubelab.cluster.runtime.cri import Limits

PLACE = Place("minion-1", IPv4Address("192.168.7.2"), IPv4Address("10.244.1.2"))
SETTINGS = {"settings": {"data": {"color": "blue", "size": "big"}}}


def make_pod(container: dict[str, Any], volumes: list[Object] | None = None) -> Object:
    metadata = {"name": "web", "namespace": "shop", "uid": "u", "labels": {"app": "web"}}
    return {"metadata": metadata, "spec": {"containers": [container], "volumes": volumes or []}}


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("$(A)", "1"),
        ("x$(A)$(B)y", "x12y"),
        ("$(NONE)", "$(NONE)"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$A $", "$A $"),
        ("$(A", "$(A"),
    ],
)
def test_references_are_expanded_as_upstream(text: str, expanded: str) -> None:
    assert expand(text, {"A": "1", "B": "2"}) == expanded


@given(st.text(alphabet="ab() "))
def test_text_without_a_dollar_stays_as_it_is(text: str) -> None:
    assert expand(text, {"a": "1"}) == text


def test_the_environment_is_made_in_order() -> None:
    container = {
        "name": "c",
        "envFrom": [{"prefix": "S_", "configMapRef": {"name": "settings"}}],
        "env": [
            {"name": "GREETING", "value": "a $(S_size) $(S_color) sky over $(LATER)"},
            {"name": "LATER", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "APP", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
            {"name": "COLOR", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "color"}}},
        ],
        "command": ["echo"],
        "args": ["$(LATER)"],
    }
    env = environment_of(make_pod(container), container, SETTINGS, PLACE)
    assert env["GREETING"] == "a big blue sky over $(LATER)"
    assert (env["LATER"], env["IP"], env["APP"], env["COLOR"]) == ("minion-1", "10.244.1.2", "web", "blue")
    assert command_of(container, env) + args_of(container, env) == ("echo", "minion-1")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"configMapKeyRef": {"name": "none", "key": "k"}}, 'configmap "none" not found'),
        (
            {"configMapKeyRef": {"name": "settings", "key": "k"}},
            "couldn't find key k in ConfigMap shop/settings",
        ),
        ({"fieldRef": {"fieldPath": "spec.nothing"}}, "unsupported fieldPath: spec.nothing"),
    ],
)
def test_a_missing_source_is_told_in_upstreams_words(source: Object, message: str) -> None:
    container = {"name": "c", "env": [{"name": "X", "valueFrom": source}]}
    with pytest.raises(ConfigError) as error:
        environment_of(make_pod(container), container, SETTINGS | {"none": None}, PLACE)
    assert str(error.value) == message


def test_an_optional_source_may_be_missing() -> None:
    source = {"configMapKeyRef": {"name": "none", "key": "k", "optional": True}}
    container = {"name": "c", "env": [{"name": "X", "valueFrom": source}]}
    assert environment_of(make_pod(container), container, {"none": None}, PLACE) == {}


def test_volumes_become_mounts() -> None:
    volumes: list[Object] = [
        {"name": "conf", "configMap": {"name": "settings", "items": [{"key": "color", "path": "c.txt"}]}},
        {"name": "scratch", "emptyDir": {}},
        {"name": "host", "hostPath": {"path": "/srv"}},
    ]
    mounts = [{"name": volume["name"], "mountPath": f"/{volume['name']}"} for volume in volumes]
    container = {"name": "c", "volumeMounts": mounts}
    conf, scratch, host = mounts_of(make_pod(container, volumes), container, SETTINGS)
    assert (conf.destination, conf.files, conf.read_only) == ("/conf", {"c.txt": b"blue"}, True)
    assert (scratch.volume, scratch.source) == ("scratch", None)
    assert str(host.source) == "/srv"


def test_a_sub_path_is_refused_rather_than_mounted_as_the_whole_volume() -> None:
    entry = {"name": "scratch", "mountPath": "/a/b", "subPath": "b"}
    container = {"name": "c", "volumeMounts": [entry]}
    with pytest.raises(VolumeError, match='for volume "scratch" : this lab has no subPath'):
        mounts_of(make_pod(container, [{"name": "scratch", "emptyDir": {}}]), container, SETTINGS)


def resources(requests: dict[str, str], limits: dict[str, str]) -> dict[str, Any]:
    return {"name": "c", "image": "i", "resources": {"requests": requests, "limits": limits}}


def test_requests_and_limits_become_cgroup_words() -> None:
    """1 core: 1024 shares, weight 1 + 1022 * 9999 / 262142 = 39; half a core: 50 ms of each 100 ms."""
    found = container_limits(resources({"cpu": "1"}, {"cpu": "500m", "memory": "64Mi"}))
    assert found == Limits(cpu_weight=39, cpu_quota_us=50_000, memory_max_bytes=64 << 20)
    assert container_limits(resources({}, {})) == Limits(cpu_weight=1)


def test_a_pod_is_limited_only_where_all_its_containers_are() -> None:
    pod = make_pod(resources({}, {"cpu": "1", "memory": "1Mi"}))
    pod["spec"]["containers"].append(resources({"cpu": "100m"}, {"memory": "2Mi"}))
    found = pod_limits(pod)
    assert (found.cpu_quota_us, found.memory_max_bytes) == (None, 3 << 20)


@given(st.integers(0, 10**7), st.integers(0, 10**7))
def test_more_cpu_never_weighs_less(left: int, right: int) -> None:
    assert 1 <= weight(left) <= 10_000
    assert (left <= right) <= (weight(left) <= weight(right))
