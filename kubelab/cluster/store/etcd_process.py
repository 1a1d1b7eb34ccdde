"""Members of a real etcd, started and kept alive as processes: one a master, on its machine.

A member that dies is started again with back-off; its data directory and its log lie on the host and stay.
It is ready when its client port answers, which it does once it has heard from a quorum.
Source: etcd, op-guide/configuration (flags) and op-guide/security (certificates); kubeadm,
app/phases/etcd/local.go, whose flags and certificate files these are.
Left out: rotation of the log (a lab's is some kilobytes an hour); upgrades of the data's format.
"""

import asyncio
import logging
import os
import shutil
import signal
import ssl
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kubelab.cluster.errors import LabError
from kubelab.cluster.linux.background import background, forever
from kubelab.cluster.linux.connecting import becoming_transport
from kubelab.cluster.runtime.client import MachineGoneError
from kubelab.cluster.store.etcd_process_place import Place, Process
from kubelab.cluster.store.mvcc import DEFAULT_QUOTA_BYTES
from kubelab.language import Text

PROGRAM = "etcd"
LOOPBACK = "127.0.0.1"
CLIENT_PORT, PEER_PORT = 2379, 2380
TOKEN = "kubelab"  # noqa: S105 - it tells clusters apart, and is no secret
RESTART_S, RESTART_MAX_S = 0.1, 5.0  # Doubled with every death in a row.
SETTLED_S = 10.0  # Who lived that long has come up: its next death is the first again.
FIRST_STARTS_MAX = 3  # A member that never answered and dies so often will not come up by itself.
GRACE_S = 3.0
POLL_S = 0.02

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM files: an authority's certificate, and one with its key that is for servers and clients alike, for
    members call each other. Clients need one of the same authority."""

    ca: Path
    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class EtcdSpec:
    """`peers`: name to peer URL of the members of a new cluster, of all members for one that joins
    (`joins`). `data` and `log` are the host's paths. Without certificates everything is plain HTTP.

    `host` is what peers call it, its address if it has no name: etcd keeps the URLs for ever, so where
    addresses may change from one life of a cluster to the next, give a name that /etc/hosts knows.
    """

    name: str
    address: str
    data: Path
    log: Path
    peers: Mapping[str, str]
    certificates: Certificates | None = None
    peer_certificates: Certificates | None = None
    """If it has others for its peers than for its clients."""
    host: str = ""
    client_port: int = CLIENT_PORT
    peer_port: int = PEER_PORT
    joins: bool = False
    heartbeat_ms: int = 100
    election_ms: int = 1000
    quota_bytes: int = DEFAULT_QUOTA_BYTES

    @property
    def scheme(self) -> Literal["http", "https"]:
        return "https" if self.certificates else "http"

    @property
    def client_url(self) -> str:
        return f"{self.scheme}://{self.address}:{self.client_port}"

    @property
    def peer_url(self) -> str:
        return f"{self.scheme}://{self.host or self.address}:{self.peer_port}"


def find_etcd() -> Path:
    """Return the program: on the PATH, or beside this Python's own.

    Raises:
        LabError: there is none.
    """
    beside = str(Path(sys.executable).parent)
    path = f"{os.environ.get('PATH', os.defpath)}{os.pathsep}{beside}"
    found = shutil.which(PROGRAM, path=path)
    if found is None:
        raise LabError(_NO_PROGRAM)
    return Path(found).resolve()


class EtcdMember:
    """A member that is being kept alive. `pid` is 0 while it does not run; `restarts` counts its deaths."""

    def __init__(self, spec: EtcdSpec, place: Place) -> None:
        self.spec = spec
        self.restarts = 0
        self._place = place
        self._process: Process | None = None
        self._answers = asyncio.Event()
        self._gone = asyncio.Event()
        self._gone.set()
        self._has_answered = False
        self._may_run = asyncio.Event()
        self._may_run.set()
        self._tls = _client_context(spec.certificates) if spec.certificates else None

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    async def ready(self) -> None:
        """Wait until its client port answers."""
        await self._answers.wait()

    async def gone(self) -> None:
        """Wait until it does not run."""
        await self._gone.wait()

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Signal it: SIGKILL and it is started again, SIGSTOP and it hangs until SIGCONT."""
        if self._process:
            self._process.kill(number)

    def hold_down(self) -> None:
        """Kill it, and do not start it again before `release`."""
        self._may_run.clear()
        self.kill()

    async def stop(self) -> None:
        """End it with grace, and do not start it again before `release`."""
        self._may_run.clear()
        if self._process:
            await self._end(self._process)

    def release(self) -> None:
        self._may_run.set()

    async def keep_alive(self) -> None:
        """Run it until cancelled, then end it with grace.

        Raises:
            LabError: it cannot be started, or dies again and again before it ever answered.
        """
        argv = await self._argv()
        failures = 0
        while True:
            await self._may_run.wait()
            try:
                lived_s = await self._run_once(argv)
            except MachineGoneError:  # It ends with its machine, and so will this.
                await forever()
                return
            self.restarts += 1
            failures = 1 if lived_s >= SETTLED_S else failures + 1
            if not self._has_answered and failures >= FIRST_STARTS_MAX:
                raise LabError(_DIES.format(name=self.spec.name, log=self.spec.log))
            await asyncio.sleep(min(RESTART_S * 2 ** (failures - 1), RESTART_MAX_S))

    async def _run_once(self, argv: list[str]) -> float:
        """Run it until it dies; return how long it lived."""
        began_s = time.monotonic()
        async with self._place.running(argv, self.spec.data, self.spec.log) as process:
            self._process = process
            self._gone.clear()
            try:
                async with background(self._look()):
                    code = await process.wait()
                if self._may_run.is_set():
                    logger.warning("etcd %s: ended with exit code %d", self.spec.name, code)
            except asyncio.CancelledError:
                await self._end(process)
                raise
            finally:
                self._process = None
                self._answers.clear()
                self._gone.set()
        return time.monotonic() - began_s

    async def _end(self, process: Process) -> None:
        process.kill(signal.SIGCONT)  # It may be standing still.
        process.kill(signal.SIGTERM)
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE_S):
                await process.wait()

    async def _look(self) -> None:
        """Ask until it answers."""
        while not await self._answered():  # noqa: ASYNC110 - no event tells of a process's first answer
            await asyncio.sleep(POLL_S)
        self._answers.set()
        self._has_answered = True

    async def _answered(self) -> bool:
        with suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
            async with asyncio.timeout(1.0):
                return (await self._get("/version")).startswith(b"HTTP/1.1 200")
        return False

    async def _get(self, path: str) -> bytes:
        """Return the first line of the client port's answer."""
        opened = self._place.socket()
        try:
            await asyncio.get_running_loop().sock_connect(opened, (self.spec.address, self.spec.client_port))
        except BaseException:
            opened.close()
            raise
        with becoming_transport(opened):
            reader, writer = await asyncio.open_connection(
                sock=opened, ssl=self._tls, server_hostname=self.spec.address if self._tls else None
            )
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: {self.spec.address}\r\n\r\n".encode())
            return await reader.readuntil(b"\r\n")
        finally:
            writer.transport.abort()

    async def _argv(self) -> list[str]:
        spec = self.spec
        clients = [f"{spec.scheme}://{host}:{spec.client_port}" for host in self._client_hosts()]
        flags = {
            "name": spec.name,
            "data-dir": self._place.data_path(spec.data),
            "listen-peer-urls": f"{spec.scheme}://{spec.address}:{spec.peer_port}",
            "initial-advertise-peer-urls": spec.peer_url,
            "listen-client-urls": ",".join(clients),
            "advertise-client-urls": spec.client_url,
            "initial-cluster": ",".join(f"{name}={url}" for name, url in sorted(spec.peers.items())),
            "initial-cluster-token": TOKEN,
            "initial-cluster-state": "existing" if spec.joins else "new",
            "heartbeat-interval": str(spec.heartbeat_ms),
            "election-timeout": str(spec.election_ms),
            "quota-backend-bytes": str(spec.quota_bytes),
            "logger": "zap",
            "log-outputs": "stderr",
        }
        flags |= await self._certificate_flags()
        return [str(find_etcd()), *(f"--{name}={value}" for name, value in flags.items())]

    def _client_hosts(self) -> tuple[str, ...]:
        own = self.spec.address
        return (LOOPBACK, own) if self._place.has_own_loopback else (own,)

    async def _certificate_flags(self) -> dict[str, str]:
        given = self.spec.certificates
        if given is None:
            return {}
        peers = await self._certificate_flags_of(self.spec.peer_certificates or given, "peer")
        return await self._certificate_flags_of(given, "server") | {
            f"peer-{flag}": value for flag, value in peers.items()
        }

    async def _certificate_flags_of(self, given: Certificates, name: str) -> dict[str, str]:
        path = self._place.certificate_path
        return {
            "trusted-ca-file": await path("ca.crt", given.ca),
            "cert-file": await path(f"{name}.crt", given.certificate),
            "key-file": await path(f"{name}.key", given.key),
            "client-cert-auth": "true",
        }


@asynccontextmanager
async def run_member(spec: EtcdSpec, place: Place) -> AsyncIterator[EtcdMember]:
    """Keep a member alive during the block. It is not `ready` yet: that takes a quorum of them.

    Raises:
        LabError: there is no etcd on this host, or it cannot run.
    """
    find_etcd()
    member = EtcdMember(spec, place)
    async with background(member.keep_alive()):
        yield member


def _client_context(certificates: Certificates) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(certificates.ca))
    context.load_cert_chain(certificates.certificate, certificates.key)
    return context


_NO_PROGRAM = Text(
    es="No hay etcd en esta máquina: instálalo con `apt-get install etcd-server`.",
    en="There is no etcd on this machine: install it with `apt-get install etcd-server`.",
)
_DIES = Text(
    es="etcd no arranca en {name}: mira por qué en {log}, y vuelve a intentarlo; si su disco está dañado y "
    "los demás miembros son mayoría, antes `kubelab store replace {name}`.",
    en="etcd does not start on {name}: see why in {log}, and try again; if its disk is damaged and the "
    "other members are a majority, `kubelab store replace {name}` first.",
)
