"""port-forward by the genuine kubectl: SPDY through a WebSocket, and bare."""

import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from stream_lab import TIMEOUT_S, Kubectl

pytestmark = pytest.mark.root


@contextmanager
def forwarding(kubectl: Kubectl, pod: str, remote: int) -> Iterator[tuple[int, "subprocess.Popen[bytes]"]]:
    """From a port that is free when kubectl takes it."""
    client = kubectl.start("port-forward", f"pod/{pod}", f":{remote}")
    try:
        assert client.stdout
        told = re.fullmatch(rb"Forwarding from 127\.0\.0\.1:(\d+) -> (\d+)\n", client.stdout.readline())
        assert told
        assert int(told[2]) == remote
        yield int(told[1]), client
    finally:
        client.kill()
        client.communicate()


def answer(connection: socket.socket) -> bytes:
    with connection, connection.makefile("rb") as stream:
        return stream.read()


def test_connections_go_beside_each_other(kubectl: Kubectl) -> None:
    with forwarding(kubectl, "web", 8000) as (port, _):
        connections = [socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) for _ in range(5)]
        for connection in reversed(connections):
            connection.sendall(b"GET /nothing HTTP/1.0\r\n\r\n")
        assert all(answer(each).startswith(b"HTTP/1.0 404") for each in connections)


def test_one_that_is_broken_off_leaves_the_others_alone(any_kubectl: Kubectl) -> None:
    with forwarding(any_kubectl, "web", 8000) as (port, _):
        waiting = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
        socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S).close()
        waiting.sendall(b"GET /nothing HTTP/1.0\r\n\r\n")
        assert answer(waiting).startswith(b"HTTP/1.0 404")


def test_a_client_may_end_its_side_first(kubectl: Kubectl) -> None:
    accept = "import socket; c, _ = socket.create_server(('127.0.0.1', 7000)).accept()"
    script = f"{accept}; data = c.makefile('rb').read(); c.sendall(b'%d bytes' % len(data))"
    server = kubectl.start("exec", "shell", "--", "python3", "-c", script)
    with forwarding(kubectl, "shell", 7000) as (port, _):
        kubectl.run("exec", "shell", "--", "sh", "-c", "until ss -ltn | grep -q :7000; do sleep 0.02; done")
        connection = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
        connection.sendall(b"x" * 3_000_000)
        connection.shutdown(socket.SHUT_WR)
        assert answer(connection) == b"3000000 bytes"
    server.communicate(timeout=TIMEOUT_S)


def test_a_port_where_nobody_listens(any_kubectl: Kubectl) -> None:
    with forwarding(any_kubectl, "web", 8001) as (port, client):
        assert answer(socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)) == b""
        said, _ = client.communicate(timeout=TIMEOUT_S)
    assert b"failed to connect to localhost:8001 inside namespace" in said
    assert b"connect: connection refused" in said
    assert said.endswith(b"error: lost connection to pod\n")
