"""Server-side apply: objects that come of it, shared fields, conflicts, force, parts, custom resources.

Source: kubernetes, test/e2e/apimachinery/apply.go.
"""

import json

import pytest
from spec_client import APPLY, MERGE, Client
from spec_definitions import GROUP, definition, established, version, with_spec

from kubelab.cluster.objects import Object

IMAGE = "kubelab/web"
POD: Object = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "test-pod"},
    "spec": {"containers": [{"name": "test-container", "image": "test-image"}]},
}
SERVICE: Object = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "test-svc"},
    "spec": {"ports": [{"port": 8080, "protocol": "UDP"}]},
}
DEPLOYMENT_PATH = "/apis/apps/v1/namespaces/default/deployments/deployment"


def deployment(*, replicas: int | None = 3, container: Object | None = None, **spec: str) -> Object:
    labels = {"app": "nginx"}
    containers = [{"name": "nginx", "image": IMAGE} | (container or {})]
    wanted: Object = {} if replicas is None else {"replicas": replicas}
    wanted |= {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": containers} | spec},
    }
    metadata = {"name": "deployment", "labels": labels}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": wanted}


@pytest.mark.parametrize(
    ("path", "config", "fields"),
    [
        (
            "pods/test-pod",
            POD,
            {"f:containers": {'k:{"name":"test-container"}': {".": {}, "f:image": {}, "f:name": {}}}},
        ),
        (
            "services/test-svc",
            SERVICE,
            {"f:ports": {'k:{"port":8080,"protocol":"UDP"}': {".": {}, "f:port": {}, "f:protocol": {}}}},
        ),
    ],
    ids=["pods", "services"],
)
async def test_an_object_comes_of_being_applied(
    client: Client, path: str, config: Object, fields: Object
) -> None:
    """ServerSideApply should create an applied object if it does not already exist."""
    path = f"/api/v1/namespaces/default/{path}"
    await client.apply(path, config, "apply_test")
    await client.get(path)
    again = await client.apply(path, config, "apply_test_2")
    owned = {each["manager"]: each["fieldsV1"] for each in again["metadata"]["managedFields"]}
    assert owned["apply_test"] == owned["apply_test_2"] == {"f:spec": fields}


async def test_a_status_is_applied_at_its_own_path_alone(client: Client) -> None:
    """ServerSideApply should work for subresources."""
    path = "/api/v1/namespaces/default/pods/test-pod"
    await client.apply(path, POD, "apply_test")
    status = {"conditions": [{"type": "MyStatus", "status": "True"}]}
    config = {key: POD[key] for key in ("apiVersion", "kind", "metadata")} | {"status": status}
    await client.apply(path, config, "apply_test2")
    conditions = (await client.get(path))["status"].get("conditions") or ()
    assert "MyStatus" not in {each["type"] for each in conditions}
    await client.apply(f"{path}/status", config, "apply_test2")
    assert "MyStatus" in {each["type"] for each in (await client.get(path))["status"]["conditions"]}


async def test_a_field_goes_with_its_only_owner(client: Client) -> None:
    """ServerSideApply should remove a field if it is owned but removed in the apply request."""
    ports = {"ports": [{"containerPort": 80, "protocol": "TCP"}]}
    await client.apply(DEPLOYMENT_PATH, deployment(container=ports), "apply_test")
    await client.apply(DEPLOYMENT_PATH, deployment(), "apply_test")
    spec = (await client.get(DEPLOYMENT_PATH))["spec"]["template"]["spec"]
    assert not spec["containers"][0].get("ports")


async def test_a_field_stays_while_another_owns_it(client: Client) -> None:
    """ServerSideApply should not remove a field if an owner unsets the field but other managers still have
    ownership of the field."""
    for manager in ("shared_owner_1", "shared_owner_2"):
        await client.apply(DEPLOYMENT_PATH, deployment(hostname="test-hostname"), manager)
    spec = (await client.apply(DEPLOYMENT_PATH, deployment(replicas=None), "shared_owner_1"))["spec"]
    assert (spec["replicas"], spec["template"]["spec"]["hostname"]) == (3, "test-hostname")


async def test_force_takes_what_another_owns(client: Client) -> None:
    """ServerSideApply should ignore conflict errors if force apply is used."""
    await client.apply(DEPLOYMENT_PATH, deployment(), "apply_test")
    await client.patch(DEPLOYMENT_PATH, {"spec": {"replicas": 5}}, MERGE)
    refused = await client.ask("PATCH", DEPLOYMENT_PATH, deployment(), APPLY, fieldManager="apply_test")
    assert (refused.status, refused.body["reason"]) == (409, "Conflict")
    assert len(refused.causes) >= 1
    await client.apply(DEPLOYMENT_PATH, deployment(), "apply_test", force="true")


