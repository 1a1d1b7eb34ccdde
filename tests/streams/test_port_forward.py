"""port-forward by the genuine kubectl: SPDY through a WebSocket, and bare."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from stream_lab import Kubectl, free_port

pytestmark = pytest.mark.root


@contextmanager
def forwarding(kubectl: Kubectl, pod: str, remote: int) -> Iterator[tuple[int, "subprocess.Popen[bytes]"]]:
    port = free_port()
    client = kubectl.start("port-forward", f"pod/{pod}", f"{port}:{remote}")
    assert client.stdout
    assert client.stdout.readline().startswith(f"Forwarding from 127.0.0.1:{port} -> {remote}".encode())
    try:
        yield port, client
    finally:
        client.kill()
        client.communicate()


def answer(connection: socket.socket) -> bytes:
    with connection, connection.makefile("rb") as stream:
        return stream.read()


def test_connections_go_beside_each_other(kubectl: Kubectl) -> None:
    with forwarding(kubectl, "web", 8000) as (port, _):
        connections = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(5)]
        for connection in reversed(connections):
            connection.sendall(b"GET /nothing HTTP/1.0\r\n\r\n")
        assert all(answer(each).startswith(b"HTTP/1.0 404") for each in connections)


def test_one_that_is_broken_off_leaves_the_others_alone(any_kubectl: Kubectl) -> None:
    with forwarding(any_kubectl, "web", 8000) as (port, _):
        waiting = socket.create_connection(("127.0.0.1", port), timeout=20)
        socket.create_connection(("127.0.0.1", port), timeout=20).close()
        waiting.sendall(b"GET /nothing HTTP/1.0\r\n\r\n")
        assert answer(waiting).startswith(b"HTTP/1.0 404")


def test_a_client_may_end_its_side_first(kubectl: Kubectl) -> None:
    accept = "import socket; c, _ = socket.create_server(('127.0.0.1', 7000)).accept()"
    script = f"{accept}; data = c.makefile('rb').read(); c.sendall(b'%d bytes' % len(data))"
    server = kubectl.start("exec", "shell", "--", "python3", "-c", script)
    with forwarding(kubectl, "shell", 7000) as (port, _):
        kubectl.run("exec", "shell", "--", "sh", "-c", "until ss -ltn | grep -q :7000; do sleep 0.02; done")
        connection = socket.create_connection(("127.0.0.1", port), timeout=20)
        connection.sendall(b"x" * 3_000_000)
        connection.shutdown(socket.SHUT_WR)
        assert answer(connection) == b"3000000 bytes"
    server.communicate(timeout=20)


def test_a_port_where_nobody_listens(any_kubectl: Kubectl) -> None:
    with forwarding(any_kubectl, "web", 8001) as (port, client):
        assert answer(socket.create_connection(("127.0.0.1", port), timeout=20)) == b""
        said, _ = client.communicate(timeout=20)
    assert b"failed to connect to localhost:8001 inside namespace" in said
    assert b"connect: connection refused" in said
    assert said.endswith(b"error: lost connection to pod\n")
