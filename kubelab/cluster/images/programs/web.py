"""A tiny web server that says which pod and version it is.

    /               pod, version, address and node, as a line of text
    /healthz        ok; after /break 500, until /mend
    /slow?s=2       the line, after that many seconds
    /exit?code=3    ends the server
    /env            its environment

PORT (8080) is where it listens, VERSION what it says it is; START_DELAY_S seconds pass before it listens, and
SLOW_S before each answer. SIGTERM ends it with code 0 as soon as what it is answering is answered.
"""
# ruff: noqa: T201 - what it says is its output

import os
import signal
import socket
import sys
import threading
import time

REQUEST_BYTES_MAX = 16384
IDLE_S = 10.0
PAUSE_S_MAX = 3600.0

healthy = threading.Event()
answering = threading.Semaphore(256)


def line() -> str:
    pod = os.environ.get("POD_NAME") or socket.gethostname()
    parts = [f"pod {pod}", f"version {os.environ.get('VERSION', '?')}"]
    for label, name in (("address", "POD_IP"), ("node", "NODE_NAME")):
        if os.environ.get(name):
            parts.append(f"{label} {os.environ[name]}")
    return ", ".join(parts) + "\n"


def seconds(text: str) -> float:
    try:
        return min(max(float(text), 0.0), PAUSE_S_MAX)
    except ValueError:
        return 0.0


def answer(target: str) -> tuple[int, str]:
    """Return status and body for a request."""
    path, _, query = target.partition("?")
    arguments = dict(pair.partition("=")[::2] for pair in query.split("&"))
    time.sleep(seconds(os.environ.get("SLOW_S", "0")))
    if path == "/":
        return 200, line()
    if path == "/healthz":
        return (200, "ok\n") if healthy.is_set() else (500, "broken\n")
    if path == "/break":
        healthy.clear()
        return 200, "broken from now on\n"
    if path == "/mend":
        healthy.set()
        return 200, "healthy from now on\n"
    if path == "/slow":
        time.sleep(seconds(arguments.get("s", "2")))
        return 200, line()
    if path == "/exit":
        threading.Timer(0.1, os._exit, [int(seconds(arguments.get("code", "1"))) & 255]).start()
        return 200, "ending\n"
    if path == "/env":
        return 200, "".join(f"{name}={value}\n" for name, value in sorted(os.environ.items()))
    return 404, "nothing here: try / /healthz /break /mend /slow?s=2 /exit?code=3 /env\n"


def serve(connection: socket.socket) -> None:
    try:
        with connection:
            connection.settimeout(IDLE_S)
            handle(connection)
    except OSError:
        pass  # Whoever asked has gone.
    finally:
        answering.release()


def handle(connection: socket.socket) -> None:
    request = b""
    while b"\r\n\r\n" not in request and len(request) < REQUEST_BYTES_MAX:
        chunk = connection.recv(4096)
        if not chunk:
            return
        request += chunk
    words = request.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
    if len(words) != 3 or words[0] not in ("GET", "HEAD", "POST"):
        status, body = 400, "bad request\n"
    else:
        status, body = answer(words[1])
        print(f"{words[0]} {words[1]} {status}", flush=True)
    content = body.encode()
    head = f"HTTP/1.1 {status} {'OK' if status == 200 else 'Error'}\r\nContent-Length: {len(content)}\r\n"
    head += "Content-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"
    connection.sendall(head.encode() + (b"" if words[0] == "HEAD" else content))


class StopError(Exception):
    """Somebody sent SIGTERM."""


def stop(number: int, frame: object) -> None:
    raise StopError


def listen(port: int) -> socket.socket:
    try:
        listener = socket.create_server(("", port), backlog=512, reuse_port=False)
    except OSError as error:
        sys.exit(f"cannot listen on port {port}: {error.strerror}")
    print(f"version {os.environ.get('VERSION', '?')} listens on port {port}", flush=True)
    return listener


def accept(listener: socket.socket, threads: list[threading.Thread]) -> None:
    connection, _ = listener.accept()
    answering.acquire()
    threads[:] = [thread for thread in threads if thread.is_alive()]
    threads.append(threading.Thread(target=serve, args=(connection,)))
    threads[-1].start()


def accept_the_rest(listener: socket.socket, threads: list[threading.Thread]) -> None:
    """Take those who are connected already: closing the listener would reset them."""
    try:
        while True:
            accept(listener, threads)
    except BlockingIOError:
        pass


def main() -> None:
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    threads: list[threading.Thread] = []
    listener = None
    try:
        time.sleep(seconds(os.environ.get("START_DELAY_S", "0")))
        healthy.set()
        listener = listen(int(os.environ.get("PORT", "8080")))
        while True:
            accept(listener, threads)
    except StopError:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("ending", flush=True)
        if listener:
            listener.setblocking(False)
            accept_the_rest(listener, threads)
            listener.close()
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    main()
