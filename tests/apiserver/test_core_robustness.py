"""Whatever fits a kind's schema is taken, or refused with 422: no client makes the server stumble."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubelab.cluster.apiserver import lifecycle, schema
from kubelab.cluster.apiserver.caller import SYSTEM
from kubelab.cluster.apiserver.core_kinds import KINDS
from kubelab.cluster.apiserver.go_types import GoKind, GoType
from kubelab.cluster.apiserver.kind import Kind, Write
from kubelab.cluster.apiserver.versions import copied
from kubelab.cluster.clock import VirtualClock
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import PODS, SERVICES, Object

KEPT = [kind for kind in KINDS if not kind.conversion]
NOW = VirtualClock().now()
WORDS = (
    *("", "a", "A_b", "..", "/x", " ", "é", "x" * 300, "10.1.0.2", "fd00::1", "::ffff:1.2.3.4", "010.1.1.1"),
    *(
        "10.0.0.0/8",
        "None",
        "NodePort",
        "LoadBalancer",
        "ExternalName",
        "ClientIP",
        "Local",
        "Always",
        "Never",
    ),
    *(
        "In",
        "Exists",
        "Gt",
        "Localhost",
        "NoExecute",
        "Container",
        "Pod",
        "vendor.com/x",
        "cpu",
        "hugepages-2Mi",
    ),
    *(
        "Never",
        "hugepages-2Mi",
        "kubernetes.io/tls",
        "metadata.labels['a']",
        "v1",
        "RequireDualStack",
        "IPv6",
        "DoNotSchedule",
    ),
)
QUANTITIES = ("0", "-1", "1", "500m", "1Gi", "1e3", "9223372036854775807")
NUMBERS = (0, 1, -1, 80, 300, 70000, 2**31 - 1)
_LEAVES: dict[GoKind, tuple[Any, ...]] = {
    GoKind.STRING: WORDS,
    GoKind.BOOL: (True, False),
    GoKind.INT32: NUMBERS,
    GoKind.INT64: NUMBERS,
}
_NAMED = {
    schema.QUANTITY: QUANTITIES,
    schema.INT_OR_STRING: (0, 80, 70000, "http", "a_b", ""),
    schema.TIME: ("2026-01-01T00:00:00Z",),
    schema.MICRO_TIME: ("2026-01-01T00:00:00.000000Z",),
}


def some(draw: st.DrawFn, type_: GoType, depth: int = 0) -> Any:
    """Return a value of *type_*: fewer fields the deeper it is."""
    types = schema.bundled().types
    type_ = types.pointed_to(type_)
    if leaves := _NAMED.get(type_.name) or _LEAVES.get(type_.kind):
        return draw(st.sampled_from(leaves))
    if type_.kind is GoKind.STRUCT and type_.name not in schema.FREE_FORM:
        fields = [name for name in types.json_fields(type_) if name != "managedFields"]
        chosen = draw(st.lists(st.sampled_from(fields), max_size=6 if depth < 3 else 3, unique=True))
        return {name: some(draw, types.json_fields(type_)[name].type, depth + 1) for name in chosen}
    if type_.kind is GoKind.SLICE and types.element(type_).kind is not GoKind.UINT8:
        length = draw(st.integers(0, 2))
        return [some(draw, types.element(type_), depth + 1) for _ in range(length)]
    if type_.kind is GoKind.MAP:
        keys = draw(st.lists(st.sampled_from(WORDS), max_size=2, unique=True))
        return {key: some(draw, types.element(type_), depth + 1) for key in keys}
    return {} if type_.kind is GoKind.STRUCT else ""


@st.composite
def objects(draw: st.DrawFn, kind: Kind) -> Object:
    obj: Object = some(draw, schema.bundled().types.of_name(kind.go_type))
    fitted, _ = schema.bundled().fitted(kind.go_type, obj | {"metadata": {"name": "a"}})
    return fitted


def created(kind: Kind, obj: Object) -> Object | None:
    try:
        new = lifecycle.begin_create(kind, copied(obj), "default", uid="1", suffix=str, now=NOW)
        return lifecycle.finish_create(kind, new)
    except ApiError as error:
        assert error.code == 422
        return None


BASES: dict[Any, Object] = {
    PODS: {
        "spec": {"containers": [{"name": "c", "image": "i"}], "initContainers": [{"name": "i", "image": "i"}]}
    },
    SERVICES: {"spec": {"ports": [{"port": 80}]}},
}


@pytest.mark.parametrize("kind", KEPT, ids=lambda kind: kind.resource.group_resource)
@settings(max_examples=10, deadline=None, database=None)
@given(data=st.data())
def test_any_object_is_taken_or_refused(kind: Kind, data: st.DataObject) -> None:
    created(kind, data.draw(objects(kind)))
    base = {"metadata": {"name": "a"}} | BASES.get(kind.resource, {})
    if (old := created(kind, base)) is None:
        return
    for part in ("", *({"status", "ephemeralcontainers"} & set(kind.subresources))):
        try:
            wanted = copied(old) | data.draw(objects(kind))
            new = lifecycle.begin_update(kind, wanted, copied(old), Write(SYSTEM, NOW, part))
            new = lifecycle.finish_update(kind, new, copied(old), part)
        except ApiError as error:
            assert error.code == 422
        else:
            assert len(kind.cells(new, NOW)) == len(kind.columns)
            assert all(isinstance(warning, str) for warning in kind.warnings(new))
