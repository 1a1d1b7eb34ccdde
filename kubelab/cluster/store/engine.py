"""A real etcd as a cluster's store: members on the masters' machines, or one that is there already.

The certificate for an etcd that is there already is named as for etcdctl: ETCDCTL_CACERT, ETCDCTL_CERT and
ETCDCTL_KEY.
Source: etcd, etcdctl/README.md. 3.4 is the oldest that lets a watch have a number of its client's choice.
"""

import os
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from kubelab.cluster.clock import Clock
from kubelab.cluster.errors import LabError
from kubelab.cluster.linux.suspension import Suspension
from kubelab.cluster.machine.namespaced import NamespacedMachine
from kubelab.cluster.store.etcd_client import EtcdClient, open_client
from kubelab.cluster.store.etcd_client_endpoints import Endpoint, client_tls, plain_socket
from kubelab.cluster.store.etcd_process import EtcdMember, EtcdSpec, run_member
from kubelab.cluster.store.etcd_process_place import MachinePlace
from kubelab.cluster.store.member_view import MemberView
from kubelab.cluster.store.requests import Range
from kubelab.cluster.store.service import KeyValueService, NoLeaderError, StoreError
from kubelab.language import Text

OLDEST = (3, 4)
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
    is_secret = any(endpoint.scheme == "https" for endpoint in endpoints)
    tls = (files or TlsFiles.named_in()).context() if is_secret else None
    named = ", ".join(map(str, endpoints))
    async with AsyncExitStack() as stack:
        try:
            client = await stack.enter_async_context(open_client(endpoints, tls, dial))
            status = await client.status()
            await client.range(Range(b"\0", count_only=True))
        except NoLeaderError as error:
            raise LabError(_UNREACHABLE.format(urls=named)) from error
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
            self._member = member
            try:
                yield member.stop
            finally:
                self._member = None
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
        """etcd tells of its Raft through its own API (`etcdctl endpoint status`), not here."""
        return None


class EtcdElsewhere:
    """An etcd that is there already, as a master's component: nothing runs, and the host reaches it."""

    def __init__(self, urls: Sequence[str], files: TlsFiles | None = None) -> None:
        self._urls = urls
        self._files = files

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
    en="No etcd answers at {urls}: see that it runs, that it has a leader and that it takes the certificate "
    "that ETCDCTL_CACERT, ETCDCTL_CERT and ETCDCTL_KEY name.",
)
_REFUSED = Text(
    es="El etcd de {urls} no deja usarlo ({why}): revisa qué puede este certificado.",
    en="The etcd at {urls} does not let itself be used ({why}): see what this certificate may.",
)
_TOO_OLD = Text(
    es="El etcd de {urls} es de la versión {version}: hace falta 3.4 o posterior.",
    en="The etcd at {urls} is of version {version}: 3.4 or later is needed.",
)
