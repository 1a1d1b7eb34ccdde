"""A real etcd as a cluster's store: members on the masters' machines, or one that is there already.

The certificate for an etcd that is there already is named as for etcdctl: ETCDCTL_CACERT, ETCDCTL_CERT and
ETCDCTL_KEY.
Source: etcd, etcdctl/README.md. 3.4 is the oldest that lets a watch have a number of its client's choice.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from kubelab.cluster.clock import Clock
from kubelab.cluster.errors import LabError
from kubelab.cluster.linux.suspension import Suspension
from kubelab.cluster.machine.namespaced import NamespacedMachine
from kubelab.cluster.store.etcd_client import EtcdClient, open_client
from kubelab.cluster.store.etcd_client_endpoints import (
    Endpoint,
    Endpoints,
    client_tls,
    plain_socket,
    silences,
)
from kubelab.cluster.store.etcd_process import LOOPBACK, EtcdMember, EtcdSpec, run_member
from kubelab.cluster.store.etcd_process_place import MachinePlace
from kubelab.cluster.store.etcd_restore import has_data
from kubelab.cluster.store.etcd_status import ANSWER_S, Standing, asked, standings_of
from kubelab.cluster.store.member_view import MemberView
from kubelab.cluster.store.requests import Range
from kubelab.cluster.store.service import (
    KeyValueService,
    MemberState,
    NoLeaderError,
    StoreError,
    StoreTimeoutError,
)
from kubelab.language import Text

OLDEST = (3, 4)
NO_LEADER = str(NoLeaderError())
Install = Callable[[NamespacedMachine], Awaitable[None]]
Goodbye = Callable[[], Awaitable[None]]
"""Awaited when a component ends in order."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files of a client; without `ca` this host's authorities are trusted."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    @staticmethod
    def named_in(environment: Mapping[str, str] = os.environ) -> "TlsFiles":
        names = ("ETCDCTL_CACERT", "ETCDCTL_CERT", "ETCDCTL_KEY")
        return TlsFiles(*(Path(value) if (value := environment.get(name)) else None for name in names))

    def context(self) -> ssl.SSLContext:
        """Raises LabError: a file cannot be read, or is not what it should be."""
        files = [str(path) if path else None for path in (self.ca, self.certificate, self.key)]
        try:
            return client_tls(*files)
        except OSError as error:  # ssl's errors are OSErrors.
            named = ", ".join(file for file in files if file)
            raise LabError(_FILES.format(files=named, why=error.strerror or error)) from error


@asynccontextmanager
async def open_etcd(
    urls: Sequence[str],
    files: TlsFiles | None = None,
    dial: Callable[[], socket.socket] = plain_socket,
) -> AsyncIterator[EtcdClient]:
    """Yield a client of the etcd at *urls*; the first one is asked first. *dial* opens its sockets.

    Raises:
        LabError: that is no etcd that the lab can use now, and why.
    """
    endpoints = [Endpoint.parse(url) for url in urls]
    tls = _tls_for(endpoints, files)
    named = ", ".join(map(str, endpoints))
    async with AsyncExitStack() as stack:
        try:
            client = await stack.enter_async_context(open_client(endpoints, tls, dial))
            status = await client.status()
            await client.range(Range(b"\0", count_only=True))
        except (NoLeaderError, StoreTimeoutError) as error:
            silent = await silences(endpoints, tls, dial)
            raise _unreachable(silent or dict.fromkeys(endpoints, str(error))) from error
        except StoreError as error:
            raise LabError(_REFUSED.format(urls=named, why=error)) from error
        if _version(status.version) < OLDEST:
            raise LabError(_TOO_OLD.format(urls=named, version=status.version))
        yield client


