"""Bindings as a collection of their own: the older way to do what the subresource `pods/binding` does.

Source: kubernetes, pkg/registry/core/pod/storage/storage.go (LegacyBindingREST).
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from kubelab.cluster.apiserver import refusals
from kubelab.cluster.objects import PODS, Object

if TYPE_CHECKING:
    from kubelab.cluster.apiserver.kind import Call
    from kubelab.cluster.apiserver.registry import Registry


async def bind(registry: "Registry", call: "Call") -> Object:
    """Assign the pod that the binding is called after."""
    if (call.body.get("metadata") or {}).get("namespace", "") != call.namespace:
        raise refusals.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    return await registry.act("binding", replace(call, kind=registry.kinds[PODS]))
