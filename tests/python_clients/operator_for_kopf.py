"""An operator: for each Boat it makes a ConfigMap of its own, and says in the status that it did."""

import kopf
from kubernetes import client, config


@kopf.on.startup()
def start(settings: kopf.OperatorSettings, **_: object) -> None:
    config.load_kube_config()
    settings.posting.level = 30


@kopf.on.create("example.com", "v1", "boats")
def build(spec: kopf.Spec, name: str, namespace: str, **_: object) -> dict[str, str]:
    body = {"metadata": {"name": f"{name}-log"}, "data": {"masts": str(spec["masts"])}}
    kopf.adopt(body)
    client.CoreV1Api().create_namespaced_config_map(namespace, body)
    return {"log": f"{name}-log"}


@kopf.on.update("example.com", "v1", "boats", field="spec.masts")
def rebuild(new: int, name: str, namespace: str, **_: object) -> None:
    client.CoreV1Api().patch_namespaced_config_map(f"{name}-log", namespace, {"data": {"masts": str(new)}})
