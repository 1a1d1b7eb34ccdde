"""What is taken for faultless at a glance is faultless in detail; and it is most pods that are."""

import copy
from typing import Any

import pytest
from api_manifests import pod
from hypothesis import given
from hypothesis import strategies as st
from test_core_pods import REFUSALS

from kubelab.cluster.apiserver import pods
from kubelab.cluster.apiserver.faultless_specs import is_faultless
from kubelab.cluster.apiserver.service_account import mount_token
from kubelab.cluster.apiserver.token_volume import token_volume
from kubelab.cluster.objects import Object

NAMES = st.sampled_from(["a", "b", "data", "A", "a.b", "", "-", "a" * 64, "a=b", "PATH", "x/y", None])
AMOUNTS = st.sampled_from(["1", "2", "10m", "16Mi", "-1", "0"])
RESOURCES = st.sampled_from(["cpu", "memory", "ephemeral-storage", "pods", "hugepages-2Mi", "a.com/gpu"])
PATHS = st.sampled_from(["/a", "/b", "", "a", "../a", None])


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Object]:
    """Return objects that have some of *fields*, and now and then one that the rules do not expect."""
    return st.fixed_dictionaries({}, optional=fields | {"odd": st.just("odd")})


def few(items: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(items, max_size=2) | st.none()


def word(*right: str) -> st.SearchStrategy[Any]:
    return st.sampled_from([*right, "Wrong", "", None])


LISTS = st.dictionaries(RESOURCES, AMOUNTS, max_size=2) | st.none()
PORTS = some(
    name=NAMES,
    containerPort=st.sampled_from([80, 81, 0, 70000, None]),
    protocol=word("TCP", "UDP"),
    hostPort=st.sampled_from([80, 0]),
)
CONTAINERS = some(
    name=NAMES,
    image=st.sampled_from(["web", "", " web", None]),
    imagePullPolicy=word("Always"),
    terminationMessagePolicy=word("File"),
    command=st.just(["sh"]),
    env=few(some(name=NAMES, value=st.sampled_from(["", "x", None]), valueFrom=st.just({}))),
    ports=few(PORTS),
    resources=some(limits=LISTS, requests=LISTS, claims=st.just([{"name": "a"}])) | st.none(),
    volumeMounts=few(some(name=NAMES, mountPath=PATHS, readOnly=st.booleans(), subPath=PATHS)),
    volumeDevices=few(some(name=NAMES, devicePath=PATHS)),
    securityContext=some(runAsUser=st.sampled_from([0, -1])),
    livenessProbe=st.just({}),
    restartPolicy=word("Always"),
)
OF_KEYS = some(
    name=NAMES, secretName=NAMES, defaultMode=st.sampled_from([0, 0o1000, None]), items=st.just([{}])
)
VOLUMES = some(
    name=NAMES,
    emptyDir=some(medium=st.just("Memory"), sizeLimit=AMOUNTS) | st.none(),
    configMap=OF_KEYS,
    secret=OF_KEYS,
    projected=st.just(token_volume()) | some(sources=st.just([{}])),
    hostPath=some(path=PATHS),
)
TOLERATIONS = some(
    key=NAMES,
    operator=word("Exists", "Equal"),
    effect=word("NoExecute", "NoSchedule"),
    value=NAMES,
    tolerationSeconds=st.sampled_from([300, None]),
)
SPECS = some(
    containers=few(CONTAINERS),
    initContainers=few(CONTAINERS),
    volumes=few(VOLUMES),
    restartPolicy=word("Always", "Never"),
    dnsPolicy=word("ClusterFirst", "None"),
    preemptionPolicy=word("Never"),
    serviceAccountName=NAMES,
    nodeName=NAMES,
    hostname=NAMES,
    priorityClassName=NAMES,
    nodeSelector=st.dictionaries(NAMES.filter(bool), NAMES.filter(bool), max_size=1) | st.none(),
    tolerations=few(TOLERATIONS),
    securityContext=some(fsGroup=st.sampled_from([0, -1])) | st.none(),
    hostNetwork=st.booleans(),
    activeDeadlineSeconds=st.sampled_from([0, 1]),
)


def ordinary(**fields: Any) -> Object:
    """Return a pod's spec of those that there are most of, as it is when it is validated."""
    container = {
        "name": "web",
        "image": "kubelab/web:1",
        "command": ["web"],
        "env": [{"name": "SETTING", "value": "x"}, {"name": "EMPTY"}],
        "ports": [{"containerPort": 8080, "name": "http"}, {"containerPort": 9090}],
        "resources": {"requests": {"cpu": "10m"}, "limits": {"memory": "64Mi"}},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    volumes = [{"name": "data"}, {"name": "settings", "configMap": {"name": "settings"}}]
    made = pod(containers=[container], volumes=volumes, serviceAccountName="default", nodeName="minion-1")
    made["spec"] |= copy.deepcopy(fields)
    pods.set_defaults(made)
    mount_token(made["spec"], "kube-api-access-abcde")
    spec: Object = made["spec"]
    return spec


def faults(spec: Object) -> list[str]:
    return [str(each) for each in pods.validate_spec_in_detail(spec, "spec", in_pod=True)]


@given(SPECS)
def test_what_is_faultless_at_a_glance_is_so_in_detail(spec: Object) -> None:
    if is_faultless(spec):
        assert faults(spec) == []


@given(st.data())
def test_one_odd_part_of_an_ordinary_pod_is_noticed(data: st.DataObject) -> None:
    spec = ordinary()
    container = data.draw(st.sampled_from([True, False]))
    part, strange = (spec["containers"][0], CONTAINERS) if container else (spec, SPECS)
    for name, value in data.draw(strange.map(lambda each: dict([*each.items()][:1]))).items():
        part[name] = value
    if is_faultless(spec):
        assert faults(spec) == []


@pytest.mark.parametrize("refused", [each for each, _ in REFUSALS], ids=lambda each: "")
def test_what_upstream_refuses_is_not_faultless(refused: Object) -> None:
    obj = copy.deepcopy(refused)
    pods.set_defaults(obj)
    spec_is_wrong = bool(faults(obj["spec"]))
    assert not (spec_is_wrong and is_faultless(obj["spec"]))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"restartPolicy": "Never", "hostname": "web", "priorityClassName": "high"},
        {"nodeSelector": {"kubernetes.io/os": "linux"}, "automountServiceAccountToken": False},
        {
            "tolerations": [
                {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"}
            ]
        },
    ],
)
def test_an_ordinary_pod_needs_no_more_than_a_glance(fields: Object) -> None:
    assert is_faultless(ordinary(**fields))


def test_its_token_volume_is_right_in_detail() -> None:
    spec = ordinary()
    assert {"name": "kube-api-access-abcde", "projected": token_volume()} in spec["volumes"]
    assert faults(spec) == []
