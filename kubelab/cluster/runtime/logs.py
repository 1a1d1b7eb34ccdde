"""Container output in the CRI's log format: `<RFC3339 with nanoseconds> stdout|stderr F|P <line>`. Pure.

Source: kubernetes, design-proposals/node/kubelet-cri-logging.md; containerd, internal/cri/io/logger.go (a
line of more than 16 KiB is written in parts, tagged P but for the last; so is what is left at the end without
a newline).
"""

import time

LINE_BYTES_MAX = 16 * 1024


def timestamp(now_ns: int) -> str:
    seconds, nanoseconds = divmod(now_ns, 1_000_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{nanoseconds:09d}Z"


class LineSplitter:
    """Turns the chunks that one stream was read in into log lines."""

    def __init__(self, stream: str) -> None:
        self._stream = stream
        self._rest = b""

    def feed(self, chunk: bytes, now_ns: int) -> bytes:
        """Return the log lines that *chunk* completes."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        full, partial = self._prefixes(now_ns)
        *parts, self._rest = _parts(self._rest)
        if max(map(len, lines), default=0) <= LINE_BYTES_MAX:
            # As good as always; a container that floods its log must not cost a step of Python for each line.
            out = [full + (b"\n" + full).join(lines) + b"\n"] if lines else []
        else:
            out = [_record(full, partial, line) for line in lines]
        return b"".join(out + [partial + part + b"\n" for part in parts])

    def finish(self, now_ns: int) -> bytes:
        """Return what is left at the end of the stream: a part, for it has no newline."""
        rest, self._rest = self._rest, b""
        return self._prefixes(now_ns)[1] + rest + b"\n" if rest else b""

    def _prefixes(self, now_ns: int) -> tuple[bytes, bytes]:
        head = f"{timestamp(now_ns)} {self._stream}"
        return f"{head} F ".encode(), f"{head} P ".encode()


def _record(full: bytes, partial: bytes, line: bytes) -> bytes:
    *parts, last = _parts(line)
    return b"".join(partial + part + b"\n" for part in parts) + full + last + b"\n"


def _parts(line: bytes) -> list[bytes]:
    return [line[at : at + LINE_BYTES_MAX] for at in range(0, len(line), LINE_BYTES_MAX)] or [b""]
