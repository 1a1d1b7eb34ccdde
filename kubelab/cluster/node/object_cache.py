"""The ConfigMaps and Secrets that the pods of one kubelet name: pods that name the same share an answer.

Source: kubernetes, pkg/kubelet/util/manager/cache_based_manager.go. Upstream's default is to watch them.
"""

from dataclasses import dataclass

from kubelab.cluster.client.api import Api
from kubelab.cluster.clock import Clock
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import Object, Resource

OBJECTS_KEPT = 256  # A few for each namespace; the one that was asked for first falls out.


@dataclass(frozen=True, slots=True)
class _Answer:
    object: Object | None
    at_s: float


class ObjectCache:
    def __init__(self, api: Api, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._answers: dict[tuple[Resource, str, str], _Answer] = {}

    async def get(
        self, resource: Resource, namespace: str, name: str, *, max_age_s: float = 0.0
    ) -> Object | None:
        """Return the object, None if there is none; an answer is good for *max_age_s*.

        Raises:
            ApiError, ConnectionError: it cannot be had.
        """
        key = resource, namespace, name
        now_s = self._clock.monotonic_s()
        known = self._answers.get(key)
        if known is None or now_s - known.at_s >= max_age_s:
            known = self._answers[key] = _Answer(await self._asked(*key), now_s)
            if len(self._answers) > OBJECTS_KEPT:
                del self._answers[next(iter(self._answers))]
        return known.object

    async def _asked(self, resource: Resource, namespace: str, name: str) -> Object | None:
        try:
            return await self._api.get(resource, namespace, name)
        except ApiError as refusal:
            if refusal.is_not_found:
                return None
            raise
