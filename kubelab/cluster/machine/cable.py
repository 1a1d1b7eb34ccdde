"""The cables of the physical network, and what can be done to them: unplug, part, slow, lose.

All of it is the kernel's work on the wire's side, where no machine can undo it: a port that is down, rules
of the bridge, queueing disciplines (a slow cable has a second one at `eth0`, for what the machine sends). It
goes with the wire's network namespace, that is with the lab, however that ends, so no journal need name it.
A machine that is started again finds its cable as it was.
Left out: the host's cable.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from kubelab.cluster.errors import KernelError, LabError
from kubelab.cluster.linux.namespaces import call_in_network
from kubelab.cluster.linux.netlink import Netlink, set_link
from kubelab.cluster.linux.packet_filter import Drop, set_drops
from kubelab.cluster.linux.threads import in_thread
from kubelab.cluster.linux.traffic_control import Slowness, lacks_netem, set_slowness
from kubelab.language import Text

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class CableFaults:
    """What is done to the cables of these machines. `parted`: pairs who do not hear each other; `lost`: the
    share of packets, each way."""

    cut: frozenset[str] = frozenset()
    parted: frozenset[frozenset[str]] = frozenset()
    slow: Mapping[str, Slowness] = field(default_factory=dict)
    lost: Mapping[str, float] = field(default_factory=dict)

    def drops(self) -> list[Drop]:
        pairs = [(one, other) for pair in self.parted for one in pair for other in pair if one != other]
        parted = [Drop(*pair) for pair in sorted(pairs)]
        lost = [drop for name, share in sorted(self.lost.items()) for drop in _both_ways(name, share)]
        return parted + lost

    def without(self, name: str) -> "CableFaults":
        return CableFaults(
            self.cut - {name},
            frozenset(pair for pair in self.parted if name not in pair),
            _set(self.slow, name, None),
            _set(self.lost, name, None),
        )


class Cables:
    """*machines* tells the network namespace of one that is plugged in; *changing* is held meanwhile."""

    def __init__(self, wire_fd: int, machines: Callable[[str], int | None], changing: asyncio.Lock) -> None:
        self.faults = CableFaults()
        self._wire_fd = wire_fd
        self._machine_fd = machines
        self._changing = changing

    async def cut(self, name: str) -> None:
        """Pull the machine's cable out."""
        await self._set_cut(name, is_cut=True)

    async def heal(self, name: str) -> None:
        """Put the machine's cable back in."""
        await self._set_cut(name, is_cut=False)

    async def part(self, one: str, other: str) -> None:
        """Let no packet pass between the two, in either direction.

        Raises:
            LabError: this kernel has no rules for bridges.
        """
        pair = frozenset((one, other))
        await self._filter(lambda faults: replace(faults, parted=faults.parted | {pair}))

    async def join(self, one: str, other: str) -> None:
        pair = frozenset((one, other))
        await self._filter(lambda faults: replace(faults, parted=faults.parted - {pair}))

    async def lose(self, name: str, share: float) -> None:
        """Lose that share of the packets to and from the machine, at random; 0.0 none.

        Raises:
            LabError: this kernel has no rules for bridges.
        """

        def change(faults: CableFaults) -> CableFaults:
            return replace(faults, lost=_set(faults.lost, name, share or None))

        await self._filter(change)

    async def slow(self, name: str, slowness: Slowness) -> None:
        """Slow every packet to and from the machine, each way; a `Slowness()` takes it back.

        Raises:
            LabError: this kernel cannot delay packets.
        """
        async with self._changing:
            try:
                await in_thread(self._set_slowness, name, self._machine_fd(name), slowness)
            except KernelError as error:
                await in_thread(self._set_slowness, name, self._machine_fd(name), self._slowness(name))
                raise (LabError(_NO_NETEM) if lacks_netem(error) else error) from None
            slow = _set(self.faults.slow, name, slowness if slowness != Slowness() else None)
            self.faults = replace(self.faults, slow=slow)

    async def mend(self, name: str) -> None:
        """Take back whatever is done to the machine's cable."""
        await self.heal(name)
        if name in self.faults.slow:
            await self.slow(name, Slowness())
        await self._filter_without(name)

    async def heal_all(self) -> None:
        """Take back whatever is done to any cable."""
        for name in self.faults.cut:
            await self.heal(name)
        for name in self.faults.slow:
            await self.slow(name, Slowness())
        if self.faults.drops():
            await self._filter(lambda faults: replace(faults, parted=frozenset(), lost={}))

    async def forget(self, name: str) -> None:
        """A machine that was plugged in is gone for good: one of the same name is another."""
        await self._filter_without(name)
        self.faults = self.faults.without(name)

    def restore(self, name: str, netns_fd: int) -> None:
        """Do to a cable that was laid anew what is done to the machine's. To be called in a thread."""
        if name in self.faults.cut:
            self._set_link(name, up=False)
        if name in self.faults.slow:
            self._set_slowness(name, netns_fd, self._slowness(name))

    async def _set_cut(self, name: str, *, is_cut: bool) -> None:
        async with self._changing:
            await in_thread(self._set_link, name, up=not is_cut)
            cut = self.faults.cut | {name} if is_cut else self.faults.cut - {name}
            self.faults = replace(self.faults, cut=cut)

    async def _filter_without(self, name: str) -> None:
        less = self.faults.without(name)
        if less.drops() != self.faults.drops():
            await self._filter(lambda faults: replace(faults, parted=less.parted, lost=less.lost))

    async def _filter(self, change: Callable[[CableFaults], CableFaults]) -> None:
        async with self._changing:
            faults = change(self.faults)
            try:
                await in_thread(call_in_network, self._wire_fd, lambda: set_drops(faults.drops()))
            except KernelError as error:
                raise LabError(_NO_RULES.format(error=error)) from None
            self.faults = faults

    def _slowness(self, name: str) -> Slowness:
        return self.faults.slow.get(name, Slowness())

    def _set_link(self, name: str, *, up: bool) -> None:
        """A machine without power has no cable to set; it is found in `faults` when it comes back."""

        def set_(netlink: Netlink) -> None:
            if link := netlink.link(name):
                netlink.do(set_link(link.index, up=up))

        _on(self._wire_fd, set_)

    def _set_slowness(self, name: str, netns_fd: int | None, slowness: Slowness) -> None:
        for fd, link in ((self._wire_fd, name), (netns_fd, "eth0")):
            if fd is not None:
                _on(fd, partial(_send, name=link, slowness=slowness))


