"""What a container gets: environment, command line, volumes, cgroup limits."""

from ipaddress import IPv4Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubelab.cluster.node.cgroups import container_limits, pod_limits, weight
from kubelab.cluster.node.environment import (
    ConfigError,
    Place,
    Sources,
    args_of,
    command_of,
    environment_of,
    expand,
)
from kubelab.cluster.node.volumes import VolumeError, mounts_of, volumes_of
from kubelab.cluster.objects import Object
from kubelab.cluster.runtime.cri import EmptyDir, FilesVolume, HostPath, Limits, VolumeFile

PLACE = Place("minion-1", IPv4Address("192.168.7.2"), IPv4Address("10.244.1.2"))
SETTINGS = Sources(
    {"settings": {"data": {"color": "blue", "size": "big"}}, "none": None},
    {"keys": {"data": {"token": "c2VjcmV0"}}, "none": None},
)


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
        environment_of(make_pod(container), container, SETTINGS, PLACE)
    assert str(error.value) == message


def test_an_optional_source_may_be_missing() -> None:
    source = {"configMapKeyRef": {"name": "none", "key": "k", "optional": True}}
    container = {"name": "c", "env": [{"name": "X", "valueFrom": source}]}
    assert environment_of(make_pod(container), container, SETTINGS, PLACE) == {}


def with_volumes(*volumes: Object, **fields: object) -> Object:
    """Return a pod that mounts each of *volumes* at its name."""
    mounts = [{"name": volume["name"], "mountPath": f"/{volume['name']}"} | fields for volume in volumes]
    return make_pod({"name": "c", "volumeMounts": mounts}, list(volumes))


def test_volumes_have_their_places_on_the_machine() -> None:
    conf = {"name": "conf", "configMap": {"name": "settings", "items": [{"key": "color", "path": "c.txt"}]}}
    pod = with_volumes(
        conf, {"name": "scratch", "emptyDir": {}}, {"name": "host", "hostPath": {"path": "/srv"}}
    )
    mounts = {m.destination: m for m in mounts_of(pod, pod["spec"]["containers"][0], {})}
    top = "/var/lib/kubelet/pods/u/volumes/kubernetes.io~"
    assert {at: m.source for at, m in mounts.items()} == {
        "/conf": f"{top}configmap/conf",
        "/scratch": f"{top}empty-dir/scratch",
        "/host": "/srv",
    }
    assert [at for at, m in mounts.items() if m.read_only] == ["/conf"]
    assert volumes_of(pod, SETTINGS, PLACE) == (
        FilesVolume("conf", "configmap", {"c.txt": VolumeFile(b"blue")}),
        HostPath("host", "/srv"),
        EmptyDir("scratch"),
    )


def test_modes_are_the_item_s_then_the_volume_s() -> None:
    items = [{"key": "color", "path": "a"}, {"key": "size", "path": "b/c", "mode": 0o400}]
    conf = {"name": "conf", "configMap": {"name": "settings", "defaultMode": 0o600, "items": items}}
    (volume,) = volumes_of(with_volumes(conf), SETTINGS, PLACE)
    assert volume.files == {"a": VolumeFile(b"blue", 0o600), "b/c": VolumeFile(b"big", 0o400)}


