"""What a shell prints while another is in front: kept until it is there again, the oldest dropped. Pure."""

from collections import deque

from kubelab.plain.marks import Word

KEPT_BYTES_MAX = 16384  # Some two hundred lines: more than anybody wants to hear at once.
WORD_BYTES = 64


class Kept:
    """`cut` tells whether something was dropped: then what is left begins with a whole line."""

    def __init__(self) -> None:
        self._parts: deque[bytes | Word] = deque()
        self._bytes = 0
        self.cut = False

    def add(self, part: bytes | Word) -> None:
        self._parts.append(part)
        self._bytes += _size(part)
        while self._bytes > KEPT_BYTES_MAX:
            self._drop(self._bytes - KEPT_BYTES_MAX)

    def take(self) -> tuple[bytes | Word, ...]:
        """Return all that was kept, words in their places; nothing is kept any more."""
        parts = tuple(self._parts)
        self._parts.clear()
        self._bytes, self.cut = 0, False
        return parts

    @property
    def text(self) -> bytes:
        return b"".join(part for part in self._parts if isinstance(part, bytes))

    def _drop(self, excess: int) -> None:
        part = self._parts.popleft()
        self._bytes -= _size(part)
        self.cut = True
        if isinstance(part, bytes) and (rest := part[excess:].partition(b"\n")[2]):
            self._parts.appendleft(rest)
            self._bytes += len(rest)


def _size(part: bytes | Word) -> int:
    return len(part) if isinstance(part, bytes) else WORD_BYTES