class EtcdOnMaster:
    """A member of a real etcd as a master's component. *urls* are its own and then the others'; *files* are
    the API server's as its client; *install* puts certificates for people on the machine."""

    def __init__(
        self, spec: EtcdSpec, urls: Sequence[str], files: TlsFiles, install: Install | None = None
    ) -> None:
        self._spec = spec
        self._urls = urls
        self._files = files
        self._install = install
        self._member: EtcdMember | None = None
        self._asker: EtcdClient | None = None

    async def install(self, machine: NamespacedMachine) -> None:
        if self._install:
            await self._install(machine)

    @asynccontextmanager
    async def run(
        self, machine: NamespacedMachine, clock: Clock, suspension: Suspension
    ) -> AsyncIterator[Goodbye]:
        """Run the member during the block; yields what ends it in order, for else it is killed.

        Raises:
            LabError: there is no etcd on this host, or it does not start.
        """
        async with run_member(self._spec, MachinePlace(machine)) as member:
            own = Endpoints([Endpoint.parse(self._own_url)], self._files.context(), machine.socket)
            self._member, self._asker = member, EtcdClient(own)
            try:
                yield member.stop
            finally:
                self._asker.close()
                self._member = self._asker = None
                member.hold_down()

    @asynccontextmanager
    async def opened(self, machine: NamespacedMachine) -> AsyncIterator[KeyValueService]:
        """Use the cluster as the API server of *machine*, this member first.

        Raises:
            LabError: no member answers.
        """
        async with open_etcd(self._urls, self._files, machine.socket) as client:
            yield client

    def signal(self, number: int) -> None:
        if self._member:
            self._member.kill(number)

    def view(self) -> MemberView | None:
        """etcd tells of its Raft through its own API: `standing`."""
        return None

    @property
    def has_data(self) -> bool:
        """Whether it was a member before."""
        return has_data(self.directory)

    @property
    def directory(self) -> Path:
        return self._spec.data

    def join(self, own: MemberState, cluster_id: int, all_: Sequence[MemberState]) -> None:
        """Begin as *own*, whom the others have added, when it starts without data."""
        urls = {member.name or self._spec.name: member.peer_urls[0] for member in all_}
        self._spec = replace(self._spec, peers=urls, joins=True)

    def snapshot(self) -> AsyncIterator[bytes] | None:
        """Yield what `service.snapshot` does; None while it does not run."""
        return self._asker.snapshot() if self._asker and self._member and self._member.pid else None

    async def standing(self) -> Standing:
        """Ask the member how it is, on its own machine: a cable that is cut is no reason not to answer."""
        if self._member is None or self._asker is None or not self._member.pid:
            return Standing(self._spec.name)
        return Standing(self._spec.name, await asked(self._asker), is_there=True)

    @property
    def _own_url(self) -> str:
        return f"{self._spec.scheme}://{LOOPBACK}:{self._spec.client_port}"


