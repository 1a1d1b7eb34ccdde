"""Write a bolt file in one go: every page full, none free, in the order of the keys. Pure.

Source: etcd-io/bbolt, internal/common/page.go, and tx_check.go, which says what a sound file is.
Left out: changing a file that is there.
"""

from collections.abc import Generator, Iterable, Iterator, Mapping

from kubelab.cluster.store.bolt.page import (
    BRANCH_ELEMENT,
    BRANCH_PAGE,
    BUCKET,
    BUCKET_LEAF,
    CHECKSUM,
    FREELIST_PAGE,
    LEAF_ELEMENT,
    LEAF_PAGE,
    MAGIC,
    META,
    META_PAGE,
    PAGE_BYTES,
    PAGE_HEADER,
    VERSION,
    fnv64a,
)

Item = tuple[bytes, bytes]
FREELIST = 2  # The page of that number.
FIRST_PAGE = 3


def write(buckets: Mapping[bytes, Iterable[Item | None]]) -> Iterator[bytes]:
    """Yield the file of *buckets*, whose items come in the order of their keys.

    An empty piece only says that somebody else may have a turn; None among the items asks for one. The file
    is kept in memory until its last page, for the first one says where the tree begins.
    """
    pages = _Pages()
    roots: list[Item] = []
    for name, items in sorted(buckets.items()):
        root = yield from pages.tree(items)
        roots.append((name, BUCKET.pack(root, 0)))
    root = yield from pages.tree(roots, BUCKET_LEAF)
    for number in (0, 1):
        yield _meta_page(number, root, pages.next_number)
    yield _page(FREELIST, FREELIST_PAGE, 0, b"")
    yield from pages.written


class _Pages:
    """The pages of trees, numbered as they are written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.next_number = FIRST_PAGE

    def tree(self, items: Iterable[Item | None], kind: int = 0) -> Generator[bytes, None, int]:
        """Write the pages of a tree; return the number of its root. The branches follow their leaves."""
        level: list[tuple[bytes, int]] = []
        for batch in _batches(items):
            if batch is not None:
                level.append((batch[0][0] if batch else b"", self._leaf(batch, kind)))
            yield b""
        while len(level) > 1:
            level = [(children[0][0], self._branch(children)) for children in _branches(level)]
        return level[0][1]

    def _leaf(self, items: list[Item], kind: int) -> int:
        heads, bodies = bytearray(), bytearray()
        ahead = LEAF_ELEMENT.size * len(items)
        for key, value in items:
            heads += LEAF_ELEMENT.pack(kind, ahead + len(bodies) - len(heads), len(key), len(value))
            bodies += key
            bodies += value
        return self._add(LEAF_PAGE, len(items), bytes(heads + bodies))

    def _branch(self, children: list[tuple[bytes, int]]) -> int:
        heads, bodies = bytearray(), bytearray()
        ahead = BRANCH_ELEMENT.size * len(children)
        for key, number in children:
            heads += BRANCH_ELEMENT.pack(ahead + len(bodies) - len(heads), len(key), number)
            bodies += key
        return self._add(BRANCH_PAGE, len(children), bytes(heads + bodies))

    def _add(self, kind: int, elements: int, content: bytes) -> int:
        number = self.next_number
        page = _page(number, kind, elements, content)
        self.written.append(page)
        self.next_number += len(page) // PAGE_BYTES
        return number


def _batches(items: Iterable[Item | None]) -> Iterator[list[Item] | None]:
    """Yield what fits on a leaf, at least one item; one empty leaf for nothing."""
    batch: list[Item] = []
    size, are_none = PAGE_HEADER.size, True
    for item in items:
        if item is None:
            yield None
            continue
        item_size = LEAF_ELEMENT.size + len(item[0]) + len(item[1])
        if batch and size + item_size > PAGE_BYTES:
            yield batch
            batch, size = [], PAGE_HEADER.size
        batch.append(item)
        size += item_size
        are_none = False
    if batch or are_none:
        yield batch


def _branches(level: list[tuple[bytes, int]]) -> Iterator[list[tuple[bytes, int]]]:
    """Yield what fits on a branch, at least two children so that there are fewer branches than children."""
    batch: list[tuple[bytes, int]] = []
    size = PAGE_HEADER.size
    for child in level:
        child_size = BRANCH_ELEMENT.size + len(child[0])
        if len(batch) >= 2 and size + child_size > PAGE_BYTES:
            yield batch
            batch, size = [], PAGE_HEADER.size
        batch.append(child)
        size += child_size
    yield batch


def _page(number: int, kind: int, elements: int, content: bytes) -> bytes:
    pages = -(-(PAGE_HEADER.size + len(content)) // PAGE_BYTES)
    page = PAGE_HEADER.pack(number, kind, elements, pages - 1) + content
    return page.ljust(pages * PAGE_BYTES, b"\0")


def _meta_page(number: int, root: int, pages: int) -> bytes:
    meta = META.pack(MAGIC, VERSION, PAGE_BYTES, 0, root, 0, FREELIST, pages, number)
    return _page(number, META_PAGE, 0, meta + CHECKSUM.pack(fnv64a(meta)))
