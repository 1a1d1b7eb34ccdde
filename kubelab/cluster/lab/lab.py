"""The lab: machines on a physical network, a cluster on the machines, and the promise to take it all back.

`start_lab` returns at once; network, machines and cluster come up beside whoever holds the lab, who follows
`phases` or awaits `ready`. A component that fails on a bug ends the lab loudly, after the clean-up. Each
machine, and each program of the cluster that runs on it, can be ended and started anew while the others go
on (`component`).
"""

import asyncio
import gc
import itertools
import os
import resource
from collections.abc import AsyncIterator, Collection, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from ipaddress import IPv4Address
from pathlib import Path
from types import MappingProxyType
from typing import Any

from msgspec.structs import replace

from kubelab.cluster.apiserver import audit
from kubelab.cluster.apiserver.request_log import RequestLog
from kubelab.cluster.client.api import Api
from kubelab.cluster.clock import Clock, SystemClock
from kubelab.cluster.errors import KernelError, LabError
from kubelab.cluster.images.store import ImageStore
from kubelab.cluster.lab.component import Component, ComponentName
from kubelab.cluster.lab.config import LabConfig
from kubelab.cluster.lab.control import ControlServer, ShellOffer
from kubelab.cluster.lab.control_plane import KUBECONFIG_ON_MACHINE, ControlPlane
from kubelab.cluster.lab.directory import LabDirectory
from kubelab.cluster.lab.errand import install, running_errands
from kubelab.cluster.lab.etcd_keys import ETCDCTL_ENVIRONMENT
from kubelab.cluster.lab.faults import Faults
from kubelab.cluster.lab.keeper import Held, Keeper
from kubelab.cluster.lab.machine_clock import MachineClock
from kubelab.cluster.lab.master import Master, api_server, controller_manager, scheduler
from kubelab.cluster.lab.membership import drop_strangers, make_members
from kubelab.cluster.lab.minion import kubelet
from kubelab.cluster.lab.observer import Observer
from kubelab.cluster.lab.phases import Phase, Phases
from kubelab.cluster.lab.program import Goodbye, Life, Program
from kubelab.cluster.lab.raft_member import RaftMember
from kubelab.cluster.lab.resize import MembersOfMasters, forget_master, member_list
from kubelab.cluster.lab.shape import Shape, settle, write
from kubelab.cluster.lab.snapshot import LabSnapshot
from kubelab.cluster.lab.stopped_store import check_restorable, finish_restoring, last_revision, restore_lab
from kubelab.cluster.lab.stored_key import stored_key
from kubelab.cluster.lab.sweep import forget, sweep
from kubelab.cluster.linux.background import background
from kubelab.cluster.linux.cgroups import CgroupTree
from kubelab.cluster.linux.journal import Journal, undo
from kubelab.cluster.linux.suspension import Suspension
from kubelab.cluster.linux.threads import in_thread
from kubelab.cluster.machine.cable import Cables
from kubelab.cluster.machine.machine import Machine, Role
from kubelab.cluster.machine.namespaced import MachineSpec, NamespacedMachine, start_cgroups, start_machine
from kubelab.cluster.machine.network import PhysicalNetwork, start_network
from kubelab.cluster.runtime.pods import PodRuntime, start_pods
from kubelab.cluster.store.engine import EtcdOnMaster
from kubelab.cluster.store.etcd_process import find_etcd
from kubelab.cluster.store.mvcc import Mvcc
from kubelab.cluster.store.requests import KeyValue
from kubelab.cluster.store.revision_bump import bumped
from kubelab.cluster.store.state import StoreState
from kubelab.language import Text

PROGRAMS_ON_MACHINE = "/usr/local/bin"
BUMP_REVISIONS = 1000  # Beyond all that anybody can have seen.


@asynccontextmanager
async def start_lab(config: LabConfig) -> AsyncIterator["Lab"]:
    """Hold the lab's place, clean up after an earlier lab, and start one; all of it is gone on exit.

    Raises:
        LabError: another lab is running; or, out of `ready`, whatever kept the cluster from coming up.
    """
    _allow_descriptors()
    async with lab_journal(config.directory) as journal:
        lab = Lab(config, await in_thread(_settled, config), journal, SystemClock())
        async with background(lab._run()):
            try:
                yield lab
            finally:
                await lab.close()


