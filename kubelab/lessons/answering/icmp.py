"""ICMP's echo: the request's bytes, and whether a packet is its reply, or an error about it. Pure.

Source: RFC 792; RFC 1071 (checksum). A raw socket is given whole IPv4 packets, and all ICMP of its namespace.
"""

import struct

_ECHO_REPLY, _UNREACHABLE, _ECHO, _TIME_EXCEEDED = 0, 3, 8, 11
_ERRORS = {_UNREACHABLE: "destination unreachable", _TIME_EXCEEDED: "time to live exceeded"}
_HEAD = struct.Struct("!BBHHH")


def echo(identifier: int, sequence: int, payload: bytes = b"kubelab") -> bytes:
    """Return an echo request."""
    blank = _HEAD.pack(_ECHO, 0, 0, identifier, sequence) + payload
    return _HEAD.pack(_ECHO, 0, checksum(blank), identifier, sequence) + payload


def checksum(data: bytes) -> int:
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def answer(packet: bytes, identifier: int, sequence: int) -> str | None:
    """Return "" if the IPv4 *packet* is the reply, the error's words if it is one about the request; None if
    it is about something else."""
    type_, body = _icmp(packet)
    if type_ in _ERRORS:
        asked, request = _icmp(body[_HEAD.size :])
        return _ERRORS[type_] if asked == _ECHO and _is_ours(request, identifier, sequence) else None
    return "" if type_ == _ECHO_REPLY and _is_ours(body, identifier, sequence) else None


def _icmp(packet: bytes) -> tuple[int, bytes]:
    """Return the type and the bytes of the ICMP message in an IPv4 packet; -1 if it is cut off."""
    message = packet[(packet[0] & 0xF) * 4 :] if packet else b""
    return (message[0], message) if len(message) >= _HEAD.size else (-1, b"")


def _is_ours(message: bytes, identifier: int, sequence: int) -> bool:
    return _HEAD.unpack_from(message)[3:] == (identifier, sequence)