class EtcdElsewhere:
    """An etcd that is there already, as a master's component: nothing runs, and the host reaches it."""

    def __init__(self, urls: Sequence[str], files: TlsFiles | None = None) -> None:
        self._urls = urls
        self._files = files
        self._askers: dict[Endpoint, EtcdClient] = {}
        self._members: tuple[MemberState, ...] = ()

    async def check(self) -> None:
        """Raises LabError: it is of no use now, and why. One that has no leader yet is waited for."""
        endpoints = [Endpoint.parse(url) for url in self._urls]
        silent = await silences(endpoints, self._tls(endpoints), plain_socket)
        if len(silent) == len(endpoints) and NO_LEADER not in silent.values():
            raise _unreachable(silent)
        async with open_etcd(self._urls, self._files):
            pass

    async def install(self, machine: NamespacedMachine) -> None:
        """Its certificates are its owner's: none is put on *machine*."""

    @asynccontextmanager
    async def run(
        self, machine: NamespacedMachine, clock: Clock, suspension: Suspension
    ) -> AsyncIterator[Goodbye]:
        async def goodbye() -> None:
            """Somebody else's etcd lives on."""

        yield goodbye

    @asynccontextmanager
    async def opened(self, machine: NamespacedMachine) -> AsyncIterator[KeyValueService]:
        """Raises LabError: it is of no use now."""
        async with open_etcd(self._urls, self._files) as client:
            yield client

    def signal(self, number: int) -> None:
        """Somebody else's etcd is left alone."""

    def view(self) -> MemberView | None:
        return None

    async def standings(self) -> tuple[Standing, ...]:
        """Ask all members how they are: those that were named, and those of which these know."""
        advertised = (url for member in self._members for url in member.client_urls)
        clients = self._clients(dict.fromkeys((*self._urls, *advertised)))
        said = await asyncio.gather(*map(asked, clients))
        known = [client for client, status in zip(clients, said, strict=True) if status]
        if known and (members := await _members(known[0])):
            self._members = members
        return standings_of(self._members, said)

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[None]:
        """Have connections for `standings` until the block ends."""
        try:
            yield
        finally:
            for client in self._askers.values():
                client.close()
            self._askers.clear()

    def _clients(self, urls: Iterable[str]) -> list[EtcdClient]:
        """Return a client for each endpoint."""
        endpoints = dict.fromkeys(endpoint for url in urls for endpoint in _endpoints(url))
        for endpoint in endpoints.keys() - self._askers.keys():
            self._askers[endpoint] = EtcdClient(Endpoints([endpoint], self._tls([endpoint])))
        return [self._askers[endpoint] for endpoint in endpoints]

    def _tls(self, endpoints: Iterable[Endpoint]) -> ssl.SSLContext | None:
        return _tls_for(endpoints, self._files)


def _tls_for(endpoints: Iterable[Endpoint], files: TlsFiles | None) -> ssl.SSLContext | None:
    is_secret = any(endpoint.scheme == "https" for endpoint in endpoints)
    return (files or TlsFiles.named_in()).context() if is_secret else None


def _unreachable(silent: Mapping[Endpoint, str]) -> LabError:
    named = ", ".join(f"{endpoint} ({why})" for endpoint, why in silent.items())
    return LabError(_UNREACHABLE.format(urls=named))


async def _members(client: EtcdClient) -> tuple[MemberState, ...]:
    """Return what that member knows of all; nothing if it has just ended."""
    with suppress(StoreError, TimeoutError):
        async with asyncio.timeout(ANSWER_S):
            return await client.members(linearizable=False)
    return ()


def _endpoints(url: str) -> tuple[Endpoint, ...]:
    """Return the endpoint, if it is one: members may advertise what we cannot use."""
    try:
        return (Endpoint.parse(url),)
    except LabError:
        return ()


def _version(words: str) -> tuple[int, ...]:
    major, minor, *_ = (*words.split("."), "0", "0")
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else (0, 0)


_FILES = Text(
    es="No sirven los certificados {files} ({why}): revisa ETCDCTL_CACERT, ETCDCTL_CERT y ETCDCTL_KEY.",
    en="The certificates {files} are no good ({why}): look at ETCDCTL_CACERT, ETCDCTL_CERT and ETCDCTL_KEY.",
)
_UNREACHABLE = Text(
    es="No responde ningún etcd en {urls}: comprueba que está en marcha, que tiene líder y que acepta el "
    "certificado que dicen ETCDCTL_CACERT, ETCDCTL_CERT y ETCDCTL_KEY.",
    en="No etcd answers at {urls}: see that it runs, that it has a leader and that it takes the "
    "certificate that ETCDCTL_CACERT, ETCDCTL_CERT and ETCDCTL_KEY name.",
)
_REFUSED = Text(
    es="El etcd de {urls} no deja usarlo ({why}): revisa qué puede este certificado.",
    en="The etcd at {urls} does not let itself be used ({why}): see what this certificate may.",
)
_TOO_OLD = Text(
    es="El etcd de {urls} es de la versión {version}: hace falta 3.4 o posterior.",
    en="The etcd at {urls} is of version {version}: 3.4 or later is needed.",
)
