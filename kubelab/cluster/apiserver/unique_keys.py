"""JSON in which no key comes twice, quickly: a C decoder keeps the last of two, and does not say so.

What is nearly always so is told by counting. Every key is followed by `":`, and so is nothing else but a
quote within a text, which is written `\\":`. The decoded value, encoded again, has as many of them as what
came in, or fewer if something got lost. Other ways of writing, which would upset the count, are left to
`schema.parse_json`.
"""

import re
from typing import Any

import msgspec

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_KEY_END = b'":'
_ESCAPED_QUOTE = b"\\u0022"
_SPACED_KEY_END = re.compile(rb'"\s+:')
_OPENING_MAX = 200  # Some 5 ms of nothing but brackets; what may be nested deeply is looked at elsewhere.


def decoded(raw: bytes) -> Any:
    """Return the JSON in *raw* if its keys are surely unique, and it is not deep; else None."""
    if raw.count(b"{") + raw.count(b"[") > _OPENING_MAX:
        return None
    try:
        value = _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if _ESCAPED_QUOTE in raw or _SPACED_KEY_END.search(raw):
        return None
    return value if raw.count(_KEY_END) == _encode(value).count(_KEY_END) else None
