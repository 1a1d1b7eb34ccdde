"""What is in each network namespace: links, addresses, routes, nftables rules.

Source: rtnetlink(7), netlink(7) (ENOBUFS), nft(8). Two sockets in every namespace are subscribed to what the
kernel tells of changes there; each change, or several at once, makes us list everything again, in a thread:
that takes a millisecond, and nothing can be forgotten. When too much happened to be told, that counts as a
change. Rules are listed only after a change of nftables.

A socket keeps its namespace alive. A namespace that nobody is in any more, and that nothing keeps
(`ip netns add` does, by a mount), is let go at the next look, and its links with it.
Left out: IPv6's link-local part and other routing tables (see `rtnetlink`), iptables-legacy, neighbours.
"""

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

from kubelab.cluster.clock import Clock
from kubelab.cluster.errors import LabError
from kubelab.cluster.linux import nftables
from kubelab.cluster.linux.background import background
from kubelab.cluster.linux.namespaces import call_in_network
from kubelab.cluster.linux.netlink import NETLINK_ROUTE, Netlink
from kubelab.cluster.linux.threads import in_thread
from kubelab.language import Text
from kubelab.lessons.observation import Network, Process, Rule, Unseen
from kubelab.lessons.view import sentence_of
from kubelab.lessons.watching import rtnetlink
from kubelab.lessons.watching.mounts import MountTables

REST_S = 0.04  # However much happens there.
RETRY_S = 1.0
PATHS_MAX = 5  # Of so many processes one will live until its namespace is open.


@dataclass(slots=True)
class _Watched:
    """One namespace. The sockets are the thread's while `Networks` reads, and nobody's else."""

    netns_fd: int
    sockets: ExitStack = field(default_factory=ExitStack)
    told: tuple[socket.socket, ...] = ()
    route: Netlink | None = None
    netfilter: Netlink | None = None
    rules_changed: bool = True
    seen: Network | Unseen | None = None


class Networks:
    """Those of all machines, by inode. `on_change` is called when `seen` has changed."""

    def __init__(self, clock: Clock, on_change: Callable[[], None]) -> None:
        self.seen: dict[int, Network | Unseen] = {}
        self._clock = clock
        self._on_change = on_change
        self._watched: dict[int, _Watched] = {}
        self._wanted: dict[str, frozenset[int]] = {}
        self._stale: set[int] = set()
        self._something = asyncio.Event()
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        try:
            async with background(self._read_forever()):
                yield
        finally:
            for inode in list(self._watched):
                self._let_go(inode)

    def follow(self, machine: str, proc_directory: int, paths: Mapping[int, Sequence[str]]) -> None:
        """Watch the namespaces of *paths*, any of which leads to it from *proc_directory*, as those of
        *machine*, and let go those that were before."""
        for inode in paths.keys() - self._watched.keys():
            if (netns_fd := _open_namespace(inode, proc_directory, paths[inode])) is not None:
                self._watched[inode] = _Watched(netns_fd)
                self._mark(inode)
        self._want(machine, frozenset(paths))

    def forget(self, machine: str) -> None:
        self._want(machine, frozenset())
        self._wanted.pop(machine, None)

    async def settle(self) -> None:
        """Read whatever has changed, even if the loop has not come to hear of it yet."""
        for inode, watched in self._watched.items():
            for number, told in enumerate(watched.told):
                self._hear(inode, told, number == 1)
        await self._read()  # Which waits for one that has begun.
        while self._stale:
            await self._read()

    def of(self, inodes: Iterable[int]) -> dict[int, Network | Unseen]:
        return {inode: self.seen[inode] for inode in inodes if inode in self.seen}

    def _want(self, machine: str, inodes: frozenset[int]) -> None:
        if self._wanted.get(machine) != inodes:
            self._wanted[machine] = inodes
            self._something.set()

    def _mark(self, inode: int) -> None:
        self._stale.add(inode)
        self._something.set()

    async def _read_forever(self) -> None:
        while True:
            failed = {inode for inode, network in self.seen.items() if _has_failed(network)}
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RETRY_S if failed else None):
                    await self._something.wait()
            self._stale |= failed
            await self._read()
            await self._clock.sleep(REST_S)

    async def _read(self) -> None:
        async with self._turn:
            self._something.clear()
            self._let_go_unwanted()
            batch = {inode: self._watched[inode] for inode in self._stale if inode in self._watched}
            self._stale.clear()
            if batch:
                await in_thread(_read_all, batch.values())
            for inode, watched in batch.items():
                self._listen(inode, watched)
            found = {inode: watched.seen for inode, watched in self._watched.items()}
            seen = {inode: network for inode, network in found.items() if network is not None}
            if seen != self.seen:
                self.seen = seen
                self._on_change()

    def _let_go_unwanted(self) -> None:
        wanted: frozenset[int] = frozenset().union(*self._wanted.values())
        for inode in self._watched.keys() - wanted:
            self._let_go(inode)

    def _let_go(self, inode: int) -> None:
        watched = self._watched.pop(inode)
        for told in watched.told:
            asyncio.get_running_loop().remove_reader(told)
        watched.sockets.close()
        os.close(watched.netns_fd)

    def _listen(self, inode: int, watched: _Watched) -> None:
        for number, told in enumerate(watched.told):
            asyncio.get_running_loop().add_reader(told, self._hear, inode, told, number == 1)

    def _hear(self, inode: int, told: socket.socket, is_netfilter: bool) -> None:
        if not _drain(told):
            return
        if is_netfilter:
            self._watched[inode].rules_changed = True
        self._mark(inode)


