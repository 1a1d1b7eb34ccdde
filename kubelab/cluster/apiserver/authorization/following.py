"""Keeping the authorizers' copies of roles, bindings and pods up to date while a server runs.

Source: kubernetes, pkg/kubeapiserver/authorizer/config.go (its shared informers).
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from kubelab.cluster.apiserver.authorization.authorizer import Authorizer
from kubelab.cluster.apiserver.local import LocalApi
from kubelab.cluster.apiserver.registry import Registry
from kubelab.cluster.client.informer import Handler, Informer
from kubelab.cluster.objects import (
    CLUSTERROLEBINDINGS,
    CLUSTERROLES,
    PODS,
    ROLEBINDINGS,
    ROLES,
    Resource,
)


@asynccontextmanager
async def following(registry: Registry, authorizer: Authorizer) -> AsyncIterator[None]:
    """Have *authorizer* know what *registry* holds from the block's first line to its last."""
    policy = authorizer.policy
    handlers: dict[Resource, Handler] = {
        CLUSTERROLES: policy.role_changed,
        ROLES: policy.role_changed,
        CLUSTERROLEBINDINGS: policy.binding_changed,
        ROLEBINDINGS: policy.binding_changed,
        PODS: authorizer.graph.pod_changed,
    }
    api = LocalApi(registry)
    async with AsyncExitStack() as stack:
        for resource, handler in handlers.items():
            if registry.kinds.get(resource) is None:
                continue
            informer = Informer(api, resource, clock=registry.clock)
            informer.on_change(handler)
            await stack.enter_async_context(informer)
            await informer.wait_synced()
        yield
