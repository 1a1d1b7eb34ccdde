"""Read a bolt file, from memory or mapped into it. Pure.

Everything that a page says is checked before it is believed: a damaged file gives a BoltError, and never
another error or a loop.
Source: etcd-io/bbolt, db.go (which of the two meta pages counts), cursor.go.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct
from typing import Any

from kubelab.cluster.store.bolt.page import (
    BRANCH_ELEMENT,
    BRANCH_PAGE,
    BUCKET,
    BUCKET_LEAF,
    CHECKSUM,
    LEAF_ELEMENT,
    LEAF_PAGE,
    MAGIC,
    META,
    META_PAGE,
    PAGE_HEADER,
    VERSION,
    fnv64a,
)

DEPTH_MAX = 64
PAGE_SIZES = tuple(1 << exponent for exponent in range(9, 17))


class BoltError(Exception):
    """The file is none of bolt's, or a damaged one; the text says why."""


@dataclass(frozen=True, slots=True)
class _Meta:
    page_bytes: int
    root: int
    pages: int
    transaction: int


class Bolt:
    """The buckets of a file; *data* is what `mmap` gives or bytes, and is read as far as it is asked for."""

    def __init__(self, data: Any) -> None:
        """Raises BoltError."""
        self._data = memoryview(data)
        self._meta = _newest_meta(self._data)
        if self._meta.pages * self._meta.page_bytes > len(self._data):
            raise BoltError("it ends too early")
        self._buckets = dict(self._bucket_items())

    def __contains__(self, bucket: bytes) -> bool:
        return bucket in self._buckets

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._buckets)

    def items(self, bucket: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield what is in *bucket*, in the keys' order; nothing if it is not there. Raises BoltError."""
        value = self._buckets.get(bucket)
        if value is None:
            return
        root, _sequence = self._unpack(BUCKET, memoryview(value), 0)
        page = self._page(root) if root else memoryview(value)[BUCKET.size :]
        for _kind, key, item in self._walk(page, 0):
            yield key, item

    def _bucket_items(self) -> Iterator[tuple[bytes, bytes]]:
        for kind, name, value in self._walk(self._page(self._meta.root), 0):
            if kind & BUCKET_LEAF:
                yield name, value

    def _walk(self, page: memoryview, depth: int) -> Iterator[tuple[int, bytes, bytes]]:
        if depth > DEPTH_MAX:
            raise BoltError("its tree has no end")
        _number, kind, elements, _more = self._unpack(PAGE_HEADER, page, 0)
        if kind == LEAF_PAGE:
            for index in range(elements):
                yield self._leaf_item(page, PAGE_HEADER.size + index * LEAF_ELEMENT.size)
        elif kind == BRANCH_PAGE:
            for index in range(elements):
                start = PAGE_HEADER.size + index * BRANCH_ELEMENT.size
                _position, _key_bytes, child = self._unpack(BRANCH_ELEMENT, page, start)
                yield from self._walk(self._page(child), depth + 1)
        else:
            raise BoltError(f"a page of the tree is of the kind {kind}")

    def _leaf_item(self, page: memoryview, start: int) -> tuple[int, bytes, bytes]:
        kind, position, key_bytes, value_bytes = self._unpack(LEAF_ELEMENT, page, start)
        key = start + position
        value = key + key_bytes
        if value + value_bytes > len(page):
            raise BoltError("an item is longer than its page")
        return kind, bytes(page[key:value]), bytes(page[value : value + value_bytes])

    def _page(self, number: int) -> memoryview:
        page_bytes, pages = self._meta.page_bytes, self._meta.pages
        if not 2 <= number < pages:
            raise BoltError(f"there is no page {number}")
        start = number * page_bytes
        own_number, _kind, _elements, more = self._unpack(PAGE_HEADER, self._data, start)
        if own_number != number or number + more >= pages:
            raise BoltError(f"page {number} says that it is another one")
        return self._data[start : start + (1 + more) * page_bytes]

    @staticmethod
    def _unpack(layout: Struct, data: memoryview, start: int) -> tuple[int, ...]:
        if start + layout.size > len(data):
            raise BoltError("a page ends too early")
        return layout.unpack_from(data, start)


def _newest_meta(data: memoryview) -> _Meta:
    """The first meta page is at the beginning; the second one is a page further, wherever that is."""
    first = _meta(data, 0)
    sizes = (first.page_bytes,) if first else PAGE_SIZES
    found = [meta for meta in (first, *(_meta(data, size) for size in sizes)) if meta]
    if not found:
        raise BoltError("it does not begin as a database of bolt's does")
    return max(found, key=lambda meta: meta.transaction)


def _meta(data: memoryview, start: int) -> _Meta | None:
    """Return the meta page at *start*, None if there is none or it is damaged."""
    page = bytes(data[start : start + PAGE_HEADER.size + META.size + CHECKSUM.size])
    if len(page) < PAGE_HEADER.size + META.size + CHECKSUM.size:
        return None
    meta = page[PAGE_HEADER.size : -CHECKSUM.size]
    magic, version, page_bytes, _flags, root, _sequence, _free, pages, transaction = META.unpack(meta)
    is_sound = CHECKSUM.unpack(page[-CHECKSUM.size :]) == (fnv64a(meta),)
    if PAGE_HEADER.unpack_from(page)[1] != META_PAGE or (magic, version) != (MAGIC, VERSION) or not is_sound:
        return None
    return _Meta(page_bytes, root, pages, transaction) if page_bytes in PAGE_SIZES else None
