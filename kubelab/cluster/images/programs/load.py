"""Load on purpose: cpu, memory, disk or requests, as much as is asked for.

    cpu     [--workers 1] [--percent 100]           keep processors busy
    memory  SIZE [--step 16M]                       take memory, page by page, and keep it
    disk    SIZE [--path /tmp/load] [--direct]      write a file over and over
    http    URL [--rate 0] [--workers 1]            ask a web server (rate 0: as fast as it answers)

All take --seconds N (0: until told to end). Sizes are bytes or have K, M or G behind them. Every second a
line says what was done. SIGTERM ends it with code 0; http ends with code 1 if any request failed.
"""
# ruff: noqa: T201, PTH108 - what it says is its output; pathlib is slow to import

import argparse
import mmap
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator

PAGE = 4096
BURST_S = 0.05


class StopError(Exception):
    """Somebody sent SIGTERM."""


def stop(number: int, frame: object) -> None:
    raise StopError


def size(text: str) -> int:
    units = {"K": 10, "M": 20, "G": 30}
    text = text.removesuffix("i")
    shift = units.get(text[-1:].upper(), 0)
    try:
        return int(float(text[:-1] if shift else text) * (1 << shift))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no size: write 64M, say") from None


def say(text: str) -> None:
    print(text, flush=True)


def until(seconds: float) -> Iterator[int]:
    """Yield once a second, with the second's number, and when the time is over."""
    start = time.monotonic()
    count = 0
    while not seconds or count < seconds:
        count += 1
        due = start + (min(count, seconds) if seconds else count)
        time.sleep(max(due - time.monotonic(), 0))
        yield count


def burn(percent: int) -> None:
    while True:
        end = time.monotonic() + BURST_S * percent / 100
        while time.monotonic() < end:
            pass
        time.sleep(BURST_S * (100 - percent) / 100)


def cpu(options: argparse.Namespace) -> int:
    parent = os.getpid()
    children = []
    try:
        for _ in range(options.workers):
            child = os.fork()
            if not child:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                signal.signal(signal.SIGINT, signal.SIG_DFL)
                try:
                    burn(options.percent)
                finally:
                    os._exit(1)
            children.append(child)
        say(f"{options.workers} workers at {options.percent} %")
        for second in until(options.seconds):
            say(f"{second} s")
        return 0
    finally:
        if os.getpid() == parent:
            for child in children:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)


