"""Builds observations of the live state: API objects by watches, processes by a scan, answers by connecting.

The API tells of every change. The kernel does not tell of every process (the proc connector is one per host
and needs the host's root), so machines are scanned, only while a lesson is open: five times a second, and at
once when the learner's shell writes something, for that is when things happen. `changed` is set when
something differs, so nobody evaluates what has not moved.
Left out: inotify, netlink groups, cgroup events.
"""

import asyncio
import contextlib
import errno
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from kubelab.cluster.client.background import background
from kubelab.cluster.client.informer import Informer
from kubelab.cluster.clock import Clock
from kubelab.cluster.errors import LabError
from kubelab.cluster.machine.machine import Machine
from kubelab.cluster.objects import Object, Resource
from kubelab.language import Text
from kubelab.lessons.checks import Needs
from kubelab.lessons.lab import LabPort
from kubelab.lessons.observation import MachineState, Observation, Probe, Process, ResourceState, Unseen
from kubelab.lessons.process_scan import ProcessScan, departed

SCAN_INTERVAL_S = 0.2
SCAN_REST_S = 0.04  # However much the shell writes.
PROBE_INTERVAL_S = 0.5
PROBE_TIMEOUT_S = 1.0
API_PATIENCE_S = 5.0  # After that an API that has told nothing counts as one that cannot be asked.
CLOSED_PORT = 1  # Hosts answer there with a reset: that is an answer too.


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
        self._probes: frozenset[Probe] = frozenset()
        self._probes_changed = asyncio.Event()
        self._answers: dict[Probe, bool | Unseen] = {}
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
                background(self._scan_forever(needs.processes), self._probe_forever())
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

    def want(self, probes: frozenset[Probe]) -> None:
        """Ask these from now on, instead of those that were wanted before."""
        if probes != self._probes:
            self._probes = probes
            self._answers = {probe: answer for probe, answer in self._answers.items() if probe in probes}
            self._probes_changed.set()

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

    @property
    def observation(self) -> Observation:
        resources = {resource: self._resource(resource) for resource in self._informers}
        return Observation(
            machines=dict(self._machines),
            resources={resource: state for resource, state in resources.items() if state is not None},
            answers=dict(self._answers),
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

    async def _scan_forever(self, processes: bool) -> None:
        while processes:
            self._look_wanted.clear()
            self.look()
            await self._clock.sleep(SCAN_REST_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SCAN_INTERVAL_S - SCAN_REST_S):
                    await self._look_wanted.wait()

    async def _probe_forever(self) -> None:
        while True:
            self._probes_changed.clear()
            asked = tuple(self._probes)  # Others may be wanted by the time these are answered.
            answers = await asyncio.gather(*map(self._ask, asked))
            self._note_answers(dict(zip(asked, answers, strict=True)))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PROBE_INTERVAL_S if self._probes else None):
                    await self._probes_changed.wait()

    def _note_answers(self, answers: Mapping[Probe, bool | Unseen]) -> None:
        wanted = {probe: answer for probe, answer in answers.items() if probe in self._probes}
        if wanted != self._answers:
            self._answers = dict(wanted)
            self.changed.set()

    async def _ask(self, probe: Probe) -> bool | Unseen:
        machine = self._lab.machines.get(probe.machine)
        if machine is None:
            return Unseen(Text(f"no hay máquina {probe.machine}", f"there is no machine {probe.machine}"))
        try:
            return await _answers(machine, probe.address)
        except (LabError, OSError) as error:
            return Unseen(
                Text(
                    f"no se pudo preguntar desde {probe.machine} ({error})",
                    f"could not ask from {probe.machine} ({error})",
                )
            )


# What a network says when nobody is there; anything else means that we could not ask.
_NOBODY = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ETIMEDOUT, errno.EHOSTDOWN}


async def _answers(machine: Machine, address: str) -> bool:
    with await machine.open_socket() as connection:
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                await asyncio.get_running_loop().sock_connect(connection, (address, CLOSED_PORT))
        except (ConnectionRefusedError, ConnectionResetError):
            return True
        except TimeoutError:
            return False
        except OSError as error:
            if error.errno in _NOBODY:
                return False
            raise
        return True
