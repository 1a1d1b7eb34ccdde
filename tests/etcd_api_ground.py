"""A store in memory behind etcd's API on a loopback address, and its genuine client."""

import asyncio
import os
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from kubelab.cluster.clock import Clock
from kubelab.cluster.linux.background import background
from kubelab.cluster.store.memory import MemoryStore
from kubelab.cluster.store.rpc.server import serve

ETCDCTL = Path(sys.executable).with_name("etcdctl")


@dataclass(frozen=True, slots=True)
class Printed:
    output: str
    errors: str
    code: int


@dataclass(frozen=True, slots=True)
class Served:
    store: MemoryStore
    port: int

    async def etcdctl(self, *arguments: str, typed: str = "") -> str:
        """Return what etcdctl prints; it must succeed."""
        printed = await self.try_etcdctl(*arguments, typed=typed)
        assert printed.code == 0, printed.errors
        return printed.output

    async def try_etcdctl(self, *arguments: str, typed: str = "") -> Printed:
        process = await self.start_etcdctl(*arguments)
        output, errors = await process.communicate(typed.encode())
        assert process.returncode is not None
        return Printed(output.decode(), errors.decode(), process.returncode)

    async def start_etcdctl(self, *arguments: str) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            *(ETCDCTL, "--endpoints", f"127.0.0.1:{self.port}", "--command-timeout", "50s", *arguments),
            env={**os.environ, "ETCDCTL_API": "3"},
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
        )


@asynccontextmanager
async def served(
    store: MemoryStore | None = None, tls: ssl.SSLContext | None = None, clock: Clock | None = None
) -> AsyncIterator[Served]:
    store = store or MemoryStore()
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    async with background(store.run()), serve(store, [listening], tls, clock=clock):
        yield Served(store, port)
