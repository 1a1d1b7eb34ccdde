"""The subresources that show or change a part of an object in a form of their own: scale and binding.

Source: kubernetes, pkg/registry/apps/deployment/storage/storage.go (ScaleREST),
pkg/registry/core/pod/storage/storage.go (BindingREST).
"""

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from kubelab.cluster.apiserver import columns, refusals
from kubelab.cluster.apiserver.crd import scale as custom_scale
from kubelab.cluster.apiserver.fields import FieldError, not_negative, required, unsupported_value
from kubelab.cluster.apiserver.kind import Call, Kind
from kubelab.cluster.clock import rfc3339
from kubelab.cluster.objects import REPLICATIONCONTROLLERS, Object
from kubelab.cluster.pods import observed_generation

if TYPE_CHECKING:
    from kubelab.cluster.apiserver.registry import Registry

BOUND: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
_SHOWN_METADATA = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


def scale_of(kind: Kind, obj: Object) -> Object:
    """Return the `Scale` of a Deployment, say, or of a custom resource."""
    if kind.custom and kind.custom.scale:
        return custom_scale.scale_of(obj, kind.custom.scale)
    selector = obj["spec"].get("selector") or {}
    status: dict[str, Any] = {"replicas": (obj.get("status") or {}).get("replicas", 0)}
    if selector:
        plain = kind.resource == REPLICATIONCONTROLLERS  # Its selector is older than label selectors.
        shown = columns.labels_text if plain else columns.selector_text
        status["selector"] = shown(selector)
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: obj["metadata"][key] for key in _SHOWN_METADATA if key in obj["metadata"]},
        "spec": {"replicas": obj["spec"].get("replicas", 0)},
        "status": status,
    }


def scaled(kind: Kind, obj: Object, scale: Object) -> Object:
    """Return *obj* with the replicas that *scale* asks for."""
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    if errors := list(not_negative(replicas, "spec.replicas")):
        raise refusals.invalid(kind.resource, obj["metadata"]["name"], errors)
    if kind.custom and kind.custom.scale:
        return custom_scale.scaled(obj, scale, kind.custom.scale)
    metadata = dict(obj["metadata"])
    if wanted := (scale.get("metadata") or {}).get("resourceVersion"):
        metadata["resourceVersion"] = wanted
    return obj | {"metadata": metadata, "spec": obj["spec"] | {"replicas": replicas}}


def _wrong_target(target: Object) -> Iterator[FieldError]:
    if target.get("kind", "Node") not in {"", "Node"}:
        yield unsupported_value("target.kind", target["kind"], ("Node", "<empty>"))
    if not target.get("name"):
        yield required("target.name")


def bound(kind: Kind, pod: Object, binding: Object, now: datetime) -> Object:
    """Return *pod* on the node that *binding* names, its PodScheduled condition true."""
    name, target = pod["metadata"]["name"], binding.get("target") or {}
    node = target.get("name", "")
    if errors := list(_wrong_target(target)):
        raise refusals.invalid(kind.resource, name, errors)
    if "deletionTimestamp" in pod["metadata"]:
        why = f"pod {name} is being deleted, cannot be assigned to a host"
        raise refusals.conflict(kind.resource, name, why, subresource="binding")
    if assigned := pod["spec"].get("nodeName"):
        why = f'pod {name} is already assigned to node "{assigned}"'
        raise refusals.conflict(kind.resource, name, why, subresource="binding")
    if pod["spec"].get("schedulingGates"):
        why = f"pod {name} has non-empty .spec.schedulingGates"
        raise refusals.conflict(kind.resource, name, why, subresource="binding")
    metadata = dict(pod["metadata"])
    if annotations := (binding.get("metadata") or {}).get("annotations"):
        metadata["annotations"] = (metadata.get("annotations") or {}) | annotations
    status = dict(pod.get("status") or {})
    conditions = [each for each in status.get("conditions") or () if each.get("type") != "PodScheduled"]
    scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": rfc3339(now)}
    status["conditions"] = [*conditions, scheduled | observed_generation(pod)]
    return pod | {"metadata": metadata, "spec": pod["spec"] | {"nodeName": node}, "status": status}


async def bind(registry: "Registry", call: Call) -> Object:
    """Assign a pod to a node, once."""
    now = registry.clock.now()
    await registry.exchange(
        call.kind,
        call.namespace,
        call.name,
        lambda pod: bound(call.kind, pod, call.body, now),
        dry_run=call.dry_run,
    )
    return BOUND
