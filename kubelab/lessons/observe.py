"""Builds observations of the live state: API objects by watches, processes by a scan, answers by connecting.

The API tells of every change. The kernel does not tell of every process (the proc connector is one per host
and needs the host's root), so machines are scanned, only while a lesson is open: five times a second, and at
once when the learner's shell writes something, for that is when things happen. `changed` is set when
something differs, so nobody evaluates what has not moved.
Left out: inotify, netlink groups, cgroup events.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from kubelab.cluster.client.background import background
from kubelab.cluster.client.informer import Informer
from kubelab.cluster.clock import Clock
from kubelab.cluster.machine.machine import Machine
from kubelab.cluster.objects import Object, Resource
from kubelab.language import Text
from kubelab.lessons import answering
from kubelab.lessons.checks import Needs
from kubelab.lessons.lab import LabPort
from kubelab.lessons.observation import (
    NAMESPACE_KINDS,
    MachineState,
    Observation,
    Process,
    ResourceState,
    Unseen,
)
from kubelab.lessons.process_scan import ProcessScan, departed
from kubelab.lessons.question import Question

SCAN_INTERVAL_S = 0.2
SCAN_REST_S = 0.04  # However much the shell writes.
API_PATIENCE_S = 5.0  # After that an API that has told nothing counts as one that cannot be asked.


class Observer:
    """What is seen of *lab* while the block of `watching` lasts. `machines` names those to scan."""

    def __init__(self, lab: LabPort, machines: Callable[[], Iterable[str]], clock: Clock) -> None:
        self.changed = asyncio.Event()
        self._lab = lab
        self._machine_names = machines
        self._clock = clock
        self._scans: dict[str, tuple[Machine, ProcessScan]] = {}
        self._machines: dict[str, MachineState | Unseen] = {}
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
        async with AsyncExitStack() as stack:
            stack.callback(self._close_scans)
            for resource in needs.resources:
                informer = Informer(self._lab.api, resource, clock=self._clock)
                informer.on_change(self._object_handler(resource))
                self._informers[resource] = await stack.enter_async_context(informer)
            await stack.enter_async_context(
                background(self._look_forever(needs.processes), self._ask_forever())
            )
            yield

    def begin(self) -> None:
        """Forget what departed and what answered: a new step begins."""
        self._departed_objects.clear()
        self._answers.clear()
        for name, state in self._machines.items():
            if isinstance(state, MachineState):
                self._machines[name] = MachineState(state.name, state.namespaces, state.processes)
        self.look()

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
        """Scan all machines at once."""
        names = list(self._machine_names())
        for gone in self._machines.keys() - set(names):
            self._forget(gone)
        for name in names:
            state = self._scan(name)
            if state != self._machines.get(name):
                self._machines[name] = state
                self.changed.set()
        self._look_for_answers()

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

    def _scan(self, name: str) -> MachineState | Unseen:
        try:
            scan = self._scan_of(name)
            processes = scan.scan()
        except (KeyError, OSError) as error:
            self._drop_scan(name)
            return Unseen(
                Text(
                    f"no se pueden leer los procesos de {name} ({error})",
                    f"cannot read {name}'s processes ({error})",
                )
            )
        before = self._machines.get(name)
        gone: tuple[Process, ...] = ()
        if isinstance(before, MachineState):
            gone = (*before.departed, *departed(before.processes, processes))
        return MachineState(name, scan.namespaces, processes, gone)

    def _scan_of(self, name: str) -> ProcessScan:
        """Return the open scan of the machine that has this name now; a restarted one is another machine."""
        machine = self._lab.machines[name]
        known = self._scans.get(name)
        if known is not None and known[0] is machine:
            return known[1]
        self._forget(name)
        scan = ProcessScan(machine.pid)
        self._scans[name] = machine, scan
        return scan

    def _forget(self, name: str) -> None:
        self._machines.pop(name, None)
        self._drop_scan(name)

    def _drop_scan(self, name: str) -> None:
        if known := self._scans.pop(name, None):
            known[1].close()

    def _close_scans(self) -> None:
        for name in list(self._scans):
            self._drop_scan(name)

    async def _look_forever(self, processes: bool) -> None:
        while True:
            self._look_wanted.clear()
            if processes or self._questions:
                self.look()
            await self._clock.sleep(SCAN_REST_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SCAN_INTERVAL_S - SCAN_REST_S):
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


def _host_namespaces() -> dict[str, int]:
    """Return the namespaces that this program itself is in."""
    paths = {kind: Path(f"/proc/self/ns/{kind}") for kind in NAMESPACE_KINDS}
    return {kind: path.stat().st_ino for kind, path in paths.items() if path.exists()}
