"""A client that costs as little as it can, so that a measurement is the server's (`kubelab bench api`).

The standard library alone: prepared bytes on a TLS connection, an answer read to its Content-Length. One
process is one client. The plan comes on standard input, the times go to standard output, as JSON.
"""

import json
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

Plan = dict[str, Any]


class Connection:
    def __init__(self, plan: Plan) -> None:
        address = urlsplit(plan["server"])
        assert address.hostname is not None
        context = ssl.create_default_context(cafile=plan["ca"])
        context.load_cert_chain(plan["certificate"], plan["key"])
        raw = socket.create_connection((address.hostname, address.port or 443))
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = context.wrap_socket(raw, server_hostname=address.hostname)
        self._host = address.netloc
        self._waiting = bytearray()  # Which grows in place: an answer may come in a hundred pieces.

    def send(self, method: str, path: str, body: bytes = b"") -> None:
        head = f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\nAccept: application/json\r\n"
        if body:
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        self._socket.sendall(head.encode() + b"\r\n" + body)

    def receive(self) -> tuple[int, bytes]:
        """Return status and body of the next answer."""
        head = self._until(b"\r\n\r\n")
        status = int(head[9:12])
        length = _header(head, b"content-length:")
        if length is None:
            return status, b"".join(self.chunks())
        while len(self._waiting) < int(length):
            self._more()
        return status, self._taken(int(length))

    def head(self) -> int:
        """Return the status of an answer whose body is a stream; `chunks` reads on."""
        return int(self._until(b"\r\n\r\n")[9:12])

    def chunks(self) -> Iterator[bytes]:
        while size := int(self._until(b"\r\n"), 16):
            while len(self._waiting) < size + 2:
                self._more()
            yield self._taken(size + 2)[:-2]
        self._until(b"\r\n")

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._waiting:
            self._more()
        return self._taken(self._waiting.index(mark) + len(mark))[: -len(mark)]

    def _taken(self, length: int) -> bytes:
        taken = bytes(self._waiting[:length])
        del self._waiting[:length]
        return taken

    def _more(self) -> None:
        received = self._socket.recv(1 << 18)
        if not received:
            raise ConnectionError("the server has hung up")
        self._waiting += received


def _header(head: bytes, name: bytes) -> bytes | None:
    lines = head.lower().split(b"\r\n")
    return next((line.partition(b":")[2].strip() for line in lines if line.startswith(name)), None)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _expect(answer: tuple[int, bytes]) -> bytes:
    status, body = answer
    if status >= 300:
        raise ConnectionError(f"{status}: {body[:300]!r}")
    return body


def create(plan: Plan) -> Plan:
    """POST copies of `body`, named `prefix`-N, to `path`."""
    connection, body = Connection(plan), json.dumps(plan["body"])

    def act(n: int) -> None:
        connection.send("POST", plan["path"], body.replace("@NAME@", f"{plan['prefix']}-{n}").encode())
        _expect(connection.receive())

    return _repeated(plan, act)


def get(plan: Plan) -> Plan:
    """GET `path` again and again: an object's own, or a collection's."""
    connection = Connection(plan)

    def act(_: int) -> None:
        connection.send("GET", plan["path"])
        _expect(connection.receive())

    return _repeated(plan, act)


def _repeated(plan: Plan, act: Callable[[int], None]) -> Plan:
    """Do *act* for `duration_s`, after everybody is ready (a line on standard input)."""
    _say("ready")
    sys.stdin.readline()
    began, done = time.perf_counter(), 0
    while (took := time.perf_counter() - began) < plan["duration_s"]:
        act(done)
        done += 1
    return {"done": done, "took_s": took}


def latency(plan: Plan) -> Plan:
    """Return how long after each creation was sent its event was at a watch of another connection."""
    watching, creating, body = Connection(plan), Connection(plan), json.dumps(plan["body"])
    watching.send("GET", f"{plan['path']}?watch=1&resourceVersion={plan['revision']}")
    assert watching.head() == 200
    seen: dict[str, float] = {}
    names = [f"{plan['prefix']}-{n}" for n in range(plan["count"])]
    all_seen = threading.Event()

    def look() -> None:
        buffered = b""
        for chunk in watching.chunks():
            now = time.perf_counter()
            *lines, buffered = (buffered + chunk).split(b"\n")
            for line in lines:
                seen.setdefault(json.loads(line)["object"]["metadata"]["name"], now)
            if seen.keys() >= set(names):
                all_seen.set()
                return

    threading.Thread(target=look, daemon=True).start()
    _say("ready")
    sys.stdin.readline()
    sent = {}
    for name in names:
        sent[name] = time.perf_counter()
        creating.send("POST", plan["path"], body.replace("@NAME@", name).encode())
        _expect(creating.receive())
        time.sleep(plan["pause_s"])
    if not all_seen.wait(10):
        raise ConnectionError(f"only {len(seen)} of {len(names)} events came")
    return {"latencies_s": [seen[name] - sent[name] for name in names]}


def watch(plan: Plan) -> Plan:
    """Hold `count` watches open until standard input ends; return how many events they saw together."""
    connections = []
    for _ in range(plan["count"]):
        connection = Connection(plan)
        connection.send("GET", f"{plan['path']}?watch=1&resourceVersion={plan['revision']}")
        assert connection.head() == 200
        connections.append(connection)
    events = [0] * len(connections)

    def follow(number: int) -> None:
        for chunk in connections[number].chunks():
            events[number] += chunk.count(b"\n")

    if plan["reads"]:
        for number in range(len(connections)):
            threading.Thread(target=follow, args=(number,), daemon=True).start()
    _say("ready")
    sys.stdin.readline()
    sys.stdin.readline()
    return {"events": sum(events)}


def main() -> None:
    plan = json.loads(sys.stdin.readline())
    act = {"create": create, "get": get, "latency": latency, "watch": watch}[plan["act"]]
    _say(json.dumps(act(plan)))


if __name__ == "__main__":
    main()
