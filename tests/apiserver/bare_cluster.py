"""An API server with the namespace default and nothing else: for tests of what comes to be in it."""

from kubelab.cluster.apiserver import lifecycle
from kubelab.cluster.apiserver.kinds import BY_RESOURCE
from kubelab.cluster.apiserver.local import LocalApi
from kubelab.cluster.apiserver.registry import Registry
from kubelab.cluster.apiserver.versions import copied
from kubelab.cluster.clock import VirtualClock
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import NAMESPACES, Object, Resource
from kubelab.cluster.store.memory import MemoryStore


async def bare_api(clock: VirtualClock) -> LocalApi:
    api = LocalApi(Registry(MemoryStore(), clock))
    await api.create(NAMESPACES, {"metadata": {"name": "default"}})
    return api


def refusal_of(resource: Resource, obj: Object) -> str:
    """Return why a new *obj* is refused, "" if it is not; pure, so a table of cases costs little."""
    kind, now = BY_RESOURCE[resource], VirtualClock().now()
    try:
        new = lifecycle.begin_create(kind, copied(obj), "default", uid="1", suffix=str, now=now)
        lifecycle.finish_create(kind, new)
    except ApiError as error:
        assert (error.code, error.reason) == (422, "Invalid")
        assert error.details["causes"]
        return str(error)
    return ""