def memory(options: argparse.Namespace) -> int:
    held = []
    taken = 0
    while taken < options.size:
        step = min(options.step, options.size - taken)
        block = mmap.mmap(-1, step, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        for at in range(0, step, PAGE):
            block[at] = 1  # Memory is taken when it is written to, not when it is asked for.
        held.append(block)
        taken += step
        say(f"holding {taken >> 20} MiB")
    for _ in until(options.seconds):
        pass
    return 0


def disk(options: argparse.Namespace) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | (os.O_DIRECT if options.direct else 0)
    block = mmap.mmap(-1, 1 << 20)  # Direct writes want memory that begins with a page.
    block.write(b"\xa5" * (1 << 20))
    fd = os.open(options.path, flags, 0o600)
    written = 0
    begin = last = time.monotonic()
    told = 0
    try:
        while not options.seconds or time.monotonic() - begin < options.seconds:
            if written and written % options.size < 1 << 20:
                os.lseek(fd, 0, os.SEEK_SET)
            written += os.write(fd, block)
            now = time.monotonic()
            if now - last >= 1:
                say(f"{(written - told) / (now - last) / (1 << 20):.1f} MiB/s, {written >> 20} MiB in all")
                last, told = now, written
        os.fsync(fd)
        say(f"{written >> 20} MiB in {time.monotonic() - begin:.1f} s")
        return 0
    finally:
        os.close(fd)
        os.unlink(options.path)


class Tally:
    """What came of the requests since it was last told."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.failed_in_all = 0
        self.clear()

    def clear(self) -> None:
        self.times: list[float] = []
        self.failures: dict[str, int] = {}
        self.answers: dict[str, int] = {}

    def succeeded(self, took_s: float, body: bytes) -> None:
        first = body.decode("utf-8", "replace").partition("\n")[0][:80]
        with self.lock:
            self.times.append(took_s)
            self.answers[first] = self.answers.get(first, 0) + 1

    def failed(self, why: str) -> None:
        with self.lock:
            self.failed_in_all += 1
            self.failures[why] = self.failures.get(why, 0) + 1

    def tell(self, second: int) -> None:
        with self.lock:
            times, failures, answers = sorted(self.times), self.failures, self.answers
            self.clear()
        bad = sum(failures.values())
        text = f"{second} s: {len(times)} ok, {bad} failed"
        if times:
            middle, worst = times[len(times) // 2], times[min(len(times) - 1, len(times) * 99 // 100)]
            text += f", p50 {middle * 1000:.1f} ms, p99 {worst * 1000:.1f} ms"
        say(text)
        for what, count in sorted(answers.items()) + sorted(failures.items()):
            say(f"    {count} x {what}")


def request(host: str, port: int, path: str) -> bytes:
    """Return the body of a GET; every request is a connection of its own, so that each is balanced anew."""
    with socket.create_connection((host, port), timeout=10) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        found = b""
        while chunk := connection.recv(65536):
            found += chunk
    head, _, body = found.partition(b"\r\n\r\n")
    status = head.split(b" ", 2)[1:2]
    if status != [b"200"]:
        raise OSError(f"status {b''.join(status).decode('latin-1') or 'none'}")
    return body


def ask(address: tuple[str, int, str], pause_s: float, tally: Tally) -> None:
    due = time.monotonic()
    while True:
        begin = time.monotonic()
        try:
            body = request(*address)
        except OSError as error:
            tally.failed(error.strerror or str(error))
            time.sleep(0.01)
        else:
            tally.succeeded(time.monotonic() - begin, body)
        if pause_s:
            due = max(due + pause_s, time.monotonic())
            time.sleep(due - time.monotonic() if due > time.monotonic() else 0)


def parsed(url: str) -> tuple[str, int, str]:
    rest = url.removeprefix("http://")
    if "://" in rest:
        raise argparse.ArgumentTypeError(f"{url!r}: only http:// is spoken")
    place, slash, path = rest.partition("/")
    host, _, port = place.partition(":")
    if not host or (port and not port.isdigit()):
        raise argparse.ArgumentTypeError(f"{url!r} is no address: write http://host:port/path")
    return host, int(port or 80), slash + path or "/"


def http(options: argparse.Namespace) -> int:
    tally = Tally()
    pause_s = options.workers / options.rate if options.rate else 0
    for _ in range(options.workers):
        threading.Thread(target=ask, args=(options.url, pause_s, tally), daemon=True).start()
    for second in until(options.seconds):
        tally.tell(second)
    return 1 if tally.failed_in_all else 0


COMMANDS = {"cpu": cpu, "memory": memory, "disk": disk, "http": http}


def arguments() -> argparse.Namespace:
    shape = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(prog="load", description=__doc__, formatter_class=shape)
    commands = parser.add_subparsers(dest="command", required=True, metavar="cpu|memory|disk|http")
    added = {name: commands.add_parser(name) for name in COMMANDS}
    for command in added.values():
        command.add_argument("--seconds", type=float, default=0)
    added["cpu"].add_argument("--workers", type=int, default=1)
    added["cpu"].add_argument("--percent", type=int, default=100, choices=range(1, 101), metavar="1..100")
    added["memory"].add_argument("size", type=size)
    added["memory"].add_argument("--step", type=size, default=16 << 20)
    added["disk"].add_argument("size", type=size)
    added["disk"].add_argument("--path", default="/tmp/load")  # noqa: S108 - the container's own
    added["disk"].add_argument("--direct", action="store_true")
    added["http"].add_argument("url", type=parsed)
    added["http"].add_argument("--rate", type=float, default=0)
    added["http"].add_argument("--workers", type=int, default=1)
    return parser.parse_args()


def main() -> int:
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    options = arguments()
    try:
        return COMMANDS[options.command](options)
    except StopError:
        return 0
    except OSError as error:
        sys.exit(f"load: {error.strerror or error}")


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)
