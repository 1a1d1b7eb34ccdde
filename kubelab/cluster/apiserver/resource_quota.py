"""ResourceQuota: what is created is charged to the quotas of its namespace, and refused when one is used up.

A quota's status is where usage is counted, and each charge is a compare-and-write of it: so two creations at
the same moment, even on two servers, cannot both take the last place. What is given back (an object is gone,
or never came about after it was charged) the controller finds out by counting.
Source: kubernetes, staging/src/k8s.io/apiserver/pkg/admission/plugin/resourcequota/{admission,controller}.go;
https://kubernetes.io/docs/concepts/policy/resource-quotas/.
Left out: charging several requests at once; resources that are limited without a quota.
"""

import asyncio
from weakref import WeakValueDictionary

from kubelab.cluster import quota
from kubelab.cluster.apiserver.admission import Attributes
from kubelab.cluster.apiserver.listers import Reader
from kubelab.cluster.apiserver.registry import Registry
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import RESOURCEQUOTAS, Object, key_of
from kubelab.cluster.quota import Charge, QuotaError, used_after
from kubelab.cluster.resource_list import written


class ResourceQuota:
    def __init__(self, registry: Registry, quotas: Reader) -> None:
        self._registry = registry
        self._quotas = quotas
        # Requests of one namespace take turns; else each conflict with another would cost a round more.
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def admit(self, attributes: Attributes) -> None:
        """Nothing is changed."""

    async def validate(self, attributes: Attributes) -> None:
        if not is_charged(attributes) or not await self._quotas.list(attributes.namespace):
            return
        turn = self._turns.setdefault(attributes.namespace, asyncio.Lock())
        async with turn:
            try:
                await self._charge(attributes)
            except QuotaError as refusal:
                raise attributes.forbidden(str(refusal)) from None

    async def _charge(self, attributes: Attributes) -> None:
        assert attributes.new is not None
        resource, now = attributes.kind.resource, self._registry.clock.now()
        charge = Charge(resource, attributes.new, attributes.old, now)
        page = await self._registry.list(self._registry.kinds[RESOURCEQUOTAS], attributes.namespace)
        quotas = [version.object for version in page.versions]
        charged = [each for each in quotas if used_after(each, charge) is not None]
        if attributes.dry_run:
            return
        for each in charged:
            await self._write(each, charge)

    async def _write(self, quota: Object, charge: Charge) -> None:
        kind = self._registry.kinds[RESOURCEQUOTAS]
        try:
            # Past admission and validation: what the server itself counts is in order, and every pod waits.
            await self._registry.exchange(kind, *key_of(quota), lambda stored: with_charge(stored, charge))
        except ApiError as refusal:
            if not refusal.is_not_found:  # It was deleted meanwhile: then it limits nothing.
                raise


def is_charged(attributes: Attributes) -> bool:
    resource = attributes.kind.resource
    if attributes.new is None or attributes.subresource or not quota.is_counted(resource):
        return False
    updated = attributes.operation == "UPDATE" and quota.charges_updates(resource)
    return attributes.operation == "CREATE" or updated


def with_charge(stored: Object, charge: Charge) -> Object:
    """Return the quota *stored* when it is charged; raises QuotaError when it is used up by now."""
    used = used_after(stored, charge)
    if used is None:
        return stored
    return stored | {"status": stored["status"] | {"used": written(used)}}
