"""What server-side apply knows of Kubernetes' own types: kubectl's Go types with the merge markers.

Source: the markers of k8s.io/api; https://kubernetes.io/docs/reference/using-api/server-side-apply/.
"""

import pytest

from kubelab.cluster.apiserver import field_types, merge_topology
from kubelab.cluster.apiserver.kinds import KINDS
from kubelab.cluster.apply import Scalar, Type

POD, DEPLOYMENT = "k8s.io/api/core/v1.Pod", "k8s.io/api/apps/v1.Deployment"
SERVICE, NODE = "k8s.io/api/core/v1.Service", "k8s.io/api/core/v1.Node"


def at(go_type: str, path: str) -> Type:
    """Return the type at *path* below the Go type; `*` is any element."""
    found = field_types.bundled().of_name(go_type)
    for name in path.split("."):
        if found.list is not None:
            found = found.list.element
        else:
            assert found.map is not None
            child = found.map.type_of(name)
            assert child is not None, name
            found = child
    return found


@pytest.mark.parametrize(
    ("go_type", "path", "keys"),
    [
        (POD, "spec.containers", {"name": ""}),
        (POD, "spec.containers.*.ports", {"containerPort": 0, "protocol": "TCP"}),
        (POD, "spec.topologySpreadConstraints", {"topologyKey": "", "whenUnsatisfiable": ""}),
        (POD, "metadata.ownerReferences", {"uid": ""}),
        (POD, "metadata.finalizers", {}),
        (SERVICE, "spec.ports", {"port": 0, "protocol": "TCP"}),
        (NODE, "status.conditions", {"type": ""}),
    ],
)
def test_granular_lists_have_their_keys(go_type: str, path: str, keys: dict[str, object]) -> None:
    list_ = at(go_type, path).list
    assert list_ is not None
    assert (list_.atomic, dict(list_.keys)) == (False, keys)


@pytest.mark.parametrize(
    ("go_type", "path", "atomic"),
    [
        (POD, "spec.nodeSelector", True),
        (POD, "spec.containers.*.env.*.valueFrom.fieldRef", True),
        (POD, "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution", True),
        (POD, "spec.containers.*.resources.limits", False),
        (POD, "metadata.labels", False),
        (DEPLOYMENT, "spec.selector", True),
        (DEPLOYMENT, "spec.template", False),
        (SERVICE, "spec.selector", True),
    ],
)
def test_maps_and_structs_are_granular_unless_marked(go_type: str, path: str, atomic: bool) -> None:
    map_ = at(go_type, path).map
    assert map_ is not None
    assert map_.atomic is atomic


def test_other_lists_are_atomic_and_scalars_have_their_kind() -> None:
    for path in ("spec.tolerations", "spec.containers.*.command"):
        list_ = at(POD, path).list
        assert list_ is not None
        assert list_.atomic
    assert at(POD, "spec.hostname").scalar is Scalar.STRING
    assert at(POD, "spec.hostPID").scalar is Scalar.BOOLEAN
    assert at(POD, "spec.terminationGracePeriodSeconds").scalar is Scalar.NUMERIC
    assert at(DEPLOYMENT, "spec.strategy.rollingUpdate.maxSurge").scalar is Scalar.UNTYPED
    assert at(POD, "spec.containers.*.resources.limits.cpu").scalar is Scalar.UNTYPED
    assert at("k8s.io/api/core/v1.Secret", "data.key").scalar is Scalar.STRING


def test_an_empty_object_is_what_go_writes_of_one() -> None:
    pod = {"metadata": {}, "spec": {"containers": None}, "status": {}}
    assert field_types.bundled().empty(POD) == pod
    assert field_types.bundled().empty(DEPLOYMENT)["spec"] == {
        "selector": None,
        "template": {"metadata": {}, "spec": {"containers": None}},
        "strategy": {},
    }


def test_every_kind_has_a_type_and_every_marker_a_field() -> None:
    types = field_types.bundled()
    for kind in KINDS:
        if types.has(kind.go_type):
            assert types.of_name(kind.go_type).map is not None
    for go_type, topology in merge_topology.all_types().items():
        map_ = types.of_name(go_type).map
        assert map_ is not None
        assert topology.fields.keys() <= map_.fields.keys(), go_type
