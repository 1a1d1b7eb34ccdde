"""Small objects to begin with."""

from typing import Any

from kubelab.cluster.objects import Object


def pod(name: str = "web", namespace: str = "default", **spec: Any) -> Object:
    containers = [{"name": "shell", "image": "kubelab/shell"}]
    metadata = {"name": name, "namespace": namespace, "labels": {"app": name}}
    return {"metadata": metadata, "spec": {"containers": containers} | spec}


def deployment(name: str = "web", replicas: int = 2) -> Object:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": pod()["spec"]}
    return {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
    }


def configmap(name: str = "settings", **data: str) -> Object:
    return {"metadata": {"name": name, "namespace": "default"}, "data": data}


def node(name: str = "minion-1", address: str = "127.0.0.1") -> Object:
    addresses = [{"type": "InternalIP", "address": address}]
    conditions = [{"type": "Ready", "status": "True"}]
    status = {"addresses": addresses, "conditions": conditions, "nodeInfo": {"kubeletVersion": "v1.37.1"}}
    return {"metadata": {"name": name}, "status": status}


def on(node_name: str, name: str = "web") -> Object:
    """Return the binding of a pod to a node."""
    return {"metadata": {"name": name, "namespace": "default"}, "target": {"name": node_name}}
