"""Sockets that live where a question is asked from: in the network namespace of a machine or of a process.

Source: setns(2), network_namespaces(7).
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from kubelab.cluster.client.https import OpenSocket
from kubelab.cluster.errors import LabError
from kubelab.cluster.linux.namespaces import open_namespace, open_socket_in
from kubelab.language import Text
from kubelab.lessons.checks.places import Place
from kubelab.lessons.lab import LabPort


@contextmanager
def sockets_at(place: Place, lab: LabPort) -> Iterator[OpenSocket]:
    """Yield what opens non-blocking sockets there.

    Raises:
        LabError: the machine or the process is gone.
    """
    machine = lab.machines.get(place.machine)
    if machine is None:
        name = place.machine
        raise LabError(Text(f"no hay máquina {name}", f"there is no machine {name}"))
    # A machine's own /proc, which its root leads to, has the pids that are seen on it.
    fd = open_namespace(f"{machine.pid}/root/proc/{place.pid}" if place.pid else machine.pid, "net")
    try:
        if place.net and os.fstat(fd).st_ino != place.net:
            raise LabError(_ANOTHER.format(pid=place.pid))
        yield partial(_open, fd)
    finally:
        os.close(fd)


def _open(fd: int, family: int, type_: int, protocol: int = 0) -> socket.socket:
    opened = open_socket_in(fd, family, type_, protocol)
    opened.setblocking(False)
    return opened


_ANOTHER = Text(
    es="el PID {pid} ya es de otro proceso, que está en otra red",
    en="PID {pid} is another process's by now, which is in another network",
)
