"""Nodes and pods as the scheduler's tests want them."""

from typing import Any

from kubelab.cluster.objects import Object

READY = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}


def make_node(name: str, cpu: str = "2", memory: str = "2Gi", pods: str = "110", **spec: Any) -> Object:
    labels = {"kubernetes.io/hostname": name} | spec.pop("labels", {})
    amounts = {"cpu": cpu, "memory": memory, "pods": pods}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": spec,
        "status": {"capacity": amounts, "allocatable": amounts, "conditions": [READY]},
    }


def make_pod(name: str = "p", cpu: str = "", memory: str = "", **spec: Any) -> Object:
    requests = {key: value for key, value in (("cpu", cpu), ("memory", memory)) if value}
    container: Object = {"name": "c", "image": "i:1", "resources": {"requests": requests}}
    if port := spec.pop("host_port", None):
        container["ports"] = [{"containerPort": port, "hostPort": port}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "uid": name},
        "spec": {"containers": [container]} | spec,
    }
