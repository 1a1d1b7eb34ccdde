"""What an object asks for that this lab does not do, one sentence a field: kubectl prints them as warnings.

Such a field is kept and shown, as a field of Kubernetes; without a word its absence would mislead.
Source: kubernetes, pkg/api/pod/warnings.go (how warnings read, and who gives them).
Left out: what the kubelet itself refuses, in an event (other volumes, variables from secrets).
"""

from collections.abc import Iterator, Mapping

from kubelab.cluster.objects import Object

_NO_PRIORITY = "this lab's scheduler knows neither priorities nor preemption"
_POD = {
    "activeDeadlineSeconds": "this lab lets the pod run on",
    "overhead": "this lab counts the requests of containers only",
    "priority": _NO_PRIORITY,
    "priorityClassName": _NO_PRIORITY,
    "readinessGates": "in this lab a pod is ready when its containers run",
    "resources": "this lab counts and limits the resources of containers only",
    "runtimeClassName": "this lab has one container runtime",
    "topologySpreadConstraints": "this lab's scheduler does not spread by topology",
}
_NO_PROBES = "this lab does not run probes yet"
_CONTAINER = {
    "lifecycle": "this lab does not run hooks yet",
    "livenessProbe": f"{_NO_PROBES}; a container is restarted when it ends",
    "readinessProbe": f"{_NO_PROBES}; a container that runs is ready",
    "startupProbe": f"{_NO_PROBES}; a container that runs has started",
    "volumeDevices": "this lab has no block devices for pods",
}
_AFFINITY = dict.fromkeys(
    ("podAffinity", "podAntiAffinity"), "this lab's scheduler looks at nodes, not at other pods"
)


def of_pod(pod: Object) -> Iterator[str]:
    return _of_spec(pod.get("spec") or {}, "spec")


def of_workload(obj: Object) -> Iterator[str]:
    """Yield the warnings about the pod template of a Deployment or ReplicaSet."""
    template = (obj.get("spec") or {}).get("template") or {}
    return _of_spec(template.get("spec") or {}, "spec.template.spec")


def of_node(node: Object) -> Iterator[str]:
    for index, taint in enumerate((node.get("spec") or {}).get("taints") or ()):
        # The node lifecycle controller's own taints are no person's wish.
        if taint.get("effect") == "NoExecute" and not taint["key"].startswith("node.kubernetes.io/"):
            why = "NoExecute keeps new pods away; this lab does not evict those that run"
            yield f"spec.taints[{index}].effect: {why}"


def _of_spec(spec: Object, field: str) -> Iterator[str]:
    yield from _ignored(spec, _POD, field)
    if affinity := spec.get("affinity"):
        yield from _ignored(affinity, _AFFINITY, f"{field}.affinity")
    for kind in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(kind) or ()):
            yield from _of_container(container, f"{field}.{kind}[{index}]")


def _of_container(container: Object, field: str) -> Iterator[str]:
    yield from _ignored(container, _CONTAINER, field)
    if container.get("restartPolicy"):
        why = "this lab has no sidecars; the pod's restartPolicy holds for all its containers"
        yield f"{field}.restartPolicy: ignored: {why}"
    for index, port in enumerate(container.get("ports") or ()):
        if port.get("hostPort"):
            yield f"{field}.ports[{index}].hostPort: ignored: this lab forwards no port of the machine"


def _ignored(part: Object, fields: Mapping[str, str], path: str) -> Iterator[str]:
    """Yield a sentence for each of *fields* that *part* asks something with (an empty value asks nothing)."""
    if part.keys().isdisjoint(fields):
        return iter(())
    return (f"{path}.{name}: ignored: {why}" for name, why in fields.items() if part.get(name))
