"""A component that runs in this process, and for those whom it serves dies and comes back as a process does.

What it is, an async context says: entering it starts the component, leaving it without a word ends it as
SIGKILL does. What it yields says goodbye: it is awaited first when the component ends in order.
A component that ends by an error of the world (its store is gone, its lease is lost) is started again after
a while, longer each time in a row, as a supervisor would do it; a bug comes out. So does, the first time,
what a person has to mend; what passes by itself (nobody leads, what it needs does not run) does not. Without
its machine there is no component.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from signal import SIGCONT, SIGSTOP

from kubelab.cluster.client.backoff import Backoff
from kubelab.cluster.clock import Clock
from kubelab.cluster.errors import ApiError, LabError
from kubelab.cluster.lab.component import ComponentName, State
from kubelab.cluster.lab.keeper import Held, Keeper
from kubelab.cluster.linux.suspension import Suspension
from kubelab.cluster.machine.namespaced import NamespacedMachine
from kubelab.cluster.store.service import StoreError

RESTART = Backoff(first_s=0.1, max_s=5.0)
SETTLED_S = 10.0  # Who lived that long has come up: its next end is the first again.
GOODBYE_S = 1.0
START_S = 5.0

Goodbye = Callable[[], Awaitable[None]]
Life = Callable[[Suspension], AbstractAsyncContextManager[Goodbye]]

logger = logging.getLogger(__name__)


class Program:
    """See `component.Component`. `life` makes the context, anew for each start. What of it is a process is
    told what happens by `signal`."""

    def __init__(
        self,
        name: ComponentName,
        machine: NamespacedMachine,
        life: Life,
        keeper: Keeper,
        clock: Clock,
        *,
        signal: Callable[[int], None] | None = None,
    ) -> None:
        self._signal = signal or _no_process
        self._name = name
        self._machine = machine
        self._life = life
        self._keeper = keeper
        self._clock = clock
        self._suspension = Suspension()
        self._is_wanted = False
        self._is_ending = False
        self._held: Held[None] | None = None
        self._goodbye: Goodbye | None = None

    @property
    def name(self) -> ComponentName:
        return self._name

    @property
    def machine(self) -> str:
        return self._machine.name

    @property
    def state(self) -> State:
        if self._goodbye is None:
            return "dead"
        return "stopped" if self._suspension.is_suspended else "running"

    @property
    def is_restarting(self) -> bool:
        return self._is_wanted and self._goodbye is None and not self._machine.shim.gone.is_set()

    async def start(self) -> None:
        if self.state == "dead":
            await self.kill()  # It may be between two attempts.
            self._is_wanted = True
            self._held = await self._keeper.open(self._supervised())

    async def kill(self) -> None:
        self._is_wanted = False
        self._suspension.resume()
        self._goodbye = None
        if held := self._held:
            self._held = None
            await self._keeper.close(held)

    async def stop(self) -> None:
        if self.state == "running":
            self._signal(SIGSTOP)
            self._suspension.suspend()

    async def resume(self) -> None:
        if self.state == "stopped":
            self._signal(SIGCONT)
            self._suspension.resume()

    async def end(self) -> None:
        """End it in order, as SIGTERM does."""
        await self.resume()
        if goodbye := self._goodbye:
            with suppress(TimeoutError, LabError, ConnectionError, StoreError):
                async with asyncio.timeout(GOODBYE_S):
                    await goodbye()
        await self.kill()

    @asynccontextmanager
    async def _supervised(self) -> AsyncIterator[None]:
        """One that has not come up for long may still do so: an API server waits for the store's quorum."""
        started = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as group:
                living = group.create_task(self._live(started))
                with suppress(TimeoutError):
                    async with asyncio.timeout(START_S):
                        await started.wait()
                started.set()
                yield
                self._is_wanted = False
                if not self._is_ending:  # What it has to close is its own alone: it shall do so to the end.
                    living.cancel()
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from failures.exceptions[0].__cause__

    async def _live(self, started: asyncio.Event) -> None:
        """Live until the machine ends, again and again; what fails the first start comes out.

        A cancellation that meets a failure is lost in it (`asyncio.TaskGroup`): so `kill` says it besides.
        """
        failures = 0
        while not self._machine.shim.gone.is_set():
            began_s = self._clock.monotonic_s()
            failure = await self._live_once(started)
            if failure is None or not self._is_wanted:
                return
            if not started.is_set() and not _passes(failure):
                raise failure
            failures = 1 if self._clock.monotonic_s() - began_s >= SETTLED_S else failures + 1
            log = logger.warning if failures == 1 else logger.info
            log("%s on %s has ended: %s; starting it again", self.name, self.machine, failure)
            await self._clock.sleep(RESTART.delay_s(failures))

    async def _live_once(self, started: asyncio.Event) -> Exception | None:
        """Return what ended it; None: its machine has ended."""
        failures: list[Exception] = []
        try:
            async with self._suspension.governing(self._life(self._suspension)) as goodbye:
                self._goodbye = goodbye
                started.set()
                try:
                    await self._machine.gone()
                finally:
                    self._is_ending = True
        except* (LabError, ConnectionError, StoreError) as group:
            failures = _leaves(group)
        finally:
            self._goodbye = None
            self._is_ending = False
        return failures[0] if failures else None


def _passes(failure: Exception) -> bool:
    """Tell whether *failure* is over by itself, when others have come up, or have made what both wanted."""
    if isinstance(failure, ApiError):
        return failure.code >= 500 or failure.is_conflict
    return not isinstance(failure, LabError)


def _no_process(number: int) -> None:
    """All of it runs in this process."""


def _leaves(group: BaseExceptionGroup[Exception]) -> list[Exception]:
    leaves: list[Exception] = []
    for each in group.exceptions:
        leaves += _leaves(each) if isinstance(each, BaseExceptionGroup) else [each]
    return leaves
