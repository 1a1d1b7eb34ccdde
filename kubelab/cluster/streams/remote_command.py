"""What exec and attach have in common, whichever way their streams come: which streams, and how it ended.

Source: kubernetes, staging/src/k8s.io/kubelet/pkg/cri/streaming/remotecommand (exec.go, attach.go,
httpstream.go); apimachinery, pkg/util/remotecommand/constants.go.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from kubelab.cluster.errors import ApiError
from kubelab.cluster.streams.inbox import Inbox

Status = Mapping[str, Any]
OutputName = Literal["stdout", "stderr"]

SUCCESS: Status = {"metadata": {}, "status": "Success"}


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """A terminal has no stream of its own for errors."""

    stdin: bool = False
    stdout: bool = False
    stderr: bool = False
    tty: bool = False


def stream_options(query: Mapping[str, str]) -> StreamOptions:
    """Read the query as upstream's NewOptions does.

    Raises:
        ApiError: no stream is asked for.
    """
    stdin, stdout, stderr, tty = (_flag(query, name) for name in ("input", "output", "error", "tty"))
    options = StreamOptions(stdin, stdout, stderr and not tty, tty)
    if not (options.stdin or options.stdout or options.stderr):
        raise ApiError(400, "BadRequest", "you must specify at least 1 of stdin, stdout, stderr")
    return options


def _flag(query: Mapping[str, str], name: str) -> bool:
    return query.get(name) == "1"


@dataclass(frozen=True, slots=True)
class TerminalSize:
    columns: int
    rows: int


def terminal_sizes(text: str) -> tuple[list[TerminalSize], str]:
    """Return the sizes that *text* holds, one JSON document after the other, and what is left of it."""
    sizes, decoder = [], json.JSONDecoder()
    text = text.lstrip()
    while text:
        try:
            document, end = decoder.raw_decode(text)
        except json.JSONDecodeError:
            break
        size = _size(document)
        if size is not None:
            sizes.append(size)
        text = text[end:].lstrip()
    return sizes, text


def _size(document: object) -> TerminalSize | None:
    """A size is of 16 bits, as ioctl_tty(2) has it."""
    if not isinstance(document, dict):
        return None
    values = [document.get(name) for name in ("Width", "Height")]
    columns, rows = (value if isinstance(value, int) and 0 < value < 65536 else 0 for value in values)
    return TerminalSize(columns, rows) if columns and rows else None


def exited(command: str, code: int) -> Status:
    """Return how a command has ended: its exit code is a cause, from which clients take their own."""
    if code == 0:
        return SUCCESS
    said = f"error executing command {command}, exit code {code}"
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: {said}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


def failed(message: str) -> Status:
    """Return what is told when there was no command to have an exit code."""
    text = f"Internal error occurred: {message}"
    return {
        "metadata": {},
        "status": "Failure",
        "message": text,
        "reason": "InternalError",
        "details": {"causes": [{"message": message}]},
        "code": 500,
    }


def plain(status: Status) -> bytes:
    """Return what protocols before v4 are told: nothing of a success, else the words."""
    return b"" if status["status"] == "Success" else str(status["message"]).encode()


def encoded(status: Status) -> bytes:
    return json.dumps(status, separators=(",", ":")).encode()


class CommandStreams(Protocol):
    """The client's end of a command. `stdin` and `sizes` end when the client ends them or is gone."""

    @property
    def stdin(self) -> Inbox: ...

    @property
    def sizes(self) -> Inbox: ...

    async def write(self, name: OutputName, data: bytes) -> None:
        """Raises ConnectionError: the client is gone."""

    async def gone(self) -> None:
        """Wait until the client is gone."""

    async def finish(self, status: Status) -> None:
        """Tell how it ended, and let the client read all that he has been sent."""
