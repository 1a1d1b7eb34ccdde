"""The ReplicaSet controller: claims pods, creates and deletes as `replicas.plan` says, writes the status.

A ReplicationController differs in its kind and in its selector alone: the same controller, made for its
resource, looks after both, as upstream's does through an adapter.

Source: kubernetes, pkg/controller/replicaset/replica_set.go (syncReplicaSet, manageReplicas) and
pkg/controller/replication/replication_controller.go.
"""

from collections.abc import Iterable, Sequence

from kubelab.cluster.client.api import Api
from kubelab.cluster.client.controller import Controller, Source, controller_key, own_key
from kubelab.cluster.client.events import EventRecorder
from kubelab.cluster.client.informer import Informer
from kubelab.cluster.clock import Clock
from kubelab.cluster.controllers.expectations import Expectations
from kubelab.cluster.controllers.ownership import (
    Claim,
    adoption_patch,
    candidates,
    claim,
    owner_reference,
    release_patch,
)
from kubelab.cluster.controllers.replicas import (
    creation_failure,
    deletion_failure,
    new_pod,
    next_available_s,
    plan,
    selector_of,
    status_of,
    wanted_replicas,
)
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import (
    PODS,
    Key,
    Object,
    controller_of,
    is_deleting,
    key_of,
    labels_of,
    uid_of,
)
from kubelab.cluster.pods import is_active

WORKERS = 5


