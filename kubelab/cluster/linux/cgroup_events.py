"""What happens to a cgroup, as it happens: the kernel tells, nothing is asked by the clock.

Source: Documentation/admin-guide/cgroup-v2.rst (cgroup.events, memory.events, pids.events), inotify(7);
cgroup-v1/memory.rst, 10, OOM Control (an eventfd, told before the process is killed, so that it is counted a
little later); Documentation/accounting/psi.rst. On a hybrid host each controller's way is taken.
Left out: with v1, that processes are killed in the cgroups below, that memory.max was reached, and, without
any v2 hierarchy, that the cgroup is populated or frozen: v1's kernel tells nobody.
"""
# ruff: noqa: PTH112, PTH123 - the paths of cgroups are text

import asyncio
import contextlib
import errno
import os
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux.cgroup_files import write
from kubelab.cluster.linux.cgroups import Cgroup, UnsupportedError
from kubelab.cluster.linux.inotify import Inotify
from kubelab.cluster.linux.pressure import PressureWatch, Trigger, host_file
from kubelab.language import Text

# The kernel tells that memory ran out before it has chosen whom to kill.
_OOM_COUNTED_AFTER_S = (0.001, 0.01, 0.1, 1.0)
_LOST = (0, "")  # What inotify says when events were too many.
_ABSENT = (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP)


@dataclass(frozen=True, slots=True)
class OomKill:
    """The kernel killed so many processes because memory.max was reached."""

    count: int


@dataclass(frozen=True, slots=True)
class LimitReached:
    """memory.high, memory.max or pids.max held something up so many times."""

    field: str
    times: int


@dataclass(frozen=True, slots=True)
class Populated:
    """There are processes in it or below; or there are none any more."""

    is_populated: bool


@dataclass(frozen=True, slots=True)
class Frozen:
    is_frozen: bool


@dataclass(frozen=True, slots=True)
class PressureRaised:
    trigger: Trigger


@dataclass(frozen=True, slots=True)
class Removed:
    """The cgroup is gone: nothing comes after it."""


Event = OomKill | LimitReached | Populated | Frozen | PressureRaised | Removed


@dataclass(frozen=True, slots=True)
class State:
    """What the files of events said at one moment; None where nothing tells of it."""

    oom_kills: int = 0
    reached: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    populated: bool | None = None
    frozen: bool | None = None


def changes(before: State, after: State) -> Iterator[Event]:
    """Yield what happened between two looks: what was there first, first. Pure."""
    for name, times in after.reached.items():
        if (more := times - before.reached.get(name, 0)) > 0:
            yield LimitReached(name, more)
    if after.oom_kills > before.oom_kills:
        yield OomKill(after.oom_kills - before.oom_kills)
    if after.frozen is not None and after.frozen != before.frozen:
        yield Frozen(after.frozen)
    if after.populated is not None and after.populated != before.populated:
        yield Populated(after.populated)


@contextlib.asynccontextmanager
async def watch_events(
    cgroup: Cgroup, triggers: Iterable[Trigger] = ()
) -> AsyncIterator[AsyncIterator[Event]]:
    """Tell of all that happens from the entry of the block on, until the cgroup is gone or the block ends.

    Raises:
        UnsupportedError: a trigger, and this host has no v2 hierarchy that could tell pressure.
        KernelError: there is no such cgroup, too many watches, or a trigger that the kernel does not take.
    """
    paths = [(_pressure_file(cgroup, trigger), trigger) for trigger in triggers]
    with contextlib.ExitStack() as stack:
        events = _Events()
        _Watcher(cgroup, events, stack)
        for path, trigger in paths:
            _watch_trigger(path, trigger, events, stack)
        yield events


@contextlib.asynccontextmanager
async def watch_host_pressure(triggers: Iterable[Trigger]) -> AsyncIterator[AsyncIterator[Event]]:
    """Tell when one of the triggers fires on the whole host.

    Raises:
        KernelError: this kernel measures no pressure, or does not take the trigger.
    """
    with contextlib.ExitStack() as stack:
        events = _Events()
        for trigger in triggers:
            _watch_trigger(host_file(trigger.resource), trigger, events, stack)
        yield events


async def until_empty(cgroup: Cgroup) -> None:
    """Return when no process is left in the cgroup and below, or it is gone.

    Raises:
        UnsupportedError: this host has no v2 hierarchy that could tell.
    """
    if cgroup.file("cgroup.events") is None:
        raise UnsupportedError("watch", "cgroup.events", _NO_V2)
    async with watch_events(cgroup) as events:
        if _look(cgroup).populated:
            async for event in events:
                if event == Populated(is_populated=False):
                    return


