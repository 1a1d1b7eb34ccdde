"""The real HTTPS server on a loopback port, the genuine kubectl for it, and sessions of plain requests."""

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
from bootstrapped import bootstrapped
from local_cluster import NEEDING_CONTROLLERS

from kubelab.cluster.apiserver import bundled_kubectl, pki, plugins
from kubelab.cluster.apiserver.inflight import InFlight
from kubelab.cluster.apiserver.local import LocalApi
from kubelab.cluster.apiserver.registry import Registry
from kubelab.cluster.apiserver.request_log import RequestLog
from kubelab.cluster.apiserver.server import Security, serve
from kubelab.cluster.clock import Clock, SystemClock
from kubelab.cluster.store.memory import MemoryStore


@dataclass(frozen=True)
class Output:
    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Cluster:
    """A served registry. `kubectl` is the genuine one, with the admin's certificate."""

    registry: Registry
    api: LocalApi
    authority: pki.Authority
    port: int
    home: Path
    requests: RequestLog

    @property
    def environment(self) -> Mapping[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "GOGC": os.environ["GOGC"],
            "HOME": str(self.home),
            "KUBECONFIG": str(self.home / "kubeconfig"),
        }

    async def kubectl(self, *arguments: str, stdin: str = "") -> Output:
        process = await asyncio.create_subprocess_exec(
            str(bundled_kubectl.path()),
            *arguments,
            env=self.environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate(stdin.encode())
        assert process.returncode is not None
        return Output(process.returncode, out.decode(), err.decode())

    async def ok(self, *arguments: str, stdin: str = "") -> str:
        """Return what kubectl prints; it must succeed."""
        output = await self.kubectl(*arguments, stdin=stdin)
        assert output.code == 0, output.err
        return output.out

    async def refused(self, *arguments: str, stdin: str = "") -> str:
        """Return what kubectl complains; it must fail."""
        output = await self.kubectl(*arguments, stdin=stdin)
        assert output.code != 0, output.out
        return output.err.strip()


@asynccontextmanager
async def client(
    cluster: Cluster, pair: pki.KeyPair | None = None, *, auto_decompress: bool = True
) -> AsyncIterator[aiohttp.ClientSession]:
    """Open a session of whom the certificate names, or of nobody."""
    ca = cluster.authority.certificate_path
    tls = pki.client_context(ca, pair) if pair else ssl.create_default_context(cafile=str(ca))
    async with aiohttp.ClientSession(
        f"https://127.0.0.1:{cluster.port}",
        connector=aiohttp.TCPConnector(ssl=tls),
        auto_decompress=auto_decompress,
    ) as session:
        yield session


@asynccontextmanager
async def admin(cluster: Cluster, *, auto_decompress: bool = True) -> AsyncIterator[aiohttp.ClientSession]:
    """Open a session of the administrator's."""
    async with client(cluster, cluster.authority.admin(), auto_decompress=auto_decompress) as session:
        yield session


def kubeconfig(port: int, authority: pki.Authority, admin: pki.KeyPair) -> str:
    return f"""
apiVersion: v1
kind: Config
clusters:
- name: lab
  cluster: {{server: "https://127.0.0.1:{port}", certificate-authority: {authority.certificate_path}}}
users:
- name: admin
  user: {{client-certificate: {admin.certificate}, client-key: {admin.key}}}
contexts:
- name: lab
  context: {{cluster: lab, user: admin}}
current-context: lab
"""


@asynccontextmanager
async def serving(
    home: Path, *, measures: bool = False, in_flight: InFlight | None = None, clock: Clock | None = None
) -> AsyncIterator[Cluster]:
    registry = Registry(MemoryStore(), clock or SystemClock())
    plugins.install(registry, disabled=NEEDING_CONTROLLERS)
    await bootstrapped(registry)
    authority = pki.Authority.create(home / "pki", datetime.now(UTC))
    ca = authority.certificate_path
    security = Security(
        tls=pki.server_context(ca, authority.apiserver(), clients=ssl.CERT_OPTIONAL),
        kubelet_tls=pki.client_context(ca, authority.apiserver_kubelet_client()),
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        (home / "kubeconfig").write_text(kubeconfig(port, authority, authority.admin()))
        requests = RequestLog()
        async with serve(
            registry, security, [listener], requests=requests, measures=measures, in_flight=in_flight
        ):
            yield Cluster(registry, LocalApi(registry), authority, port, home, requests)
