"""How a gRPC call ends: a code and a sentence. Pure.

Source: https://github.com/grpc/grpc/blob/master/doc/statuscodes.md and PROTOCOL-HTTP2.md (grpc-message,
grpc-timeout).
"""

from enum import IntEnum
from urllib.parse import quote

TIMEOUT_UNITS_S = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
TIMEOUT_DIGITS_MAX = 8

_PRINTABLE = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")


class Code(IntEnum):
    OK = 0
    CANCELED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15


class StatusError(Exception):
    """The call ends with this status."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def trailers(code: Code, message: str = "") -> list[tuple[str, str]]:
    status = [("grpc-status", str(code.value))]
    return [*status, ("grpc-message", quote(message, safe=_PRINTABLE))] if message else status


def timeout_s(header: str) -> float:
    """Return the seconds that a `grpc-timeout` says. Raises StatusError: it says none."""
    digits, unit = header[:-1], header[-1:]
    if unit not in TIMEOUT_UNITS_S or not digits.isdecimal() or len(digits) > TIMEOUT_DIGITS_MAX:
        raise StatusError(Code.INTERNAL, f"malformed grpc-timeout: {header!r}")
    return int(digits) * TIMEOUT_UNITS_S[unit]
