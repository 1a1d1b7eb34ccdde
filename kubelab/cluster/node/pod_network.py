"""Connections that begin inside a pod: the kubelet itself is in no network that leads there.

Source: setns(2); network_namespaces(7): a socket stays in the network where it was made.
"""

import asyncio
import os
import socket

from kubelab.cluster.linux.namespaces import open_namespace, open_socket_in
from kubelab.cluster.linux.threads import in_thread


async def connect_in(pid: int, host: str, port: int) -> socket.socket:
    """Return a connection to the address from the network of the process.

    Raises:
        KernelError: the process has ended.
        OSError: nobody listens there, or it cannot be reached.
    """
    sock = await in_thread(_socket_in, pid)
    try:
        await asyncio.get_running_loop().sock_connect(sock, (host, port))
    except BaseException:
        sock.close()
        raise
    return sock


def _socket_in(pid: int) -> socket.socket:
    namespace = open_namespace(pid, "net")
    try:
        sock = open_socket_in(namespace)
    finally:
        os.close(namespace)
    sock.setblocking(False)
    return sock
