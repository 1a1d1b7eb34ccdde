"""What the pages of a bolt file look like: headers, elements, and the two where the tree begins. Pure.

A file is pages of one size. Each begins with its number, kind, number of elements, and how many pages more it
spans. Elements point from where they are to their key and value further down the page. Pages 0 and 1 are both
the meta page, of which the younger one that is whole counts. All numbers are little-endian, as bolt writes
them on the machines that there are.
Source: etcd-io/bbolt, internal/common/{page,meta,bucket}.go; FNV-1a: RFC 9923.
"""

import struct

MAGIC = 0xED0CDAED
VERSION = 2
PAGE_BYTES = 4096

BRANCH_PAGE, LEAF_PAGE, META_PAGE, FREELIST_PAGE = 0x01, 0x02, 0x04, 0x10
BUCKET_LEAF = 0x01  # The element's value is a bucket.

PAGE_HEADER = struct.Struct("<QHHI")  # Number, kind, elements, pages more.
BRANCH_ELEMENT = struct.Struct("<IIQ")  # Where the key is, its length, the page.
LEAF_ELEMENT = struct.Struct("<IIII")  # Kind, where the key is, its length, the value's.
BUCKET = struct.Struct("<QQ")  # The page of its root (0: it follows here), its sequence number.
META = struct.Struct("<IIIIQQQQQ")  # Magic, version, page size, flags, BUCKET, free list, pages, transaction.
CHECKSUM = struct.Struct("<Q")

_FNV_OFFSET, _FNV_PRIME = 0xCBF29CE484222325, 0x100000001B3


def fnv64a(data: bytes) -> int:
    checksum = _FNV_OFFSET
    for byte in data:
        checksum = ((checksum ^ byte) * _FNV_PRIME) & 0xFFFF_FFFF_FFFF_FFFF
    return checksum
