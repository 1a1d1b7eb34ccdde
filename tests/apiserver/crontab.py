"""A CustomResourceDefinition as Kubernetes' documentation has it, and variations of it."""

from typing import Any

from kubelab.cluster.objects import Object

GROUP = "stable.example.com"
NAME = f"crontabs.{GROUP}"
SPEC: Object = {
    "type": "object",
    "properties": {
        "cronSpec": {"type": "string", "pattern": r"^(\d+|\*)(/\d+)?(\s+(\d+|\*)(/\d+)?){4}$"},
        "image": {"type": "string", "description": "What runs."},
        "replicas": {"type": "integer", "minimum": 1, "maximum": 10, "default": 1},
    },
}
STATUS: Object = {
    "type": "object",
    "properties": {"replicas": {"type": "integer"}, "labelSelector": {"type": "string"}},
}
SCHEMA: Object = {"type": "object", "description": "A tab.", "properties": {"spec": SPEC, "status": STATUS}}
SUBRESOURCES: Object = {
    "status": {},
    "scale": {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.labelSelector",
    },
}
COLUMNS: list[Object] = [
    {"name": "Spec", "type": "string", "description": "The cron spec", "jsonPath": ".spec.cronSpec"},
    {"name": "Replicas", "type": "integer", "jsonPath": ".spec.replicas"},
    {"name": "Image", "type": "string", "jsonPath": ".spec.image", "priority": 1},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
]


def version(name: str = "v1", schema: Object = SCHEMA, **more: Any) -> Object:
    made: Object = {"name": name, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return made | more


def definition(*versions: Object, **spec: Any) -> Object:
    names = {"plural": "crontabs", "kind": "CronTab", "shortNames": ["ct"], "categories": ["all"]}
    made: Object = {"group": GROUP, "scope": "Namespaced", "names": names}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": NAME},
        "spec": made | {"versions": list(versions or (version(),))} | spec,
    }


def crontab(name: str = "my", api_version: str = f"{GROUP}/v1", **spec: Any) -> Object:
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": api_version, "kind": "CronTab", "metadata": metadata, "spec": spec}
