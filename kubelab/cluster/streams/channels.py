"""The WebSocket subprotocols that carry several streams: each message begins with its channel. Pure.

Source: kubernetes, apimachinery, pkg/util/remotecommand/constants.go, pkg/util/httpstream/wsstream/conn.go;
KEP-4006 (v5: a message on channel 255 closes the channel that its one byte names).
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass

STDIN, STDOUT, STDERR, ERROR, RESIZE = range(5)
CLOSE = 255
TUNNEL_PREFIX = "SPDY/3.1+"
_ZERO = ord("0")


@dataclass(frozen=True, slots=True)
class Subprotocol:
    """`encoded`: messages are text, in base64. `status`: errors are told as a v1.Status, with the exit code;
    else in plain words. `closes`: the client can say that a channel has ended."""

    name: str
    encoded: bool = False
    status: bool = False
    closes: bool = False

    def pack(self, channel: int, data: bytes) -> str | bytes:
        """Return the message for *data*: text if it is to be sent as such."""
        if self.encoded:
            return f"{channel}{base64.b64encode(data).decode()}"
        return bytes((channel,)) + data

    def unpack(self, message: str | bytes) -> tuple[int, bytes] | None:
        """Return channel and data; None for a message that is none."""
        raw = message.encode() if isinstance(message, str) else message
        if not raw:
            return None
        if not self.encoded:
            return raw[0], raw[1:]
        try:
            return raw[0] - _ZERO, base64.b64decode(raw[1:], validate=True)
        except binascii.Error:
            return None


COMMAND_SUBPROTOCOLS = (
    Subprotocol("v5.channel.k8s.io", status=True, closes=True),
    Subprotocol("v4.channel.k8s.io", status=True),
    Subprotocol("v4.base64.channel.k8s.io", encoded=True, status=True),
    Subprotocol("channel.k8s.io"),
    Subprotocol("base64.channel.k8s.io", encoded=True),
    Subprotocol(""),
)
PORT_SUBPROTOCOLS = (
    Subprotocol("v4.channel.k8s.io"),
    Subprotocol("v4.base64.channel.k8s.io", encoded=True),
    Subprotocol(""),
)


def chosen(asked: Sequence[str], offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """Return the first that the client asks for and the server has; who asks for none gets the nameless."""
    by_name = {each.name: each for each in offered}
    return next((by_name[name] for name in asked or ("",) if name in by_name), None)


def refusal(asked: Sequence[str], offered: Sequence[Subprotocol]) -> str:
    supported = " ".join(each.name for each in offered)
    return f"requested protocol(s) are not supported: [{' '.join(asked)}]; supports [{supported}]"


def tunnelled(asked: Sequence[str], protocol: str) -> str | None:
    """Return the subprotocol under which the client sends SPDY through the WebSocket, if it does."""
    name = TUNNEL_PREFIX + protocol
    return name if name in asked else None