class _Events:
    """What was told and not yet heard; it ends after `Removed`."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Event] = asyncio.Queue()
        self._is_over = False

    def tell(self, event: Event) -> None:
        self._queue.put_nowait(event)

    def __aiter__(self) -> "_Events":
        return self

    async def __anext__(self) -> Event:
        if self._is_over:
            raise StopAsyncIteration
        event = await self._queue.get()
        self._is_over = isinstance(event, Removed)
        return event


class _Watcher:
    """Looks at the files of events when the kernel says that they, or what they count, may have changed."""

    def __init__(self, cgroup: Cgroup, events: _Events, stack: contextlib.ExitStack) -> None:
        self._cgroup = cgroup
        self._events = events
        self._timers: tuple[asyncio.TimerHandle, ...] = ()
        stack.callback(self._cancel_timers)
        self._inotify = stack.enter_context(Inotify())
        self._ends = {self._watch(directory): directory for directory in _directories(cgroup)}
        _read_when_ready(self._inotify.fileno(), self._hear, stack)
        if cgroup.version("memory.events") == 1:
            self._watch_oom_of_v1(stack)
        # Last: what happens from now on is told, and what had happened before is not.
        self._state = _look(cgroup)

    def _watch(self, directory: str) -> tuple[int, str]:
        """Return how the end of the directory is told: to the one above alone, for of cgroups the kernel does
        not let go while they are watched."""
        self._inotify.watch(directory)
        above, name = os.path.split(directory)
        return self._inotify.watch(above), name

    def _hear(self) -> None:
        told = {(event.watch, event.name) for event in self._inotify.events()}
        self._compare()
        if not told.isdisjoint(self._ends) or _LOST in told:
            self._ends = {end: path for end, path in self._ends.items() if os.path.isdir(path)}
            if not self._ends:
                self._events.tell(Removed())

    def _watch_oom_of_v1(self, stack: contextlib.ExitStack) -> None:
        directory = self._cgroup.directory("memory") or ""
        if os.path.isdir(directory):
            fd = _register_oom(directory)
            stack.callback(os.close, fd)
            _read_when_ready(fd, lambda: self._hear_oom(fd), stack)

    def _hear_oom(self, fd: int) -> None:
        os.eventfd_read(fd)
        self._cancel_timers()
        loop = asyncio.get_running_loop()
        self._timers = tuple(loop.call_later(delay_s, self._compare) for delay_s in _OOM_COUNTED_AFTER_S)

    def _cancel_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()

    def _compare(self) -> None:
        before, self._state = self._state, _look(self._cgroup)
        for event in changes(before, self._state):
            self._events.tell(event)


def _read_when_ready(fd: int, act: Callable[[], None], stack: contextlib.ExitStack) -> None:
    loop = asyncio.get_running_loop()
    loop.add_reader(fd, act)
    stack.callback(loop.remove_reader, fd)


def _watch_trigger(path: str, trigger: Trigger, events: _Events, stack: contextlib.ExitStack) -> None:
    watch = PressureWatch(path, trigger)
    stack.callback(watch.close)

    def hear() -> None:
        if watch.is_alive():
            events.tell(PressureRaised(trigger))
        else:  # The kernel would say so without end.
            asyncio.get_running_loop().remove_reader(watch.fileno())

    _read_when_ready(watch.fileno(), hear, stack)


def _pressure_file(cgroup: Cgroup, trigger: Trigger) -> str:
    name = f"{trigger.resource}.pressure"
    path = cgroup.file(name)
    if path is None:
        raise UnsupportedError("watch", name, _NO_V2)
    return path


def _directories(cgroup: Cgroup) -> tuple[str, ...]:
    """Return those in which something is told; with v1 a cgroup may be in some hierarchies only. Raises
    KernelError: it is in none."""
    found = dict.fromkeys(cgroup.directory(name) for name in ("", "memory", "pids"))
    there = tuple(directory for directory in found if directory and os.path.isdir(directory))
    if not there:
        raise KernelError("watch", cgroup.path, errno.ENOENT)
    return there


def _register_oom(directory: str) -> int:
    """Return an eventfd that counts how often memory ran out in the v1 cgroup."""
    path = os.path.join(directory, "memory.oom_control")
    fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
    try:
        with open(path, "rb") as control:
            write(os.path.join(directory, "cgroup.event_control"), f"{fd} {control.fileno()}")
    except OSError as error:
        os.close(fd)
        raise KernelError("open", path, error.errno or 0) from None
    except KernelError:
        os.close(fd)
        raise
    return fd


def _look(cgroup: Cgroup) -> State:
    memory, pids = _numbers(cgroup, "memory.events"), _numbers(cgroup, "pids.events")
    core = _numbers(cgroup, "cgroup.events")
    reached = {"pids.max": pids.get("max", 0)}
    if cgroup.version("memory.events") == 2:
        reached |= {f"memory.{name}": memory.get(name, 0) for name in ("high", "max")}
    return State(memory.get("oom_kill", 0), reached, _flag(core, "populated"), _flag(core, "frozen"))


def _flag(numbers: Mapping[str, int], name: str) -> bool | None:
    return bool(numbers[name]) if name in numbers else None


def _numbers(cgroup: Cgroup, name: str) -> Mapping[str, int]:
    """Return what the file counts; nothing if this cgroup has no such file, or is gone."""
    try:
        return cgroup.numbers(name)
    except KernelError as error:
        if error.errno in _ABSENT:
            return {}
        raise


_NO_V2 = Text(
    es="sin jerarquía v2, el kernel no lo cuenta de cada cgroup",
    en="without a v2 hierarchy the kernel does not tell it of each cgroup",
)