@asynccontextmanager
async def lab_journal(directory: LabDirectory) -> AsyncIterator[Journal]:
    """Hold the lab's place, clean up after an earlier lab; on exit what is in the journal is taken back.

    Raises:
        LabError: another lab is running, or this user may not run one.
    """
    if os.geteuid() != 0:
        raise LabError(_NOT_ROOT)
    with directory.held():
        await sweep(directory)
        with Journal.open(directory.journal) as journal:
            try:
                yield journal
            finally:
                undo(directory.journal)


class Lab:
    """What the lessons, the app and the command line hold. See also `component.Power`."""

    home = "master-1"
    kubeconfig_on_machine = KUBECONFIG_ON_MACHINE

    def __init__(self, config: LabConfig, shape: Shape, journal: Journal, clock: Clock) -> None:
        self.config = config
        self.shape = shape
        self._journal = journal
        self._clock = clock
        self._phases = Phases()
        self._machines: dict[str, NamespacedMachine] = {}
        self._runtimes: dict[str, PodRuntime] = {}
        self._observer = Observer(self._machines, self._pids_of, clock)
        loop = asyncio.get_running_loop()
        self._base: asyncio.Future[tuple[PhysicalNetwork, CgroupTree]] = loop.create_future()
        self._control_plane: asyncio.Future[ControlPlane] = loop.create_future()
        self._ready: asyncio.Future[None] = loop.create_future()
        self._images: asyncio.Future[ImageStore] = loop.create_future()
        self._closing = asyncio.Event()
        self._closed = asyncio.Event()
        self._starting: asyncio.Timeout | None = None
        self._scratch_numbers = itertools.count()
        self._keeper = Keeper()
        self._held_machines: dict[str, Held[NamespacedMachine]] = {}
        self._held_places: dict[str, Held[PodRuntime | None]] = {}
        self._programs: dict[str, list[Program]] = {}
        self._switching = asyncio.Lock()
        self._offers: list[ShellOffer] = []
        self._clocks = {name: MachineClock(clock) for name in self._roles()}
        self.faults = Faults(self, self._cables, self._clocks, lambda: tuple(self.machines), self._look_soon)

    @property
    def directory(self) -> LabDirectory:
        return self.config.directory

    @property
    def machines(self) -> Mapping[str, Machine]:
        return MappingProxyType(dict(sorted(self._machines.items(), key=lambda named: named[1].address)))

    @property
    def api(self) -> Api:
        """The cluster's API, with the administrator's rights. Await `ready` first."""
        return self._control_plane.result().api

    @property
    def components(self) -> Sequence[Component]:
        """See `component.Power`."""
        return [program for name in self.machines for program in self._programs.get(name, ())]

    def phases(self) -> AsyncIterator[Phase]:
        """Follow the start-up from its beginning; ends when it has succeeded or failed."""
        return self._phases.follow()

    async def ready(self) -> None:
        """Wait until all nodes are Ready.

        Raises:
            LabError: the lab could not come up, and why.
        """
        await asyncio.shield(self._ready)

    def store(self) -> StoreState | None:
        """Return what the cluster's store is like now; None while the cluster does not run."""
        return plane.store_state() if (plane := self._plane()) else None

    async def stored(self, key: bytes, member: str = "") -> KeyValue | None:
        """Return what the cluster's store has under *key*. See `stored_key`; raises LabError, StoreError."""
        await self.ready()
        machines = {name: held.value for name, held in self._held_machines.items()}
        return await stored_key(self._control_plane.result().masters, machines, key, member)

    def _look_soon(self) -> None:
        if plane := self._plane():
            plane.look_soon()

    def _plane(self) -> ControlPlane | None:
        """Return the control plane if the lab has come up."""
        if not self._ready.done() or self._ready.cancelled() or self._ready.exception():
            return None
        return self._control_plane.result()

    def snapshot(self) -> LabSnapshot:
        return self._observer.snapshot()

    def snapshots(self) -> AsyncIterator[LabSnapshot]:
        return self._observer.snapshots()

    @asynccontextmanager
    async def scratch(self, name: str) -> AsyncIterator[Machine]:
        """Run a machine with no Node; it is gone, with all in it, on exit."""
        network, _ = await asyncio.shield(self._base)
        if name in self._machines:
            raise LabError(_NAME_TAKEN.format(name=name))
        index = next(self._scratch_numbers) % 100
        spec = MachineSpec(name, "scratch", network.plan.machine("scratch", index), binds=self._binds())
        async with self._machine(spec) as machine:
            yield machine

    async def restart(self, name: str) -> None:
        """Cut the machine's power and start it again: same name and address, its disk as new.

        A minion's pods come back with its kubelet; the master's store and keys are kept. `machines` has
        another object then.

        Raises:
            LabError: there is no such machine of the cluster, or it could not be started: try again.
        """
        await self.ready()
        spec = self._spec(name)
        async with self._switching:
            await self._switch_off(name)
            await self._switch_on(spec)

    async def restore_store(self, snapshot: Mvcc) -> int:
        """Put the cluster back to *snapshot*, as etcd's own procedure has it: API servers and members end,
        all members are restored, all start again. Return the store's revision, which is later than any
        before: who follows the cluster is told that what it knows is too old, and begins anew.

        Raises:
            LabError: the store is an etcd elsewhere, or could not be restored; then the old one runs on.
        """
        await self.ready()
        await in_thread(check_restorable, self.directory)
        plane = self._control_plane.result()
        async with self._switching:
            masters, served = [name for name in self._programs if name in plane.masters], plane.revision
            await self._end_programs(masters)
            try:
                return await in_thread(self._restored, snapshot, served)
            finally:
                await self._start_programs_of(masters)
                self._look_soon()

    def _restored(self, snapshot: Mvcc, served: int) -> int:
        """Restore it beyond whatever the disks know of, and what has been *served*."""
        known = max(last_revision(self.directory), served, snapshot.revision)
        raised = bumped(snapshot, known + BUMP_REVISIONS)
        restore_lab(self.directory, raised, force=True)
        return raised.revision

    async def power_off(self, machine: str) -> None:
        """See `component.Power`. Raises LabError: there is no such machine of the cluster."""
        await self.ready()
        self._spec(machine)
        async with self._switching:
            await self._switch_off(machine)

    async def power_on(self, machine: str) -> None:
        """See `component.Power`."""
        await self.ready()
        spec = self._spec(machine)
        async with self._switching:
            if machine not in self._held_machines:
                await self._switch_on(spec)

    def _spec(self, name: str) -> MachineSpec:
        spec = next((spec for spec in self._specs() if spec.name == name), None)
        if spec is None:
            raise LabError(_NO_MACHINE.format(name=name, names=", ".join(s.name for s in self._specs())))
        return spec

    async def _switch_off(self, name: str) -> None:
        """Whatever runs there ends at once, without the grace that pods are given otherwise."""
        if machine := self._held_machines.pop(name, None):
            machine.value.kill()
        for program in self._programs.pop(name, ()):
            await program.kill()
        if place := self._held_places.pop(name, None):
            await self._keeper.close(place)
        if machine:
            await self._keeper.close(machine)

    async def _switch_on(self, spec: MachineSpec) -> None:
        """Start the machine, and what the cluster runs on it; if that fails it is off again."""
        try:
            await self._start_machine(spec)
            await self._start_programs(spec.name)
        except LabError:
            await self._switch_off(spec.name)
            raise

    async def _start_machine(self, spec: MachineSpec) -> None:
        self._held_machines[spec.name] = await self._keeper.open(self._machine(spec))

    async def _start_programs(self, name: str) -> None:
        for program in await self._install(name):
            await program.start()

    async def _install(self, name: str) -> list[Program]:
        """Make the machine ready for its programs; return them, in the order in which they start."""
        machine = self._held_machines[name].value
        place = self._held_places[name] = await self._keeper.open(self._place(machine))
        self._programs[name] = self._programs_for(machine, place.value)
        return self._programs[name]

    async def _start_masters(self, names: Sequence[str]) -> None:
        """Start the store everywhere at once, for it takes a majority; then one master after the other: the
        first API server makes what every cluster has, and the others find it."""
        for name in names:
            if name not in self._programs:
                await self._install(name)
        await self._start_programs_of(names)

    async def _resize(self, names: Sequence[str]) -> None:
        """Have the store's members on as many of the masters *names* as there are to be, the first ones."""
        engines = self._engines()
        for name in names:
            await self._install(name)
        places = MembersOfMasters(engines, self._store_program)
        there = [name for name in names if places.has_data(name)]
        if not there:  # It never came up: all of those who are to be found it.
            return
        await _all(map(places.start, there))
        machines = {name: self._held_machines[name].value for name in there}
        target, going = names[: self.shape.becoming], names[self.shape.becoming :]
        async with member_list(engines, machines, there[0]) as store:
            await drop_strangers(store, places, there, self._clock)
            await make_members(store, places, target, going, self._clock)

    def _engines(self) -> dict[str, RaftMember | EtcdOnMaster]:
        """Return the members on the masters; an etcd elsewhere has none there."""
        stores = {name: master.store for name, master in self._control_plane.result().masters.items()}
        return {n: each for n, each in stores.items() if isinstance(each, RaftMember | EtcdOnMaster)}

    def _store_program(self, master: str) -> Program:
        return next(program for program in self._programs[master] if program.name == "etcd")

    async def _resized(self, names: Sequence[str]) -> None:
        """Do without the masters that have gone, from now on and in the cluster's next life."""
        for name in names[self.shape.becoming :]:
            await self._switch_off(name)
            self._control_plane.result().leave_out(name)
            del self._clocks[name]
            await in_thread(forget_master, self.directory, name)
        await self._reshape(replace(self.shape, masters=self.shape.becoming, becoming=0))

    async def _reshape(self, shape: Shape) -> None:
        self.shape = await in_thread(write, self.directory.shape, shape)

    async def _start_programs_of(self, masters: Sequence[str]) -> None:
        programs = [each for name in masters for each in self._programs[name]]
        await _all(program.start() for program in programs if program.name == "etcd")
        for program in programs:
            await program.start()

    @asynccontextmanager
    async def _place(self, machine: NamespacedMachine) -> AsyncIterator[PodRuntime | None]:
        """Make *machine* ready for the programs of the cluster; what pods are left then ends with it."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._control_plane.result().serving(machine))
            if machine.pods is None:
                yield None
                return
            pods = start_pods(machine.shim, machine.pods, self._images.result())
            self._runtimes[machine.name] = await stack.enter_async_context(pods)
            stack.callback(self._runtimes.pop, machine.name)
            yield self._runtimes[machine.name]

    def _programs_for(self, machine: NamespacedMachine, runtime: PodRuntime | None) -> list[Program]:
        """Return the programs of the cluster for *machine*, in the order in which they start."""
        clock, plane = self._clocks[machine.name], self._control_plane.result()
        if runtime is None:
            return _programs_of_master(plane.masters[machine.name], machine, self._keeper, clock)
        index = int(machine.name.rpartition("-")[2]) - 1
        servers, directory = plane.servers(index), self.directory

        def life(suspension: Suspension) -> AbstractAsyncContextManager[Goodbye]:
            return kubelet(machine, runtime, plane.keys, servers, directory, clock)

        return [Program("kubelet", machine, life, self._keeper, clock)]

    async def _end_programs(self, machines: Collection[str] | None = None) -> None:
        """End the cluster, or what of it runs on *machines*, in order: first those who use it, the same on
        all machines at once."""
        ending = [self._programs[name] for name in self._programs if machines is None or name in machines]
        for name in ("kubelet", "kube-controller-manager", "kube-scheduler", "kube-apiserver", "etcd"):
            programs = [each for several in ending for each in several if each.name == name]
            await _all(program.end() for program in programs)

    @contextmanager
    def offering(self, offer: ShellOffer) -> Iterator[None]:
        """Open shells of other terminals as *offer* says, during the block; the newest offer counts."""
        self._offers.append(offer)
        try:
            yield
        finally:
            self._offers.remove(offer)

    async def close(self) -> None:
        """Take the lab down, however far up it is; returns when everything is gone."""
        self._closing.set()
        if self._starting:
            self._starting.reschedule(0)
        await self._closed.wait()

    async def _run(self) -> None:
        try:
            async with AsyncExitStack() as stack:
                await self._bring_up_unless_closing(stack)
                await self._closing.wait()
        finally:
            for outcome in (self._base, self._control_plane, self._ready, self._images):
                outcome.cancel()
            self._closed.set()

    async def _bring_up_unless_closing(self, stack: AsyncExitStack) -> None:
        if self._closing.is_set():
            return
        try:
            # No time-out, but the scope that `close` cancels: what is on the stack by then is taken down.
            async with asyncio.timeout(None) as self._starting:
                await self._bring_up(stack)
        except TimeoutError:
            if not self._closing.is_set():
                raise
        finally:
            self._starting = None

    async def _bring_up(self, stack: AsyncExitStack) -> None:
        """Start everything; a failure that people can mend is kept for whoever awaits the lab."""
        try:
            self._base.set_result(await self._lay_network(stack))
            self._journal.directory(self.directory.errand.parent)
            await in_thread(install, self.directory.errand)
            self._journal.file(self.directory.control)
            await stack.enter_async_context(self._control().serving(self.directory.control))
            await stack.enter_async_context(self._keeper)
            await self._start_machines()
            await self._start_cluster(stack)
            if not self.shape.has_run:
                await self._reshape(replace(self.shape, has_run=True))
            self._ready.set_result(None)
            gc.freeze()  # What start-up made lives as long as the lab: the collector need not look again.
        except KernelError as error:
            self._fail(LabError(_REFUSED.format(error=error)))
        except LabError as error:
            self._fail(error)
        finally:
            self._phases.finish()

    def _fail(self, error: LabError) -> None:
        for outcome in (self._base, self._control_plane, self._ready, self._images):
            if not outcome.done():
                outcome.set_exception(error)
                outcome.exception()  # Whether anybody waits for it is not known: it counts as seen.

    def requests(self) -> RequestLog | None:
        """Return the API servers' request log; None while there is no API server."""
        return plane.requests if (plane := self._plane()) else None

    def _control(self) -> ControlServer:
        environment = {"KUBECONFIG": KUBECONFIG_ON_MACHINE}
        return ControlServer(
            self.snapshot,
            lambda: self.machines,
            environment,
            self._offered,
            self.requests,
            self.faults,
            lambda: plane.store_snapshot() if (plane := self._plane()) else None,
            self.restore_store,
        )

    def _offered(self) -> ShellOffer | None:
        return self._offers[-1] if self._offers else None

    async def _lay_network(self, stack: AsyncExitStack) -> tuple[PhysicalNetwork, CgroupTree]:
        with self._phases.phase(_NETWORK):
            cgroups = await stack.enter_async_context(start_cgroups(self._journal))
            network = await stack.enter_async_context(start_network(self._journal))
            return network, cgroups

    async def _start_machines(self) -> None:
        with self._phases.phase(_machines(self.shape.span, self.config.minions)):
            await _all(self._start_machine(spec) for spec in self._specs())

    def _specs(self) -> list[MachineSpec]:
        network, _ = self._base.result()
        plan = network.plan
        interfaces = {name: plan.machine(*role) for name, role in self._roles().items()}
        hosts: dict[str, IPv4Address] = {name: interface.ip for name, interface in interfaces.items()}
        return [
            MachineSpec(
                name=name,
                role=role,
                interface=interfaces[name],
                pods=plan.pod_network(index) if role == "minion" else None,
                hosts=hosts,
                environment=self._environment(role),
                binds=self._binds(),
            )
            for name, (role, index) in self._roles().items()
        ]

    def _roles(self) -> dict[str, tuple[Role, int]]:
        """Return the cluster's machines by name: what each is, and the how manieth of those, from 0."""
        counts: dict[Role, int] = {"master": self.shape.span, "minion": self.config.minions}
        return {
            f"{role}-{index + 1}": (role, index) for role, count in counts.items() for index in range(count)
        }

    def _cables(self) -> Cables:
        network, _ = self._base.result()
        return network.cables

    def _environment(self, role: Role) -> Mapping[str, str]:
        """Have etcdctl on a master ask the member there; of an etcd elsewhere its owner has the keys."""
        has_member = role == "master" and isinstance(self.shape.choice, str)
        return ETCDCTL_ENVIRONMENT if has_member else {}

    def _binds(self) -> dict[str, Path]:
        programs = dict(self.config.programs)
        if self.shape.choice == "etcd":
            programs["etcd"] = find_etcd()  # Wherever it is: a home and /tmp are the machine's own there.
        if self.config.command:
            programs["kubelab"] = self.directory.errand
        return {f"{PROGRAMS_ON_MACHINE}/{name}": path for name, path in programs.items() if path.exists()}

    @asynccontextmanager
    async def _machine(self, spec: MachineSpec) -> AsyncIterator[NamespacedMachine]:
        network, cgroups = self._base.result()
        async with start_machine(spec, network, cgroups, self._journal) as machine:
            self._machines[spec.name] = machine
            try:
                async with self._errands(machine):
                    yield machine
            finally:
                del self._machines[spec.name]

    def _errands(self, machine: NamespacedMachine) -> AbstractAsyncContextManager[None]:
        if not self.config.command:
            return nullcontext()
        environment = dict(os.environ) | {"KUBELAB_DIR": str(self.directory.path)}
        return running_errands(machine, self.config.command, environment)

    async def _start_cluster(self, stack: AsyncExitStack) -> None:
        began, (network, _) = self._clock.now(), self._base.result()
        machines = sorted(self._machines.values(), key=lambda machine: machine.address)
        masters = [machine for machine in machines if machine.role == "master"]
        minions = [machine.name for machine in machines if machine.role == "minion"]
        for file in (
            self.directory.kubeconfig,
            self.directory.audit_log,
            audit.older(self.directory.audit_log),
        ):
            self._journal.file(file)
        addresses = {machine.name: machine.address for machine in masters}
        plane = await ControlPlane.create(
            addresses,
            self.shape.choice,
            self.directory,
            self._clock,
            quota_mib=self.config.store_quota_mib,
        )
        self._control_plane.set_result(plane)
        stack.push_async_callback(self._end_programs)
        has_data = {name: engine.has_data for name, engine in self._engines().items()}
        if self.shape.lost(has_data):  # Whoever is killed before they are back goes on with the next start.
            await self._reshape(self.shape.towards(self.shape.masters))
        if self.shape.becoming:
            with self._phases.phase(_change(self.shape)):
                await _unless_gone(machines, self._resize([*addresses]))
                await self._resized([*addresses])
            machines = [machine for machine in machines if machine.name in self._machines]
        with self._phases.phase(_MASTER if len(plane.masters) == 1 else _MASTERS):
            await stack.enter_async_context(plane.serving_host(self.config.port, network.host_socket))
            await _unless_gone(machines, self._start_masters([*plane.masters]))
        with self._phases.phase(_NODES):
            self._journal.directory(self.directory.pods)
            # One for all minions, so that an image which two of them want is pulled once.
            self._images.set_result(await in_thread(ImageStore.open))
            await _unless_gone(machines, _all(map(self._start_programs, minions)))
            following = self._observer.following(
                plane.api, lambda: plane.revision, plane.requests, plane.store_view
            )
            await stack.enter_async_context(following)
            await _unless_gone(machines, plane.nodes_ready(minions, began))

    def _pids_of(self, pod_uid: str) -> tuple[int, ...]:
        return tuple(pid for runtime in self._runtimes.values() for pid in runtime.pids(pod_uid))