class ReplicaSetController:
    def __init__(
        self, api: Api, clock: Clock, replica_sets: Informer, pods: Informer, events: EventRecorder
    ) -> None:
        self._api = api
        self._clock = clock
        self._resource = replica_sets.resource
        self._controller_key = controller_key(self._resource)
        self._sets = replica_sets
        self._pods = pods
        self._events = events
        self._expectations = Expectations()

    async def run(self) -> None:
        sources = [Source(self._sets, own_key), Source(self._pods, self._keys_of_pod)]
        # Before the controller's own handler, so that what is observed is known when the key is worked on.
        stop = self._pods.on_change(self._observe)
        try:
            await Controller(
                self._resource.kind.lower(), self.reconcile, sources, clock=self._clock, workers=WORKERS
            ).run()
        finally:
            stop()

    async def reconcile(self, key: Key) -> float | None:
        """Apply one plan to the ReplicaSet at *key* and write its status.

        Raises:
            ApiError: a write was refused; the status tells it, and *key* comes back with back-off.
        """
        replica_set = self._sets.get(key)
        if replica_set is None:
            self._expectations.forget(key)
            return None
        claimed = await self._claim(replica_set)
        failure: ApiError | None = None
        condition: Object | None = None
        if self._expectations.satisfied(key, self._clock.monotonic_s()) and not is_deleting(replica_set):
            failure, condition = await self._manage(key, replica_set, claimed.owned)
        await self._write_status(replica_set, claimed.owned, condition)
        if failure is not None:
            raise failure
        return next_available_s(replica_set, claimed.owned, self._clock.now())

    async def _claim(self, replica_set: Object) -> Claim:
        selector = selector_of(replica_set)
        pods = [pod for pod in candidates(replica_set, self._pods) if is_active(pod)]
        claimed = claim(replica_set, pods, lambda pod: selector.matches(labels_of(pod)))
        if claimed.adopt:
            await self._confirm(replica_set)
        for pod in claimed.adopt:
            await self._patch(pod, adoption_patch(self._resource, replica_set, pod))
        for pod in claimed.release:
            await self._patch(pod, release_patch(uid_of(replica_set), pod))
        return claimed

    async def _confirm(self, replica_set: Object) -> None:
        """Adopt only for an owner that is still there: the cache may be behind its deletion."""
        fresh = await self._api.get(self._resource, *key_of(replica_set))
        if uid_of(fresh) != uid_of(replica_set) or is_deleting(fresh):
            raise ApiError(409, "Conflict", f"{key_of(replica_set)} has been deleted just now")

    async def _patch(self, pod: Object, patch: Object) -> None:
        try:
            await self._api.patch(PODS, *key_of(pod), patch)
        except ApiError as refusal:
            if not refusal.is_not_found:
                raise

    async def _manage(
        self, key: Key, replica_set: Object, pods: Sequence[Object]
    ) -> tuple[ApiError | None, Object | None]:
        """Create or delete; return the first refusal, and the condition that tells of it."""
        todo = plan(wanted_replicas(replica_set), pods, self._clock.now())
        uids = frozenset(uid_of(pod) for pod in todo.delete)
        if not todo.create and not uids:
            return None, None
        self._expectations.expect(key, self._clock.monotonic_s(), creations=todo.create, deletions=uids)
        if todo.create:
            refusal = await self._create(key, replica_set, todo.create)
            return refusal, creation_failure(refusal.message) if refusal else None
        refusal = await self._delete(key, replica_set, todo.delete)
        return refusal, deletion_failure(refusal.message) if refusal else None

    async def _create(self, key: Key, replica_set: Object, count: int) -> ApiError | None:
        pod = new_pod(replica_set, owner_reference(self._resource, replica_set))
        for done in range(count):
            try:
                created = await self._api.create(PODS, pod)
            except (ApiError, ConnectionError) as failure:
                for _ in range(count - done):
                    self._expectations.created(key)
                if not isinstance(failure, ApiError):
                    raise
                if _namespace_is_going(failure):
                    return None  # So would be all that is created; to try it again is no use.
                self._warn(replica_set, "FailedCreate", f"Error creating: {failure.message}")
                return failure
            self._tell(replica_set, "SuccessfulCreate", f"Created pod: {key_of(created).name}")
        return None

    async def _delete(self, key: Key, replica_set: Object, pods: Iterable[Object]) -> ApiError | None:
        refused: ApiError | None = None
        for pod in pods:
            name = key_of(pod).name
            try:
                await self._api.delete(PODS, *key_of(pod), uid=uid_of(pod))
            except (ApiError, ConnectionError) as failure:
                self._expectations.deleted(key, uid_of(pod))
                if not isinstance(failure, ApiError):
                    raise
                if failure.is_not_found:
                    continue
                self._warn(replica_set, "FailedDelete", f"Error deleting: {failure.message}")
                refused = failure
            else:
                self._tell(replica_set, "SuccessfulDelete", f"Deleted pod: {name}")
        return refused

    async def _write_status(
        self, replica_set: Object, pods: Sequence[Object], condition: Object | None
    ) -> None:
        status = status_of(replica_set, pods, condition, self._clock.now())
        if status == _comparable(replica_set.get("status", {})):
            return
        try:
            await self._api.update(self._resource, replica_set | {"status": status}, subresource="status")
        except ApiError as refusal:
            if not refusal.is_not_found:
                raise

    def _observe(self, old: Object | None, new: Object | None) -> None:
        """Tell the expectations what has been seen: a new pod, or one that is gone or going."""
        pod = new or old
        owner = next(iter(self._controller_key(pod)), None) if pod else None
        if pod is None or owner is None:
            return
        if old is None:
            self._expectations.created(owner)
        if new is None or is_deleting(new):
            self._expectations.deleted(owner, uid_of(pod))

    def _keys_of_pod(self, pod: Object) -> Iterable[Key]:
        """An orphan may be adopted by any ReplicaSet of its namespace whose selector it meets."""
        if controller_of(pod) is not None:
            yield from self._controller_key(pod)
            return
        for replica_set in self._sets.objects(key_of(pod).namespace):
            if selector_of(replica_set).matches(labels_of(pod)):
                yield key_of(replica_set)

    def _tell(self, replica_set: Object, reason: str, message: str) -> None:
        self._events.record(self._resource, replica_set, "Normal", reason, message)

    def _warn(self, replica_set: Object, reason: str, message: str) -> None:
        self._events.record(self._resource, replica_set, "Warning", reason, message)


def _comparable(status: Object) -> Object:
    """Fill in the zeros that some writers leave out."""
    counts = ("replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration")
    return dict.fromkeys(counts, 0) | status


def _namespace_is_going(refusal: ApiError) -> bool:
    return "NamespaceTerminating" in {each.get("reason") for each in refusal.details.get("causes") or ()}
