"""A member's snapshot as etcd's clients know it: the database file, then its checksum.

A member of the lab's own store gives an image of another form (mvcc_image); a real etcd's comes as it is.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator

from kubelab.cluster.store import etcd_database
from kubelab.cluster.store.mvcc_image import End, Frame, decode_frame

LENGTH_BYTES = 4  # Before each frame of an image.
_FIRST_PAGE_OF_BOLT = bytes(8)  # Its number is 0.


async def as_database(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the snapshot that comes in *pieces*, as etcd's."""
    received = bytearray()
    async for piece in pieces:
        if received or not piece.startswith(_FIRST_PAGE_OF_BOLT):
            received += piece
        else:
            yield piece
            async for rest in pieces:
                yield rest
            return
    for piece in etcd_database.snapshot(_frames(received)):
        if piece:
            yield piece
        await asyncio.sleep(0)


def _frames(image: bytearray) -> Iterator[Frame]:
    view, start = memoryview(image), 0
    while start < len(view):
        end = start + LENGTH_BYTES + int.from_bytes(view[start : start + LENGTH_BYTES], "big")
        frame: Frame = decode_frame(view[start + LENGTH_BYTES : end])
        yield frame
        if isinstance(frame, End):  # A checksum may follow.
            return
        start = end
