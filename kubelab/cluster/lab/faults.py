"""What can be done to a running lab so that it fails, really, and how it is taken back.

To cables: cut, slow, drop; to machines and their components: kill, stop, resume, restart; to clocks: skew.
What is on is not written down but looked at, in the kernel's cables and the components' states, so a fault
that something else has ended is not on any more, and a component that fails because of another's fault is
told of, too: as one in back-off (an API server whose etcd was killed), which comes back by itself. None of
them outlives the lab: cables go with the wire's network namespace, components with this process, and the
processes of a machine are in the journal since they were started.
Left out: disks; freezing the programs and pods of a machine (`stop` is for the cluster's components).
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from functools import wraps
from typing import Any, Concatenate, Literal, ParamSpec

import msgspec

from kubelab.cluster.errors import LabError
from kubelab.cluster.lab.component import Component, Power
from kubelab.cluster.lab.machine_clock import MachineClock
from kubelab.cluster.linux.traffic_control import Slowness
from kubelab.cluster.machine.cable import Cables
from kubelab.language import Text

Action = Literal[
    "list", "cut", "heal", "slow", "drop", "kill", "stop", "resume", "restart", "skew", "heal-all"
]


class Order(msgspec.Struct, frozen=True, tag_field="verb", tag="fault"):
    """One request for a fault, as it comes over the control socket. `target`: a peer or a component."""

    action: Action
    machine: str = ""
    target: str = ""
    delay_s: float = 0.0
    jitter_s: float = 0.0
    rate_bits_per_s: int = 0
    loss: float = 0.0
    by_s: float = 0.0


class Fault(msgspec.Struct, frozen=True):
    """One that is on; `details` are in tc(8)'s words. `back-off`: nobody has killed it, it has ended because
    what it needs does not answer, and is started again and again."""

    kind: Literal["cut", "slow", "drop", "kill", "stop", "back-off", "skew"]
    machine: str
    target: str = ""
    details: str = ""


_Words = ParamSpec("_Words")
_Deed = Callable[Concatenate["Faults", _Words], Awaitable[None]]


def _told(deed: "_Deed[_Words]") -> "Callable[Concatenate[Faults, _Words], Coroutine[Any, Any, None]]":
    """Have whoever watches the store look again once *deed* is done, or has failed halfway."""

    @wraps(deed)
    async def do_and_tell(faults: "Faults", /, *args: _Words.args, **kwargs: _Words.kwargs) -> None:
        try:
            await deed(faults, *args, **kwargs)
        finally:
            faults.tell()

    return do_and_tell


class Faults:
    """*clocks* are those of the cluster's machines, with or without power; *present* names the machines that
    are plugged in. *tell* is called after each that was done or taken back."""

    def __init__(
        self,
        power: Power,
        cables: Callable[[], Cables],
        clocks: Mapping[str, MachineClock],
        present: Callable[[], Sequence[str]],
        tell: Callable[[], None] = lambda: None,
    ) -> None:
        self.tell = tell
        self._power = power
        self._cables = cables
        self._present = present
        self._clocks = clocks
        self._working = asyncio.Lock()

    def active(self) -> tuple[Fault, ...]:
        """Return the faults that are on, by kind and machine."""
        return (*self._of_cables(), *self._of_components(), *self._of_clocks())

    @_told
    async def cut(self, machine: str, peer: str | None = None) -> None:
        """Pull the machine's cable out; with a *peer*, let nothing pass between those two.

        All of these raise LabError: what they name is not there, or this kernel cannot do it.
        """
        self._check_plugged(machine, peer)
        await (self._cables().part(machine, peer) if peer else self._cables().cut(machine))

    @_told
    async def heal(self, machine: str, peer: str | None = None) -> None:
        """Take back what is done to the machine's cable; with a *peer*, only that the two are parted."""
        self._check_plugged(machine, peer)
        await (self._cables().join(machine, peer) if peer else self._cables().mend(machine))

    @_told
    async def slow(
        self, machine: str, *, delay_s: float = 0.0, jitter_s: float = 0.0, rate_bits_per_s: int = 0
    ) -> None:
        """Have the machine's packets, each way, come later, or only so many a second."""
        self._check_plugged(machine)
        slowness = Slowness(delay_s, jitter_s, rate_bits_per_s)
        if slowness == Slowness() or min(delay_s, jitter_s, rate_bits_per_s) < 0 or jitter_s > delay_s:
            raise LabError(_NOT_SLOW)
        await self._cables().slow(machine, slowness)

    @_told
    async def drop(self, machine: str, loss: float) -> None:
        """Lose that share of the machine's packets, each way, at random."""
        self._check_plugged(machine)
        if not 0 < loss <= 1:
            raise LabError(_NO_SHARE)
        await self._cables().lose(machine, loss)

    @_told
    async def kill(self, machine: str, component: str | None = None) -> None:
        """End the component without a goodbye; without one, cut the machine's power."""
        async with self._working:
            self._check(machine)
            if component:
                await self._component(machine, component).kill()
            elif self._has_power(machine):
                await self._power.power_off(machine)

    @_told
    async def stop(self, machine: str, component: str | None = None) -> None:
        """Suspend the component; without one, all of the machine's: they stay, and answer nothing."""
        async with self._working:
            for each in self._components(machine, component):
                await each.stop()

    @_told
    async def resume(self, machine: str, component: str | None = None) -> None:
        async with self._working:
            for each in self._components(machine, component):
                await each.resume()

    @_told
    async def restart(self, machine: str, component: str | None = None) -> None:
        """Kill it, if that has not happened, and start it again."""
        async with self._working:
            self._check(machine)
            if component:
                restarted = self._component(machine, component)
                await restarted.kill()
                await restarted.start()
            else:
                if self._has_power(machine):
                    await self._power.power_off(machine)
                await self._power.power_on(machine)

    async def skew(self, machine: str, by_s: float) -> None:
        """Set the clock of the machine's components that far ahead of the host's; 0 sets it right."""
        self._check(machine)
        self._clocks[machine].skew_s = by_s

    @_told
    async def heal_all(self) -> None:
        """Take back every fault that is on."""
        await self._cables().heal_all()
        for clock in self._clocks.values():
            clock.skew_s = 0.0
        async with self._working:
            for name in self._clocks:
                if not self._has_power(name):
                    await self._power.power_on(name)
            for component in tuple(self._power.components):
                await component.resume()
                if component.state == "dead":
                    await component.start()

    async def carry_out(self, order: Order) -> None:
        machine, target = order.machine, order.target or None
        match order.action:
            case "cut":
                await self.cut(machine, target)
            case "heal":
                await self.heal(machine, target)
            case "slow":
                await self.slow(
                    machine,
                    delay_s=order.delay_s,
                    jitter_s=order.jitter_s,
                    rate_bits_per_s=order.rate_bits_per_s,
                )
            case "drop":
                await self.drop(machine, order.loss)
            case "kill":
                await self.kill(machine, target)
            case "stop":
                await self.stop(machine, target)
            case "resume":
                await self.resume(machine, target)
            case "restart":
                await self.restart(machine, target)
            case "skew":
                await self.skew(machine, order.by_s)
            case "heal-all":
                await self.heal_all()
            case "list":
                pass

    def _of_cables(self) -> Iterator[Fault]:
        faults = self._cables().faults
        yield from (Fault("cut", name) for name in sorted(faults.cut))
        yield from (Fault("cut", *pair) for pair in sorted(tuple(sorted(each)) for each in faults.parted))
        yield from (Fault("slow", name, "", _words(slow)) for name, slow in sorted(faults.slow.items()))
        for name, loss in sorted(faults.lost.items()):
            yield Fault("drop", name, "", f"loss {loss * 100:g}%")

    def _of_components(self) -> Iterator[Fault]:
        yield from (Fault("kill", name) for name in self._clocks if not self._has_power(name))
        for each in self._power.components:
            if each.state != "running":
                yield Fault(_kind(each), each.machine, each.name)

    def _of_clocks(self) -> Iterator[Fault]:
        for name, clock in self._clocks.items():
            if clock.skew_s:
                yield Fault("skew", name, "", f"by {clock.skew_s:+g}s")

    def _has_power(self, machine: str) -> bool:
        return machine in self._present()

    def _components(self, machine: str, name: str | None) -> list[Component]:
        """Return the machine's component of that name, or all of them."""
        self._check(machine)
        return [self._component(machine, name)] if name else self._all_of(machine)

    def _all_of(self, machine: str) -> list[Component]:
        components = [each for each in self._power.components if each.machine == machine]
        if not components:
            raise LabError(_NO_POWER.format(name=machine))
        return components

    def _component(self, machine: str, name: str) -> Component:
        components = self._all_of(machine)
        for component in components:
            if component.name == name:
                return component
        names = ", ".join(each.name for each in components)
        raise LabError(_NO_COMPONENT.format(machine=machine, name=name, names=names))

    def _check(self, machine: str) -> None:
        _check_name(machine, self._clocks)

    def _check_plugged(self, machine: str, peer: str | None = None) -> None:
        """Machines of no cluster have cables too."""
        names = list(dict.fromkeys((*self._clocks, *self._present())))
        _check_name(machine, names)
        if peer:
            _check_name(peer, [name for name in names if name != machine])


