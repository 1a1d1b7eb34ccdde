"""Bodies against kubectl's own types: what fits, what does not, and protobuf as another spelling of JSON."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubelab.cluster.apiserver import openapi, protobuf, schema
from kubelab.cluster.apiserver.kinds import KINDS
from kubelab.cluster.apiserver.patching import merge_keys

POD = "k8s.io/api/core/v1.Pod"
DEPLOYMENT = "k8s.io/api/apps/v1.Deployment"


def fitted(go_type: str, body: bytes) -> tuple[dict[str, Any], list[str]]:
    return schema.bundled().fitted(go_type, schema.parse_json(body))


def test_every_kind_has_its_type_in_kubectl() -> None:
    types = schema.bundled().types
    for kind in KINDS:
        fields = types.json_fields(types.of_name(kind.go_type))
        assert {"apiVersion", "kind", "metadata"} <= fields.keys()


def test_unknown_and_duplicate_fields_are_named_by_their_path() -> None:
    template = b'{"spec": {"containers": [{"x": 1}]}}'
    body = b'{"spec": {"replica": 1, "paused": true, "paused": false, "template": %b}}' % template
    kept, problems = fitted(DEPLOYMENT, body)
    assert problems == [
        'unknown field "spec.replica"',
        'duplicate field "spec.paused"',
        'unknown field "spec.template.spec.containers[0].x"',
    ]
    assert kept == {"spec": {"paused": False, "template": {"spec": {"containers": [{}]}}}}


def test_null_is_an_absent_field() -> None:
    assert fitted(POD, b'{"metadata": {"creationTimestamp": null, "labels": {"a": null}}}') == (
        {"metadata": {"labels": {}}},
        [],
    )


def test_quantities_are_kept_in_canonical_form() -> None:
    body = b'{"spec": {"containers": [{"resources": {"limits": {"cpu": 0.5, "memory": "1024Mi"}}}]}}'
    kept, _ = fitted(POD, body)
    assert kept["spec"]["containers"][0]["resources"]["limits"] == {"cpu": "500m", "memory": "1Gi"}


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (
            b'{"spec": {"replicas": "two"}}',
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            b'{"spec": {"replicas": 3000000000}}',
            "json: cannot unmarshal number into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            b'{"spec": []}',
            "json: cannot unmarshal array into Go struct field Deployment.spec of type v1.DeploymentSpec",
        ),
        (
            b'{"spec": {"selector": []}}',
            (
                "json: cannot unmarshal array into Go struct field DeploymentSpec.spec.selector of type "
                "v1.LabelSelector"
            ),
        ),
        (
            b'{"metadata": {"labels": {"a": 1}}}',
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels.a of type string",
        ),
    ],
)
def test_a_wrong_type_is_told_in_the_decoders_words(body: bytes, sentence: str) -> None:
    with pytest.raises(schema.MismatchError) as mismatch:
        fitted(DEPLOYMENT, body)
    assert str(mismatch.value) == sentence


@pytest.mark.parametrize(
    ("path", "key"),
    [
        (("spec", "template", "spec", "containers"), "name"),
        (("spec", "template", "spec", "containers", "ports"), "containerPort"),
        (("spec", "template", "spec", "tolerations"), None),
        (("metadata", "finalizers"), ""),
        (("status", "conditions"), "type"),
        (("nowhere",), None),
    ],
)
def test_merge_keys_come_from_the_struct_tags(path: tuple[str, ...], key: str | None) -> None:
    types = schema.bundled().types
    assert merge_keys(types, types.of_name(DEPLOYMENT))(path) == key


def test_openapi_describes_fields_with_upstreams_words_and_merge_keys() -> None:
    body = openapi.document(KINDS, "api/v1")
    assert body is not None
    schemas = schema.parse_json(body)["components"]["schemas"]
    spec = schemas["io.k8s.api.core.v1.PodSpec"]
    containers = spec["properties"]["containers"]
    assert containers["description"].startswith("List of containers belonging to the pod.")
    assert containers["x-kubernetes-patch-merge-key"] == "name"
    assert spec["required"] == ["containers"]
    assert openapi.document(KINDS, "apis/nothing/v1") is None


# Protobuf


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out, value = out + bytes((value & 0x7F | 0x80,)), value >> 7
    return out + bytes((value,))


def message(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def test_a_protobuf_message_reads_as_json() -> None:
    limits = message(1, message(1, b"cpu") + message(2, message(1, b"500m")))
    probe = message(
        1, message(2, message(1, b"/") + message(2, varint(1 << 3) + varint(0) + varint(2 << 3) + varint(80)))
    )
    container = (
        message(1, b"shell") + message(3, b"sh") + message(3, b"-c") + message(8, limits) + message(10, probe)
    )
    spec = message(2, container) + varint(4 << 3) + varint((1 << 64) - 1)
    metadata = message(1, b"web") + message(11, message(1, b"app") + message(2, b"web"))
    types = schema.bundled().types
    assert protobuf.decode(types, POD, message(1, metadata) + message(2, spec)) == {
        "metadata": {"name": "web", "labels": {"app": "web"}},
        "spec": {
            "containers": [
                {
                    "name": "shell",
                    "command": ["sh", "-c"],
                    "resources": {"limits": {"cpu": "500m"}},
                    "livenessProbe": {"httpGet": {"path": "/", "port": 80}},
                }
            ],
            "terminationGracePeriodSeconds": -1,
        },
    }


@given(st.binary(max_size=200))
def test_no_bytes_upset_the_decoder(data: bytes) -> None:
    try:
        protobuf.decode(schema.bundled().types, POD, data)
        protobuf.envelope(protobuf.MAGIC + data)
    except protobuf.ProtobufError:
        pass


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["metadata", "spec", "containers", "name", "resources", "limits", "ports", "x"]),
            inner,
            max_size=4,
        )
    ),
)


@given(st.dictionaries(st.sampled_from(["metadata", "spec", "status", "x"]), _JSON))
def test_no_body_upsets_the_schema(body: dict[str, Any]) -> None:
    with contextlib.suppress(schema.MismatchError):
        schema.bundled().fitted(POD, body)
