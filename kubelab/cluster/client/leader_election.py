"""Leader election by a Lease, for components of which one at a time may work: `election` decides, this acts.

Source: kubernetes, staging/src/k8s.io/client-go/tools/leaderelection/leaderelection.go.
Left out: the event "stopped leading": whoever loses the Lease cannot write, and ends.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine
from typing import Any

from kubelab.cluster.client.api import Api
from kubelab.cluster.client.election import JITTER_FACTOR, NAMESPACE, Election, Record, Timing
from kubelab.cluster.client.events import EventRecorder
from kubelab.cluster.clock import Clock
from kubelab.cluster.errors import ApiError, LabError
from kubelab.cluster.linux.background import background
from kubelab.cluster.objects import LEASES, Object
from kubelab.language import Text

logger = logging.getLogger(__name__)

UPSTREAM = Timing()


class LeaseLostError(LabError):
    """A leader could not renew its Lease in time. As upstream's components do, it should end."""


class LeaderElector:
    """A candidate for the Lease *name*, as *identity*; events are told by *component*."""

    def __init__(
        self,
        api: Api,
        clock: Clock,
        *,
        name: str,
        identity: str,
        component: str,
        timing: Timing = UPSTREAM,
        chance: random.Random | None = None,
    ) -> None:
        self._api = api
        self._clock = clock
        self._name = name
        self._timing = timing
        self._chance = chance or random.Random()  # noqa: S311 - spreads attempts, no secret
        self._election = Election(identity, timing)
        self._events = EventRecorder(api, clock, component)
        self._lease: Object | None = None

    @property
    def leader(self) -> str:
        """Who led when this candidate looked last; empty if nobody did."""
        return self._election.leader

    async def lead(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Wait until this candidate leads, and do *work* as long as it does.

        A cancellation ends it as a kill does: the Lease stays held until it runs out; see `release`.

        Raises:
            LeaseLostError: the Lease could not be renewed; *work* has been cancelled.
        """
        async with background(self._events.run()):
            await self._acquire()
            assert self._lease is not None
            message = f"{self._election.identity} became leader"
            self._events.record(LEASES, self._lease, "Normal", "LeaderElection", message)
            async with background(work()):
                await self._keep()
        raise LeaseLostError(_LOST.format(name=self._name, identity=self._election.identity))

    async def release(self) -> None:
        """Give the Lease up if it is ours: for a graceful end, when `lead` has been cancelled."""
        if not self._election.is_ours or self._lease is None:
            return
        try:
            await self._write(self._election.resignation(self._clock.now()))
        except ApiError as refusal:
            if not refusal.is_conflict:
                raise
            await self._release_anew()

    async def _release_anew(self) -> None:
        """The last renewal was cancelled under way, and written nevertheless: so look what it is now."""
        self._lease = await self._api.get(LEASES, NAMESPACE, self._name)
        if Record.of(self._lease).holder == self._election.identity:
            await self._write(self._election.resignation(self._clock.now()))

    async def _acquire(self) -> None:
        while not await self._try():
            spread = 1 + self._chance.random() * JITTER_FACTOR
            await self._clock.sleep(self._timing.retry_s * spread)

    async def _keep(self) -> None:
        """Return when the Lease could not be renewed for `renew_deadline_s`."""
        while await self._renewed():
            await self._clock.sleep(self._timing.retry_s)

    async def _renewed(self) -> bool:
        end_s = self._clock.monotonic_s() + self._timing.renew_deadline_s
        while (left_s := end_s - self._clock.monotonic_s()) > 0:
            if await self._in_time(left_s):
                return True
            await self._clock.sleep(min(self._timing.retry_s, end_s - self._clock.monotonic_s()))
        return False

    async def _in_time(self, limit_s: float) -> bool:
        """Try once; an attempt that takes longer than *limit_s* has failed."""
        trying = asyncio.ensure_future(self._try())
        limit = asyncio.ensure_future(self._clock.sleep(limit_s))
        try:
            await asyncio.wait({trying, limit}, return_when=asyncio.FIRST_COMPLETED)
            return trying.done() and trying.result()
        finally:
            for each in (trying, limit):
                each.cancel()
            await asyncio.gather(trying, limit, return_exceptions=True)

    async def _try(self) -> bool:
        """Acquire the Lease, or renew it; return whether this candidate leads."""
        try:
            return await self._acquire_or_renew()
        except (ApiError, ConnectionError) as failure:
            logger.debug("lease %s: %s", self._name, failure)
            return False

    async def _acquire_or_renew(self) -> bool:
        election, now_s = self._election, self._clock.monotonic_s()
        # The leader need not read what only it may write.
        if election.leads(now_s) and await self._renew_as_known():
            return True
        try:
            self._lease = await self._api.get(LEASES, NAMESPACE, self._name)
        except ApiError as refusal:
            if not refusal.is_not_found:
                raise
            await self._create()
            return True
        election.see(Record.of(self._lease), self._clock.monotonic_s())
        if not election.may_write(self._clock.monotonic_s()):
            return False
        await self._write(election.claim(self._clock.now()))
        return True

    async def _renew_as_known(self) -> bool:
        try:
            await self._write(self._election.claim(self._clock.now()))
        except ApiError as refusal:
            logger.debug("lease %s: %s; reading it", self._name, refusal)
            return False
        return True

    async def _create(self) -> None:
        record = self._election.claim(self._clock.now(), is_first=True)
        metadata = {"name": self._name, "namespace": NAMESPACE}
        lease = {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": metadata}
        self._lease = await self._api.create(LEASES, lease | {"spec": record.spec()})
        self._election.wrote(record, self._clock.monotonic_s())

    async def _write(self, record: Record) -> None:
        """Replace the Lease as it was read; one that others changed meanwhile is refused (409)."""
        assert self._lease is not None
        self._lease = await self._api.update(LEASES, self._lease | {"spec": record.spec()})
        self._election.wrote(record, self._clock.monotonic_s())


_LOST = Text(
    es="{identity} ya no es líder: no pudo renovar a tiempo el Lease {name} de kube-system.",
    en="{identity} leads no more: it could not renew the Lease {name} in kube-system in time.",
)
