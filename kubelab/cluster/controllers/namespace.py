"""The namespace controller: empties a namespace that is being deleted, then lets go of it.

The pods go first: what protects the others from them (a network policy, say) is there as long as they run
(KEP-5080).
Source: kubernetes, pkg/controller/namespace/deletion/namespaced_resources_deleter.go.
"""

from collections.abc import Sequence

from kubelab.cluster.client.api import Api
from kubelab.cluster.client.controller import Controller, Source
from kubelab.cluster.client.informer import Informer
from kubelab.cluster.clock import Clock
from kubelab.cluster.controllers.namespace_conditions import Remaining, conditions
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import NAMESPACES, PODS, Key, Object, Resource, is_deleting, key_of

FINALIZER = "kubernetes"
RETRY_S = (
    1.0  # What is left (a pod in its grace period, say) is looked after again; its end tells nobody here.
)


def wants_emptying(namespace: Object) -> bool:
    return is_deleting(namespace) and FINALIZER in finalizers_of(namespace)


def finalizers_of(namespace: Object) -> list[str]:
    return namespace.get("spec", {}).get("finalizers") or []


def finalized(namespace: Object) -> Object:
    """Return *namespace* without our finalizer, as the finalize subresource takes it."""
    rest = [finalizer for finalizer in finalizers_of(namespace) if finalizer != FINALIZER]
    return namespace | {"spec": namespace.get("spec", {}) | {"finalizers": rest}}


class NamespaceController:
    def __init__(self, api: Api, clock: Clock, namespaces: Informer, resources: Sequence[Resource]) -> None:
        self._api = api
        self._clock = clock
        self._namespaces = namespaces
        self._resources = resources

    async def run(self) -> None:
        sources = [Source(self._namespaces)]
        await Controller("namespace", self.reconcile, sources, clock=self._clock).run()

    async def reconcile(self, key: Key) -> float | None:
        """Delete what there is in a namespace that is going.

        Raises:
            ApiError: something was refused, which the namespace tells; it is tried again.
        """
        cached = self._namespaces.get(key)
        if cached is None or not wants_emptying(cached):
            return None
        try:
            namespace = await self._api.get(NAMESPACES, "", key.name)
            if not wants_emptying(namespace):
                return None
            left = await self._empty_all(key.name)
            namespace = await self._tell(namespace, left)
            if left.refusals:
                raise left.refusals[0]
            if left.resources:
                return RETRY_S
            await self._api.update(NAMESPACES, finalized(namespace), subresource="finalize")
        except ApiError as refusal:
            if not refusal.is_not_found:
                raise
        return None

    async def _tell(self, namespace: Object, left: Remaining) -> Object:
        """Write what keeps *namespace* into its status; return it as it is then."""
        status = namespace.get("status") or {}
        told = status | {"conditions": conditions(status.get("conditions") or (), left, self._clock.now())}
        if told == status:
            return namespace
        return await self._api.update(NAMESPACES, namespace | {"status": told}, subresource="status")

    async def _empty_all(self, namespace: str) -> Remaining:
        left = Remaining()
        await self._empty(PODS, namespace, left)
        if left.resources:
            return left
        for resource in await self._namespaced():
            if resource != PODS:
                await self._empty(resource, namespace, left)
        return left

    async def _namespaced(self) -> list[Resource]:
        """Return what a namespace can hold: the known resources in their order, then all that is served."""
        served = (each for each in await self._api.resources() if each.namespaced)
        return list(dict.fromkeys([*self._resources, *served]))

    async def _empty(self, resource: Resource, namespace: str, left: Remaining) -> None:
        """Delete what there is, and note what is left."""
        try:
            for obj in await self._listed(resource, namespace):
                if not is_deleting(obj):
                    await self._delete(resource, key_of(obj))
            left.add(resource, await self._listed(resource, namespace))
        except ApiError as refusal:
            if refusal.code != 405:  # Measurements, say, go with what they are of.
                left.refusals.append(refusal)

    async def _listed(self, resource: Resource, namespace: str) -> Sequence[Object]:
        """Return what there is; of a resource that is not served, nothing."""
        try:
            return (await self._api.list(resource, namespace)).items
        except ApiError as refusal:
            if refusal.is_not_found:
                return ()
            raise

    async def _delete(self, resource: Resource, key: Key) -> None:
        try:
            await self._api.delete(resource, *key, propagation="Background")
        except ApiError as refusal:
            if not refusal.is_not_found:
                raise
