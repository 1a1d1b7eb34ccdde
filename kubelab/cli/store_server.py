"""The lab's own store alone, for `kubelab bench store`: members in one process, their leader serving gRPC.

Prints a line of JSON that says how to reach it when it serves, and ends with its standard input.
"""

import asyncio
import gc
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from kubelab.cli.store_members import leader_first, members
from kubelab.cluster.apiserver.pki import LOOPBACK, Authority, server_context
from kubelab.cluster.lab.listening import listen
from kubelab.cluster.store.etcd_client_endpoints import plain_socket
from kubelab.cluster.store.rpc.server import serve


async def run(place: Path, number: int) -> None:
    authority = Authority.create(place / "clients", datetime.now(UTC))
    ca, client = authority.certificate_path, authority.store_client()
    tls = server_context(ca, authority.store_member("store", [LOOPBACK]))
    async with members(place, number) as started:
        with listen(plain_socket(), str(LOOPBACK), 0) as listener:
            url = f"https://{LOOPBACK}:{listener.getsockname()[1]}"
            async with serve(leader_first(started)[0], [listener], tls):
                gc.freeze()
                where = {"url": url, "ca": ca, "certificate": client.certificate, "key": client.key}
                sys.stdout.write(json.dumps(where, default=str) + "\n")
                sys.stdout.flush()
                await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1]), int(sys.argv[2])))