def _send(netlink: Netlink, name: str, slowness: Slowness) -> None:
    if link := netlink.link(name):
        set_slowness(netlink, link.index, slowness)


def _on(netns_fd: int, act: Callable[[Netlink], _Result]) -> _Result:
    def run() -> _Result:
        with Netlink() as netlink:
            return act(netlink)

    return call_in_network(netns_fd, run)


def _set(values: Mapping[str, _Result], name: str, value: _Result | None) -> Mapping[str, _Result]:
    others = {each: other for each, other in values.items() if each != name}
    return others if value is None else others | {name: value}


def _both_ways(name: str, share: float) -> tuple[Drop, Drop]:
    return Drop(iif=name, share=share), Drop(oif=name, share=share)


_NO_NETEM = Text(
    es="El kernel de este equipo no sabe retrasar paquetes (le falta sch_netem): instala sus módulos extra, "
    "o usa `kubelab fault drop` y `kubelab fault slow --rate`, que no lo necesitan.",
    en="This host's kernel cannot delay packets (it lacks sch_netem): install its extra modules, or use "
    "`kubelab fault drop` and `kubelab fault slow --rate`, which do without.",
)
_NO_RULES = Text(
    es="El kernel de este equipo no deja filtrar el tráfico entre máquinas ({error}): prueba a cortar el "
    "cable entero con `kubelab fault cut MACHINE`.",
    en="This host's kernel does not let traffic between machines be filtered ({error}): try to cut the "
    "whole cable with `kubelab fault cut MACHINE`.",
)