async def test_who_leaves_out_a_field_gives_it_up_to_who_updated_it(client: Client) -> None:
    """ServerSideApply should give up ownership of a field if forced applied by a controller."""
    await client.apply(DEPLOYMENT_PATH, deployment(), "test_applier")
    current = await client.get(DEPLOYMENT_PATH)
    await client.update(DEPLOYMENT_PATH, current | {"spec": current["spec"] | {"replicas": 4}})
    applied = await client.apply(DEPLOYMENT_PATH, deployment(replicas=None), "test_applier")
    assert applied["spec"]["replicas"] == 4


def config(name: str, api_version: str = "v1beta1", finalizers: str = "", ports: str = "x: 80") -> str:
    """Return a custom resource as a person writes it."""
    port, number = ports.split(": ")
    return f"""
apiVersion: {GROUP}/{api_version}
kind: Noxu
metadata:
  name: {name}
{finalizers}
spec:
  cronSpec: "* * * * */5"
  replicas: 1
  ports:
  - name: {port}
    containerPort: {number}
    protocol: TCP"""


def only_port(name: str, number: int) -> str:
    return f"""
apiVersion: {GROUP}/v1beta1
kind: Noxu
metadata:
  name: mytest
spec:
  ports:
  - name: "{name}"
    containerPort: {number}
    protocol: TCP"""


async def causes_of(client: Client, path: str, config: str, manager: str) -> int:
    refused = await client.ask("PATCH", path, config, APPLY, fieldManager=manager)
    assert (refused.status, refused.body["reason"]) == (409, "Conflict")
    return len(refused.causes)


async def test_custom_resources_are_applied_in_each_of_their_versions(client: Client) -> None:
    """ServerSideApply should work for CRDs."""
    schema = with_spec(**{"x-kubernetes-preserve-unknown-fields": True})
    crd = definition(
        version("v1beta1", schema), version("v1beta2", schema), version("v0", schema, served=False)
    )
    path = f"{await established(client, crd)}/mytest"
    mine = config("mytest", finalizers="  finalizers:\n  - test-finalizer")
    applied = await client.apply(path, mine, "apply_test")
    assert applied["metadata"]["finalizers"] == ["test-finalizer"]
    assert (applied["spec"]["replicas"], len(applied["spec"]["ports"])) == (1, 1)
    newer = path.replace("v1beta1", "v1beta2")
    applied = await client.apply(newer, config("mytest", "v1beta2"), "apply_test")
    assert (applied["spec"]["replicas"], len(applied["spec"]["ports"])) == (1, 1)
    two = ["test-finalizer", "another-one"]
    assert (await client.patch(path, {"metadata": {"finalizers": two}}))["metadata"]["finalizers"] == two
    assert sorted((await client.apply(path, mine, "apply_test"))["metadata"]["finalizers"]) == sorted(two)
    assert (await client.patch(path, {"spec": {"replicas": 5}}))["spec"]["replicas"] == 5
    assert await causes_of(client, path, mine, "apply_test") == 1
    assert (await client.apply(path, mine, "apply_test", force="true"))["spec"]["replicas"] == 1
    assert await causes_of(client, path, only_port("y", 80), "apply_test_2") == 1
    assert len((await client.apply(path, only_port("y", 8080), "apply_test_2"))["spec"]["ports"]) == 2
    unborn = json.dumps(
        {"apiVersion": f"{GROUP}/v1beta1", "kind": "Noxu", "metadata": {"name": "should-not-exist"}}
    )
    answer = await client.ask(
        "PUT", path.replace("mytest", "should-not-exist"), unborn, fieldManager="apply_test"
    )
    assert answer.status == 404
    await client.patch(path, {"metadata": {"finalizers": []}})


async def test_an_atomic_list_is_replaced_as_a_whole(client: Client) -> None:
    """ServerSideApply should work for CRDs."""
    atomic = {"type": "array", "x-kubernetes-list-type": "atomic", "items": {"type": "string"}}
    schema = with_spec(properties={"atomicList": atomic})
    path = f"{await established(client, definition(version('v1beta1', schema)))}/a"
    for manager, item, force in (("apply_test", "item1", "false"), ("apply_test_2", "item2", "true")):
        wanted = {"apiVersion": f"{GROUP}/v1beta1", "kind": "Noxu", "metadata": {"name": "a"}}
        applied = await client.apply(path, wanted | {"spec": {"atomicList": [item]}}, manager, force=force)
        assert applied["spec"]["atomicList"] == [item]
