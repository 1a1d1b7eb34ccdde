"""Fields that are unknown or come twice, as a strict client is told of them.

Source: kubernetes, test/e2e/apimachinery/field_validation.go.
"""

import json

import pytest
from spec_client import APPLY, Answer, Client
from spec_definitions import ANYTHING, GROUP, definition, established, version, with_spec

from kubelab.cluster.objects import Object

DEPLOYMENT = """{
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "my-dep", %s "labels": {"app": "nginx"}},
    "spec": {
        %s
        "selector": {"matchLabels": {"app": "nginx"}},
        "template": {
            "metadata": {"labels": {"app": "nginx"}},
            "spec": {"containers": [{"name": "nginx", "image": "nginx:latest"}]}
        }
    }
}"""
CUSTOM = """
apiVersion: {group}/v1beta1
kind: Noxu
metadata:
  name: mytest{metadata}
  finalizers:
  - test-finalizer{root}
spec:{spec}
  cronSpec: "* * * * */5"
  ports:
  - name: x
    containerPort: 80
    protocol: TCP"""
TEMPLATE: Object = {
    "type": "object",
    "x-kubernetes-embedded-resource": True,
    "properties": {
        "metadata": {"type": "object", "properties": {"name": {"type": "string"}}},
        "spec": {"type": "object"},
    },
}
STRICT = {"fieldManager": "field_validation_mgr", "fieldValidation": "Strict"}


@pytest.mark.parametrize(
    ("metadata", "spec", "told"),
    [
        (
            "",
            '"unknownField": "foo", "replicas": 2, "replicas": 3,',
            'strict decoding error: unknown field "spec.unknownField", duplicate field "spec.replicas"',
        ),
        ('"unknownMeta": "foo",', "", 'strict decoding error: unknown field "metadata.unknownMeta"'),
    ],
    ids=[
        "should detect unknown and duplicate fields of a typed object",
        "should detect unknown metadata fields of a typed object",
    ],
)
async def test_a_typed_object_has_only_what_its_type_knows(
    client: Client, metadata: str, spec: str, told: str
) -> None:
    path = "/apis/apps/v1/namespaces/default/deployments"
    answer = await client.ask("POST", path, DEPLOYMENT % (metadata, spec), **STRICT)
    assert (answer.status, told in answer.body["message"]) == (400, True)


async def applied(
    client: Client, schema: Object, *, metadata: str = "", root: str = "", spec: str = ""
) -> Answer:
    """Apply, strictly, a custom resource with such lines, of a kind with such a *schema*."""
    crd = definition(version("v1beta1", schema), version("v1beta2", schema))
    path = await established(client, crd)
    lines = CUSTOM.format(group=GROUP, metadata=metadata, root=root, spec=spec)
    return await client.ask("PATCH", f"{path}/mytest", lines, APPLY, **STRICT)


async def test_a_custom_resource_that_fits_its_schema_is_taken(client: Client) -> None:
    """FieldValidation should create/apply a valid CR for CRD with validation schema."""
    assert (await applied(client, with_spec(), spec="\n  foo: foo1")).status == 201


async def test_without_a_schema_any_field_is_taken(client: Client) -> None:
    """FieldValidation should create/apply a CR with unknown fields for CRD with no validation schema."""
    assert (await applied(client, ANYTHING, spec="\n  unknown: uk1")).status == 201


async def test_a_field_beside_the_schema_is_refused(client: Client) -> None:
    """FieldValidation should create/apply an invalid CR with extra properties for CRD with validation
    schema."""
    answer = await applied(client, with_spec(), root="\nunknownField: unknown", spec="\n  foo: foo1")
    assert ".unknownField: field not declared in schema" in json.dumps(answer.body)


async def test_unknown_metadata_is_refused_at_the_root_and_within(client: Client) -> None:
    """FieldValidation should detect unknown metadata fields in both the root and embedded object of a CR."""
    schema = with_spec(properties={"template": TEMPLATE}, **{"x-kubernetes-preserve-unknown-fields": True})
    embedded = """
  template:
    apiversion: foo/v1
    kind: Sub
    metadata:
        unknownSubMeta: unknown
        name: subobject
        namespace: default"""
    answer = await applied(client, schema, metadata="\n  unknownMeta: unknown", spec=embedded)
    told = json.dumps(answer.body)
    assert (
        ".spec.template.metadata.unknownSubMeta: field not declared in schema" in told
        or ".metadata.unknownMeta: field not declared in schema" in told
    )


async def test_a_field_that_comes_twice_is_refused_though_any_may_come(client: Client) -> None:
    """FieldValidation should detect duplicates in a CR when preserving unknown fields."""
    schema = with_spec(**{"x-kubernetes-preserve-unknown-fields": True})
    answer = await applied(client, schema, spec="\n  unknown: uk1\n  foo: foo1\n  foo: foo2")
    assert 'line 11: key \\"foo\\" already set in map' in json.dumps(answer.body)
