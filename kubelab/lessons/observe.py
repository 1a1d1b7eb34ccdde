"""Builds observations of the live state: API objects by watches, machines by events, answers by asking.

The API tells of every change. What a machine is watched by is told in `watching`: the kernel tells of
networks, cgroups and, where it grants that, of processes; and it accounts processor time, so a look at a
machine where nobody ran is one small read. Looks come when something tells, a little later again as long as
somebody runs, and otherwise at a regular interval. After each the loop has a rest, so that all looks together
take little of one core however much happens. `changed` is set when something differs, so nobody evaluates
what has not moved.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from kubelab.cluster.client.informer import Informer
from kubelab.cluster.clock import Clock
from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux.background import background
from kubelab.cluster.linux.inotify import Inotify
from kubelab.cluster.objects import Object, Resource
from kubelab.language import Text
from kubelab.lessons import answering
from kubelab.lessons.checks import Needs
from kubelab.lessons.lab import LabPort
from kubelab.lessons.observation import NAMESPACE_KINDS, MachineState, Observation, ResourceState, Unseen
from kubelab.lessons.question import Question
from kubelab.lessons.watching.cgroups import DirectoryWatches
from kubelab.lessons.watching.machine import WatchedMachine
from kubelab.lessons.watching.networks import Networks
from kubelab.lessons.watching.processes import ProcessEvents

SCAN_INTERVAL_S = 0.2
SCAN_REST_S = 0.04  # However much the shell writes.
REST_FACTOR = 80  # A rest is so many times as long as what the look took.
SETTLE_S = 5.0  # Where more is started than can be read, there is always something left.
API_PATIENCE_S = 5.0  # After that an API that has told nothing counts as one that cannot be asked.


class Observer:
    """What is seen of *lab* while the block of `watching` lasts. `machines` names those to look at.

    Without *hears_processes* the kernel is not asked to tell of processes, as where it would not."""

    def __init__(
        self,
        lab: LabPort,
        machines: Callable[[], Iterable[str]],
        clock: Clock,
        *,
        hears_processes: bool = True,
    ) -> None:
        self.changed = asyncio.Event()
        self._lab = lab
        self._machine_names = machines
        self._clock = clock
        self._hears_processes = hears_processes
        self._needs = Needs()
        self._watched: dict[str, WatchedMachine] = {}
        self._machines: dict[str, MachineState | Unseen] = {}
        self._networks = Networks(clock, self._note_networks)
        self._directories: DirectoryWatches | None = None
        self._events = ProcessEvents(self._note_process, self.look_soon)
        self._informers: dict[Resource, Informer] = {}
        self._departed_objects: dict[Resource, list[Object]] = {}
        self._look_wanted = asyncio.Event()
        self._questions: frozenset[Question[Any]] = frozenset()
        self._questions_changed = asyncio.Event()
        self._answers: dict[Question[Any], Any] = {}
        self._host = _host_namespaces()
        self._started_s = clock.monotonic_s()

    @asynccontextmanager
    async def watching(self, needs: Needs) -> AsyncIterator[None]:
        """Observe for the length of the block; at its begin all has been looked at once."""
        self._needs = needs
        async with AsyncExitStack() as stack:
            for resource in needs.resources:
                informer = Informer(self._lab.api, resource, clock=self._clock)
                informer.on_change(self._object_handler(resource))
                self._informers[resource] = await stack.enter_async_context(informer)
            await stack.enter_async_context(self._networks.watching())
            self._watch_directories(stack)
            stack.callback(self._close_machines)
            if self._hears_processes:
                stack.enter_context(self._events.listening())
            await self.settle()
            await stack.enter_async_context(background(self._look_forever(), self._ask_forever()))
            yield

    def begin(self) -> None:
        """Forget what departed and what answered: a new step begins."""
        self._departed_objects.clear()
        self._answers.clear()
        for watched in self._watched.values():
            watched.begin()
        self.look()

    async def settle(self) -> None:
        """Look until nothing is left that is known to be there, or to have changed, and has not been read;
        but not for ever: a fork bomb is quicker than a slow machine reads."""
        self.look()
        over_s = self._clock.monotonic_s() + SETTLE_S
        while not self._is_complete and self._clock.monotonic_s() < over_s:
            await asyncio.sleep(0)
            self._look()
        await self._networks.settle()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._started_s + API_PATIENCE_S - self._clock.monotonic_s()):
                for informer in self._informers.values():
                    await informer.wait_synced()

    def want(self, questions: frozenset[Question[Any]]) -> None:
        """Ask these from now on, instead of those that were wanted before; the near ones at once."""
        if questions != self._questions:
            self._questions = questions
            self._answers = {asked: answer for asked, answer in self._answers.items() if asked in questions}
            self._questions_changed.set()
            self._look_for_answers()

    def look_soon(self) -> None:
        """Scan at the next moment, and not only when the interval is over."""
        self._look_wanted.set()

    def look(self) -> None:
        """Look at all machines at once, and for the near answers."""
        for watched in self._watched.values():
            watched.doubt()
        self._look()

    def _look(self) -> None:
        """Look at those machines where anything may have happened."""
        names = dict.fromkeys([*self._machine_names(), *sorted(self._needs.machines)])
        for gone in self._machines.keys() - names.keys():
            self._forget(gone)
        for name in names:
            self._look_at(name)
        self._look_for_answers()

    def _look_at(self, name: str) -> None:
        try:
            watched = self._watched_machine(name)
            state = watched.look(self._clock.monotonic_s())
        except (KeyError, OSError) as error:
            self._forget(name)
            self._note_machine(name, Unseen(_UNREADABLE.format(name=name, error=error)))
        else:
            # The first look may take several: until then it has not been looked at.
            if watched.is_complete or isinstance(self._machines.get(name), MachineState):
                self._note_machine(name, state)

    def _note_machine(self, name: str, state: MachineState | Unseen) -> None:
        if state != self._machines.get(name):
            self._machines[name] = state
            self.changed.set()

    def _note_networks(self) -> None:
        for name, watched in self._watched.items():
            if name in self._machines:
                self._note_machine(name, watched.state())

    def _note_process(self, host_pid: int, pid_namespace: int) -> bool:
        return any(watched.note(host_pid, pid_namespace) for watched in self._watched.values())

    @property
    def _is_complete(self) -> bool:
        return all(watched.is_complete for watched in self._watched.values())

    def _look_for_answers(self) -> None:
        self._note({asked: answering.look(asked, self._lab) for asked in self._questions if not asked.far})

    def _note(self, answers: Mapping[Question[Any], Any]) -> None:
        for asked, answer in answers.items():
            if asked in self._questions and (asked not in self._answers or self._answers[asked] != answer):
                self._answers[asked] = answer
                self.changed.set()

    @property
    def observation(self) -> Observation:
        resources = {resource: self._resource(resource) for resource in self._informers}
        return Observation(
            machines=dict(self._machines),
            resources={resource: state for resource, state in resources.items() if state is not None},
            answers=dict(self._answers),
            host=self._host,
            store=self._lab.store(),
            at_s=self._clock.monotonic_s(),
        )

    def _resource(self, resource: Resource) -> ResourceState | Unseen | None:
        informer = self._informers[resource]
        if informer.has_synced:
            gone = tuple(self._departed_objects.get(resource, ()))
            return ResourceState(tuple(informer.objects()), gone)
        if self._clock.monotonic_s() - self._started_s < API_PATIENCE_S:
            return None
        return Unseen(Text("el servidor de API no responde", "the API server does not answer"))

    def _object_handler(self, resource: Resource) -> Callable[[Object | None, Object | None], None]:
        def note(old: Object | None, new: Object | None) -> None:
            if old is not None and new is None:
                self._departed_objects.setdefault(resource, []).append(old)
            self.changed.set()

        return note

    def _watched_machine(self, name: str) -> WatchedMachine:
        """Return the machine that has this name now; a restarted one is another machine."""
        machine = self._lab.machines[name]
        watched = self._watched.get(name)
        if watched is not None and watched.machine is machine:
            return watched
        self._forget(name)
        self._watched[name] = WatchedMachine(machine, self._networks, self._directories)
        return self._watched[name]

    def _forget(self, name: str) -> None:
        self._machines.pop(name, None)
        if watched := self._watched.pop(name, None):
            watched.close()

    def _close_machines(self) -> None:
        for name in list(self._watched):
            self._forget(name)

    def _watch_directories(self, stack: AsyncExitStack) -> None:
        """A user may have few inotify instances; without one the cgroups are read at every look."""
        with contextlib.suppress(KernelError):
            inotify = stack.enter_context(Inotify())
            self._directories = DirectoryWatches(inotify)
            loop = asyncio.get_running_loop()
            loop.add_reader(inotify, self._hear_directories, self._directories)
            stack.callback(loop.remove_reader, inotify)

    def _hear_directories(self, directories: DirectoryWatches) -> None:
        directories.hear()
        self.look_soon()

    async def _look_forever(self) -> None:
        while True:
            self._look_wanted.clear()
            began_s = time.thread_time()
            self._look()
            took_s = time.thread_time() - began_s
            rest_s = min(max(SCAN_REST_S, took_s * REST_FACTOR), SCAN_INTERVAL_S)
            await self._clock.sleep(rest_s)
            if not self._is_complete or any(watched.has_moved for watched in self._watched.values()):
                continue  # What runs may have done something after we looked.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SCAN_INTERVAL_S - rest_s):
                    await self._look_wanted.wait()

    async def _ask_forever(self) -> None:
        while True:
            self._questions_changed.clear()
            asked = [question for question in self._questions if question.far]
            answers = await asyncio.gather(*(answering.ask(question, self._lab) for question in asked))
            self._note(dict(zip(asked, answers, strict=True)))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(answering.INTERVAL_S if asked else None):
                    await self._questions_changed.wait()


_UNREADABLE = Text(
    es="no se puede leer el estado de {name} ({error})",
    en="the state of {name} cannot be read ({error})",
)


def _host_namespaces() -> dict[str, int]:
    """Return the namespaces that this program itself is in."""
    paths = {kind: Path(f"/proc/self/ns/{kind}") for kind in NAMESPACE_KINDS}
    return {kind: path.stat().st_ino for kind, path in paths.items() if path.exists()}
