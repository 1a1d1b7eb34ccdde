"""Identifiers that nothing else has: uids of objects, and the ids under which requests are audited.

Source: RFC 9562, section 5.4 (UUIDv4): 122 bits of chance. `uuid.uuid4` makes an object of it first, which
takes three times as long; two are made for each creation.
"""

import os

_VERSION_4, _VERSION_BITS = 4 << 76, 0xF << 76
_VARIANT, _VARIANT_BITS = 2 << 62, 3 << 62
_KEPT_BITS = ~(_VERSION_BITS | _VARIANT_BITS)


def unique_id() -> str:
    number = int.from_bytes(os.urandom(16), "big") & _KEPT_BITS | _VERSION_4 | _VARIANT
    digits = f"{number:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
