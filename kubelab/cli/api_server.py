"""The API server alone, for `kubelab bench api`: as a master runs it, with no other component beside it.

What every request meets in a lab it meets here: authorizers, admission plug-ins and what they follow, the
audit log, tokens, and the lab's own store, alone in its cluster, which writes each change to the disk before
it is answered, and is compacted.

Prints a line of JSON with its kubeconfig's path when it serves, and ends with its standard input.
"""

import asyncio
import gc
import json
import socket
import ssl
import sys
from datetime import UTC, datetime
from pathlib import Path

from kubelab.cli.store_members import members
from kubelab.cluster.apiserver import plugins
from kubelab.cluster.apiserver.access import Access
from kubelab.cluster.apiserver.bootstrap import bootstrap
from kubelab.cluster.apiserver.pki import Authority, client_context, server_context
from kubelab.cluster.apiserver.registry import Registry
from kubelab.cluster.apiserver.server import Security, serve
from kubelab.cluster.clock import SystemClock
from kubelab.cluster.lab.listening import listen
from kubelab.cluster.lab.local_store import LocalStore
from kubelab.cluster.linux.background import background
from kubelab.cluster.linux.suspension import Suspension
from kubelab.cluster.store.compactor import keep_compacted


async def run(place: Path) -> None:
    authority = Authority.create(place / "pki", datetime.now(UTC))
    ca = authority.certificate_path
    security = Security(
        tls=server_context(ca, authority.apiserver(), clients=ssl.CERT_OPTIONAL),
        kubelet_tls=client_context(ca, authority.apiserver_kubelet_client()),
    )
    admin, clock = authority.admin(), SystemClock()
    async with members(place / "store", 1) as [member]:
        store = LocalStore(member, Suspension())
        registry = Registry(store, clock, access=Access(authority.service_accounts()))
        admission = plugins.install(registry)
        await bootstrap(registry)
        listener = listen(socket.socket(), "127.0.0.1", 0)
        port = listener.getsockname()[1]  # The server takes the socket over.
        async with (
            serve(registry, security, [listener], audit_log=place / "audit.log"),
            background(admission.run(), keep_compacted(store, clock)),
        ):
            gc.freeze()
            where = {
                "server": f"https://127.0.0.1:{port}",
                "ca": str(ca),
                "certificate": str(admin.certificate),
                "key": str(admin.key),
            }
            sys.stdout.write(json.dumps(where) + "\n")
            sys.stdout.flush()
            await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1])))