def _has_failed(network: Network | Unseen) -> bool:
    return isinstance(network, Unseen) or isinstance(network.rules, Unseen)


def paths_to_namespaces(processes: Iterable[Process], mounts: MountTables) -> Mapping[int, list[str]]:
    """Return where a machine's network namespaces are found, from its /proc: at the processes in it, and
    where it is mounted, as `ip netns add` does (/run/netns/<name>)."""
    paths: dict[int, list[str]] = {}
    for process in processes:
        inode = process.namespaces.get("net")
        if inode and len(known := paths.setdefault(inode, [])) < PATHS_MAX:
            known.append(f"{process.pid}/ns/net")
    for mount_namespace, table in mounts.tables.items():
        for mount in () if isinstance(table, Unseen) else table:
            if mount.type == "nsfs" and mount.root.startswith("net:["):
                witness = mounts.witnesses[mount_namespace]
                path = f"{witness.pid}/root{mount.point.removeprefix(witness.root.rstrip('/'))}"
                paths.setdefault(int(mount.root[5:-1]), []).append(path)
    return paths


def _open_namespace(inode: int, proc_directory: int, paths: Sequence[str]) -> int | None:
    """Return a descriptor of the namespace; None if all that led there is gone by now."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # A learner may have put a pipe in its place.
    for path in paths:
        with contextlib.suppress(OSError):
            fd = os.open(path, flags, dir_fd=proc_directory)
            if os.fstat(fd).st_ino == inode:
                return fd
            os.close(fd)
    return None


def _read_all(batch: Iterable[_Watched]) -> None:
    for watched in batch:
        try:
            if not watched.told:
                call_in_network(watched.netns_fd, partial(_open_sockets, watched))
            watched.seen = _read_network(watched)
        except (LabError, OSError) as error:
            reason = sentence_of(error) if isinstance(error, LabError) else Text(str(error), str(error))
            watched.seen = Unseen(reason)


def _open_sockets(watched: _Watched) -> None:
    """Open the namespace's sockets, in a thread that is in it."""
    with ExitStack() as stack:
        changes = stack.enter_context(socket.socket(*NETLINK_ROUTE))
        changes.bind((0, rtnetlink.CHANGES_MASK))
        changes.setblocking(False)
        told = [changes]
        netfilter = None
        with contextlib.suppress(OSError):  # A kernel without netfilter has no rules to tell of.
            rules_changes = stack.enter_context(nftables.open_netfilter())
            rules_changes.bind((0, nftables.CHANGES_MASK))
            rules_changes.setblocking(False)
            netfilter = stack.enter_context(Netlink(nftables.open_netfilter()))
            told.append(rules_changes)
        watched.route = stack.enter_context(Netlink())
        watched.netfilter = netfilter
        watched.told = tuple(told)
        watched.sockets = stack.pop_all()


def _read_network(watched: _Watched) -> Network:
    assert watched.route is not None
    rules = _read_rules(watched)
    links = rtnetlink.links(watched.route)
    names = {link.index: link.name for link in links}
    addresses = rtnetlink.addresses(watched.route, names)
    network = Network(links, addresses, rtnetlink.routes(watched.route, names), rules)
    return watched.seen if isinstance(watched.seen, Network) and watched.seen == network else network


def _read_rules(watched: _Watched) -> tuple[Rule, ...] | Unseen:
    known = watched.seen.rules if isinstance(watched.seen, Network) else None
    if not watched.rules_changed and isinstance(known, tuple):
        return known
    watched.rules_changed = False  # Before they are read: what changes meanwhile is told again.
    if watched.netfilter is None or not nftables.has_tables(watched.netfilter):
        return ()
    try:
        return tuple(Rule(*rule) for rule in nftables.rules(nftables.list_ruleset(watched.netns_fd)))
    except LabError as error:
        return Unseen(sentence_of(error))


def _drain(told: socket.socket) -> bool:
    """Take what has been told, which need not be understood; that some of it was lost, too. Return whether
    there was anything."""
    was_told = False
    while True:
        try:
            told.recv(16)
        except BlockingIOError:
            return was_told
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
        was_told = True
