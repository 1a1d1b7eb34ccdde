"""The loop of every controller: changes become keys, keys are reconciled, failures come back later.

    informers --changed objects--> keys --> work queue --> workers: await reconcile(key)

`reconcile` looks at the world as it is now, not at what changed, and brings it one step closer to the spec;
so it may be called too often and after a restart, and a lost event does no harm. It returns None, or in how
many seconds it wants to look again.

Source: kubernetes-sigs/controller-runtime, pkg/reconcile/reconcile.go, pkg/internal/controller/controller.go.
Left out: predicates, leader election, metrics.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from kubelab.cluster.client.informer import Handler, Informer
from kubelab.cluster.client.workqueue import WorkQueue
from kubelab.cluster.clock import Clock
from kubelab.cluster.errors import ApiError
from kubelab.cluster.linux.background import background, forever
from kubelab.cluster.objects import Key, Object, Resource, controller_of, key_of

logger = logging.getLogger(__name__)

Reconcile = Callable[[Key], Awaitable[float | None]]
KeysOf = Callable[[Object], Iterable[Key]]


def own_key(obj: Object) -> Iterable[Key]:
    return (key_of(obj),)


def controller_key(resource: Resource) -> KeysOf:
    """Return the function from an object to the key of the *resource* that controls it, if one does."""

    def keys_of(obj: Object) -> Iterable[Key]:
        owner = controller_of(obj)
        if owner and (owner["kind"], owner["apiVersion"]) == (resource.kind, resource.api_version):
            yield Key(obj["metadata"].get("namespace", ""), owner["name"])

    return keys_of


@dataclass(frozen=True, slots=True)
class Source:
    """An informer, and which keys a changed object of it touches."""

    informer: Informer
    keys_of: KeysOf = own_key


class Controller:
    """`run` it inside the `async with` of its sources' informers.

    An `ApiError` or `ConnectionError` out of `reconcile` brings the key back with exponential back-off; any
    other exception is a bug, and ends `run`.
    """

    def __init__(
        self, name: str, reconcile: Reconcile, sources: Sequence[Source], *, clock: Clock, workers: int = 1
    ) -> None:
        self.name = name
        self._reconcile = reconcile
        self._sources = tuple(sources)
        self._workers = workers
        self._queue = WorkQueue[Key](clock)

    def enqueue(self, key: Key, delay_s: float = 0.0) -> None:
        """Have *key* reconciled for a reason that no source knows of."""
        self._queue.add_after(key, delay_s)

    async def run(self) -> None:
        """Reconcile until cancelled; the first time when all sources have synced."""
        with ExitStack() as subscriptions:
            for source in self._sources:
                subscriptions.callback(source.informer.on_change(self._handler(source.keys_of)))
            for source in self._sources:
                await source.informer.wait_synced()
            async with self._queue, background(*(self._work() for _ in range(self._workers))):
                await forever()

    def _handler(self, keys_of: KeysOf) -> Handler:
        def enqueue(old: Object | None, new: Object | None) -> None:
            for obj in (old, new):
                for key in keys_of(obj) if obj else ():
                    self._queue.add(key)

        return enqueue

    async def _work(self) -> None:
        while True:
            key = await self._queue.get()
            try:
                self._requeue(key, await self._reconcile(key))
            except (ApiError, ConnectionError) as failure:
                logger.debug("%s: reconciling %s: %s", self.name, key, failure)
                self._queue.add_rate_limited(key)
            finally:
                self._queue.done(key)

    def _requeue(self, key: Key, delay_s: float | None) -> None:
        self._queue.forget(key)
        if delay_s is not None:
            self._queue.add_after(key, delay_s)