def test_a_projected_volume_shows_all_its_sources_in_one_directory() -> None:
    fields = [
        {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
        {"path": "cpu", "resourceFieldRef": {"containerName": "c", "resource": "limits.cpu"}},
    ]
    parts = [
        {"configMap": {"name": "settings", "items": [{"key": "size", "path": "size"}]}},
        {"secret": {"name": "keys", "items": [{"key": "token", "path": "token", "mode": 0o400}]}},
        {"secret": {"name": "none", "optional": True}},
        {"downwardAPI": {"items": fields}},
    ]
    all_ = {"name": "all", "projected": {"sources": parts}}
    (volume,) = volumes_of(with_volumes(all_), SETTINGS, Place("n", PLACE.host_address, None, cpus=4))
    assert volume.plugin == "projected"
    contents = {name: file.content for name, file in volume.files.items()}
    assert contents == {"size": b"big", "token": b"secret", "labels": b'app="web"', "cpu": b"4"}
    assert volume.files["token"].mode == 0o400


def test_an_empty_directory_may_be_in_memory_and_have_a_size() -> None:
    scratch = {"name": "scratch", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}
    assert volumes_of(with_volumes(scratch), SETTINGS, PLACE) == (EmptyDir("scratch", True, 1 << 20),)


@pytest.mark.parametrize(
    ("volume", "why"),
    [
        ({"configMap": {"name": "none"}}, 'configmap "none" not found'),
        ({"secret": {"secretName": "none"}}, 'secret "none" not found'),
        (
            {"configMap": {"name": "settings", "items": [{"key": "k", "path": "k"}]}},
            "references non-existent config key: k",
        ),
        (
            {"configMap": {"name": "settings", "items": [{"key": "color", "path": "../k"}]}},
            '"../k" must be a relative path without ".."',
        ),
        ({"nfs": {"server": "x"}}, "this lab has no volumes of type nfs"),
        ({}, "it is not in the pod: add it to spec.volumes"),
    ],
)
def test_what_a_volume_lacks_is_told_in_upstreams_words(volume: Object, why: str) -> None:
    with pytest.raises(VolumeError) as error:
        volumes_of(with_volumes({"name": "v"} | volume), SETTINGS, PLACE)
    assert str(error.value) == f'MountVolume.SetUp failed for volume "v" : {why}'


def test_a_sub_path_may_name_variables_but_not_leave_its_volume() -> None:
    pod = with_volumes({"name": "scratch", "emptyDir": {}}, subPathExpr="of-$(NAME)", readOnly=True)
    (mount,) = mounts_of(pod, pod["spec"]["containers"][0], {"NAME": "web"})
    assert (mount.sub_path, mount.read_only) == ("of-web", True)
    pod = with_volumes({"name": "scratch", "emptyDir": {}}, subPath="a/../../b")
    with pytest.raises(ConfigError, match="must be a relative path"):
        mounts_of(pod, pod["spec"]["containers"][0], {})


@pytest.mark.parametrize(
    ("reference", "value"),
    [
        ({"resource": "limits.cpu"}, "1"),
        ({"resource": "limits.cpu", "divisor": "1m"}, "500"),
        ({"resource": "requests.memory", "divisor": "1Mi"}, "63"),
        ({"resource": "limits.memory"}, str(1 << 30)),
    ],
)
def test_resources_are_told_in_the_divisor_s_unit_rounded_up(reference: Object, value: str) -> None:
    container = resources({"memory": "64100Ki"}, {"cpu": "500m"}) | {
        "env": [
            {"name": "X", "valueFrom": {"resourceFieldRef": reference}},
            {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "token"}}},
        ]
    }
    place = Place("n", PLACE.host_address, None, cpus=2, memory_bytes=1 << 30)
    env = environment_of(make_pod(container), container, SETTINGS, place)
    assert env == {"X": value, "TOKEN": "secret"}


def resources(requests: dict[str, str], limits: dict[str, str]) -> dict[str, Any]:
    return {"name": "c", "image": "i", "resources": {"requests": requests, "limits": limits}}


def test_requests_and_limits_become_cgroup_words() -> None:
    """1 core: 1024 shares, weight 1 + 1022 * 9999 / 262142 = 39; half a core: 50 ms of each 100 ms."""
    found = container_limits(resources({"cpu": "1"}, {"cpu": "500m", "memory": "64Mi"}))
    assert found == Limits(39, cpu_quota_us=50_000, memory_max_bytes=64 << 20, memory_oom_group=True)
    assert container_limits(resources({}, {})) == Limits(cpu_weight=1, memory_oom_group=True)


def test_a_pod_is_limited_only_where_all_its_containers_are() -> None:
    pod = make_pod(resources({}, {"cpu": "1", "memory": "1Mi"}))
    pod["spec"]["containers"].append(resources({"cpu": "100m"}, {"memory": "2Mi"}))
    found = pod_limits(pod)
    assert (found.cpu_quota_us, found.memory_max_bytes) == (None, 3 << 20)


@given(st.integers(0, 10**7), st.integers(0, 10**7))
def test_more_cpu_never_weighs_less(left: int, right: int) -> None:
    assert 1 <= weight(left) <= 10_000
    assert (left <= right) <= (weight(left) <= weight(right))
