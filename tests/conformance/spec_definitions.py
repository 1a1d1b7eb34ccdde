"""CustomResourceDefinitions as upstream's e2e fixtures make them, and how they come to be served."""

import json
from typing import Any

from spec_client import Client

from kubelab.cluster.objects import Object

GROUP = "mygroup.example.com"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
ANYTHING: Object = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
PORT: Object = {
    "type": "object",
    "properties": {
        "containerPort": {"format": "int32", "type": "integer"},
        "hostIP": {"type": "string"},
        "hostPort": {"format": "int32", "type": "integer"},
        "name": {"type": "string"},
        "protocol": {"type": "string"},
    },
    "required": ["containerPort", "protocol"],
}
PORTS: Object = {
    "type": "array",
    "x-kubernetes-list-map-keys": ["containerPort", "protocol"],
    "x-kubernetes-list-type": "map",
    "items": PORT,
}
CRON_SPEC: Object = {"type": "string", "pattern": r"^(\d+|\*)(/\d+)?(\s+(\d+|\*)(/\d+)?){4}$"}


def with_spec(**more: Any) -> Object:
    """Return the schema of a resource with a cron spec and ports; *more* goes into the schema of its spec."""
    properties = {"foo": {"type": "string"}, "cronSpec": CRON_SPEC, "ports": PORTS} | more.pop(
        "properties", {}
    )
    return {"type": "object", "properties": {"spec": {"type": "object", "properties": properties} | more}}


def version(name: str, schema: Object, **more: Any) -> Object:
    made = {"name": name, "served": True, "storage": name == "v1beta1", "schema": {"openAPIV3Schema": schema}}
    return made | more


def definition(*versions: Object, plural: str = "noxus", scope: str = "Cluster") -> Object:
    kind = plural.rstrip("s").capitalize()
    names = {"plural": plural, "singular": plural.rstrip("s"), "kind": kind, "listKind": f"{kind}List"}
    return {
        "kind": "CustomResourceDefinition",
        "apiVersion": "apiextensions.k8s.io/v1",
        "metadata": {"name": f"{plural}.{GROUP}", "creationTimestamp": None},
        "spec": {"group": GROUP, "scope": scope, "names": names, "versions": list(versions)},
        "status": {"conditions": None, "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": None},
    }


async def established(client: Client, crd: Object) -> str:
    """Create *crd* and wait until its resources are served; return the path of its stored version."""
    await client.create(DEFINITIONS, crd)
    plural = crd["spec"]["names"]["plural"]
    stored = next(each["name"] for each in crd["spec"]["versions"] if each["storage"])
    path = f"/apis/{GROUP}/{stored}/{plural}"
    await client.until(path, lambda answer: answer.status == 200)
    return path


async def with_schema(client: Client, path: str, schema: Object, collection: str) -> None:
    """Give the only version of the definition at *path* another *schema*; wait until it counts.

    As upstream's test does: a field that only the new schema knows is asked for with a wrong value until
    the refusal names the right one.
    """
    crd = json.loads(json.dumps(await client.get(path)))
    properties = schema["properties"] | {"sentinel": {"type": "string", "enum": [json.dumps(schema)]}}
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = schema | {"properties": properties}
    await client.update(path, crd)
    names, group = crd["spec"]["names"], f"{GROUP}/{crd['spec']['versions'][0]['name']}"
    wrong = {
        "apiVersion": group,
        "kind": names["kind"],
        "metadata": {
            "name": "sentinel-resource",
            "finalizers": ["unqualified-finalizer"],
            "labels": {"#inv/($%)/alid=": ">htt$://"},
        },
        "sentinel": "wrong",
    }
    while True:
        answer = await client.ask(
            "PATCH",
            f"{collection}/sentinel-resource",
            wrong,
            "application/apply-patch+yaml",
            fieldManager="manager",
        )
        assert answer.status == 422, answer
        if any(
            each["field"] == "sentinel" and "supported values" in each["message"] for each in answer.causes
        ):
            return
