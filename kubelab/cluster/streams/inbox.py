"""Bytes that have come for one reader: who brings more than he takes waits, and with him the connection.

All streams of a connection share it, so a reader who stands still stops the others when his inbox is full, as
upstream's (moby/spdystream's queues, wsstream's pipes).
"""

import asyncio
from collections import deque

INBOX_BYTES_MAX = 256 * 1024


class Inbox:
    def __init__(self, limit_bytes: int = INBOX_BYTES_MAX) -> None:
        self._limit_bytes = limit_bytes
        self._chunks: deque[bytes] = deque()
        self._size_bytes = 0
        self._has_ended = False
        self._changed = asyncio.Event()

    @property
    def has_ended(self) -> bool:
        return self._has_ended

    async def put(self, chunk: bytes) -> None:
        """Add *chunk*, and wait until there is room again; what comes after the end is dropped."""
        if self._has_ended or not chunk:
            return
        self._chunks.append(chunk)
        self._size_bytes += len(chunk)
        self._changed.set()
        while self._size_bytes > self._limit_bytes and not self._has_ended:
            self._changed.clear()
            await self._changed.wait()

    def end(self) -> None:
        """Nothing more will come; what is here can still be read."""
        self._has_ended = True
        self._changed.set()

    def discard(self) -> None:
        """Nobody reads any more: drop what is here and what will come."""
        self._chunks.clear()
        self._size_bytes = 0
        self.end()

    async def get(self) -> bytes:
        """Return the next chunk as soon as there is one; b"" at the end."""
        while not self._chunks:
            if self._has_ended:
                return b""
            self._changed.clear()
            await self._changed.wait()
        chunk = self._chunks.popleft()
        self._size_bytes -= len(chunk)
        self._changed.set()
        return chunk
