"""Listening sockets of the lab's servers. What they accept inherits that a client which is gone is noticed:
a machine whose cable was cut, or whose power, says no goodbye (tcp(7))."""

import errno
import socket

from kubelab.cluster.errors import KernelError, LabError
from kubelab.language import Text

BACKLOG = 128
PROBE_AFTER_S, DEAD_CLIENT_S = 5, 15


def listen(opened: socket.socket, address: str, port: int) -> socket.socket:
    """Return *opened*, non-blocking, listening at *address*; port 0 is a free one.

    Raises:
        LabError: somebody else listens there.
    """
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, PROBE_AFTER_S)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, PROBE_AFTER_S)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_CLIENT_S * 1000)
    try:
        opened.bind((address, port))
        opened.listen(BACKLOG)
    except OSError as error:
        opened.close()
        if error.errno == errno.EADDRINUSE:
            raise LabError(_IN_USE.format(address=address, port=port)) from None
        raise KernelError("listen", f"{address}:{port}", error.errno or 0) from error
    opened.setblocking(False)
    return opened


_IN_USE = Text(
    es="El puerto {port} de {address} está ocupado: libéralo o elige otro con --port (0: uno libre).",
    en="Port {port} on {address} is in use: free it, or choose another with --port (0: a free one).",
)