def _allow_descriptors() -> None:
    """Take as many as may be had: each container needs some five, in the lab and in its machine's init, which
    inherits this, and systemd's usual soft limit of 1,024 is meant for programs that call select(2)."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _settled(config: LabConfig) -> Shape:
    if config.fresh:
        forget(config.directory)
    finish_restoring(config.directory)
    return settle(config.directory.shape, config)


def _programs_of_master(
    master: Master, machine: NamespacedMachine, keeper: Keeper, clock: Clock
) -> list[Program]:
    lives: dict[ComponentName, Life] = {
        "etcd": lambda suspension: master.store.run(machine, clock, suspension),
        "kube-apiserver": lambda suspension: api_server(master, machine, clock, suspension),
        "kube-controller-manager": lambda _: controller_manager(master, clock),
        "kube-scheduler": lambda _: scheduler(master, clock),
    }
    signals = {"etcd": master.store.signal}
    return [
        Program(name, machine, life, keeper, clock, signal=signals.get(name)) for name, life in lives.items()
    ]


async def _all(works: Iterable[Coroutine[Any, Any, object]]) -> None:
    """Do them at the same time; if one fails the others are cancelled, and all have ended before it is
    told."""
    try:
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(work)
    except BaseExceptionGroup as failures:
        if failures.split(LabError)[1]:
            raise
        raise failures.exceptions[0] from None


def _machines(masters: int, minions: int) -> Text:
    return _MACHINES.format(masters=masters, master="master" if masters == 1 else "masters", minions=minions)


def _change(shape: Shape) -> Text:
    """Name the change that is under way; on the way down it says what is lost."""
    if shape.becoming == shape.masters:
        return _REPLACING
    words = _GROWING if shape.becoming > shape.masters else _SHRINKING
    going = ", ".join(f"master-{number}" for number in range(shape.becoming + 1, shape.span + 1))
    return words.format(before=shape.masters, masters=shape.becoming, going=going)


async def _unless_gone(machines: Sequence[NamespacedMachine], work: Coroutine[Any, Any, None]) -> None:
    """Wait for the *work*, which needs all the *machines*.

    Raises:
        LabError: one of them has ended meanwhile, so that it never would be done.
    """
    deaths = {asyncio.ensure_future(machine.gone()): machine for machine in machines}
    done = asyncio.ensure_future(work)
    try:
        await asyncio.wait((done, *deaths), return_when=asyncio.FIRST_COMPLETED)
        if not done.done():
            dead = next(machine.name for death, machine in deaths.items() if death.done())
            raise LabError(_DIED.format(name=dead))
        done.result()
    finally:
        for task in (done, *deaths):
            task.cancel()
        await asyncio.gather(done, *deaths, return_exceptions=True)


_NETWORK = Text(es="La red física", en="The physical network")
_MACHINES = Text(
    es="Las máquinas: {masters} {master} y {minions} minions",
    en="The machines: {masters} {master} and {minions} minions",
)
_GROWING = Text(
    es="Los miembros del almacén: de {before} a {masters} masters",
    en="The store's members: from {before} to {masters} masters",
)
_SHRINKING = Text(
    es="Los miembros del almacén: de {before} a {masters} masters; lo que guardaba {going} se borra",
    en="The store's members: from {before} to {masters} masters; what {going} kept is deleted",
)
_REPLACING = Text(
    es="Los miembros del almacén: quien perdió su disco lo recibe todo de los demás",
    en="The store's members: who has lost its disk gets everything from the others",
)
_MASTER = Text(
    es="El master: API server, scheduler y controllers",
    en="The master: API server, scheduler and controllers",
)
_MASTERS = Text(
    es="Los masters: API servers, schedulers y controllers",
    en="The masters: API servers, schedulers and controllers",
)
_NODES = Text(es="Los kubelets: todos los nodos Ready", en="The kubelets: all nodes Ready")

_NO_MACHINE = Text(
    es="El cluster no tiene ninguna máquina {name}: elige una de {names}.",
    en="The cluster has no machine {name}: choose one of {names}.",
)
_DIED = Text(
    es="La máquina {name} ha muerto mientras el cluster se levantaba: vuelve a abrir el laboratorio.",
    en="Machine {name} has died while the cluster came up: start the lab again.",
)
_NAME_TAKEN = Text(
    es="Ya hay una máquina {name}: elige otro nombre.",
    en="There is a machine {name} already: choose another name.",
)
_NOT_ROOT = Text(
    es="El laboratorio necesita ser root, al menos de un espacio de nombres propio: ejecuta `sudo kubelab`.",
    en="The lab must be root, if only of a user namespace of its own: run `sudo kubelab`.",
)
_REFUSED = Text(
    es="El kernel no deja levantar el laboratorio ({error}): `kubelab doctor` dice qué falta.",
    en="The kernel does not let the lab come up ({error}): `kubelab doctor` says what is missing.",
)