def _kind(component: Component) -> Literal["kill", "stop", "back-off"]:
    if component.is_restarting:
        return "back-off"
    return "kill" if component.state == "dead" else "stop"


def _check_name(name: str, names: Collection[str]) -> None:
    if name not in names:
        raise LabError(_NO_MACHINE.format(name=name, names=", ".join(names)))


def _words(slowness: Slowness) -> str:
    words = {
        "delay": f"{slowness.delay_s * 1000:g}ms" if slowness.delay_s else "",
        "jitter": f"{slowness.jitter_s * 1000:g}ms" if slowness.jitter_s else "",
        "rate": _rate(slowness.rate_bits_per_s) if slowness.rate_bits_per_s else "",
    }
    return " ".join(f"{name} {value}" for name, value in words.items() if value)


def _rate(bits_per_s: int) -> str:
    for unit, size in (("gbit", 10**9), ("mbit", 10**6), ("kbit", 10**3)):
        if bits_per_s >= size:
            return f"{bits_per_s / size:g}{unit}"
    return f"{bits_per_s}bit"


_NO_MACHINE = Text(
    es="No hay ninguna máquina {name} a la que hacer eso: elige una de {names}.",
    en="There is no machine {name} to do that to: choose one of {names}.",
)
_NO_COMPONENT = Text(
    es="En {machine} no hay ningún componente {name}: elige uno de {names}.",
    en="There is no component {name} on {machine}: choose one of {names}.",
)
_NO_POWER = Text(
    es="{name} está apagada: enciéndela con `kubelab fault restart {name}`.",
    en="{name} has no power: start it with `kubelab fault restart {name}`.",
)
_NOT_SLOW = Text(
    es="Di cuánto retrasar: --delay 50ms, con --jitter 10ms como mucho igual, o --rate 1mbit.",
    en="Say how slow: --delay 50ms, with --jitter 10ms of at most as much, or --rate 1mbit.",
)
_NO_SHARE = Text(
    es="Di qué parte perder, de más de 0 a 100%: --loss 10%.",
    en="Say which share to lose, more than 0 and up to 100%: --loss 10%.",
)
