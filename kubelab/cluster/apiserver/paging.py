"""The continue token of a list in pages.

Source: kubernetes, staging/src/k8s.io/apiserver/pkg/storage/continue.go.
"""

import base64
import binascii
from typing import NamedTuple

import msgspec

from kubelab.cluster.apiserver import refusals

NEWEST = -1  # In place of a revision: go on with what is there by then, though earlier pages were older.
_VERSION = "meta.k8s.io/v1"


class Position(NamedTuple):
    """Where the next page begins, and the revision that all pages are of (or `NEWEST`)."""

    revision: int
    start: bytes


class _Token(msgspec.Struct):
    v: str
    rv: int
    start: str


def encode(position: Position) -> str:
    token = msgspec.json.encode(_Token(_VERSION, position.revision, position.start.decode()))
    return base64.urlsafe_b64encode(token).rstrip(b"=").decode()


def decode(text: str, prefix: bytes) -> Position:
    """Return the position that *text* names; it must lie under *prefix*."""
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        token = msgspec.json.decode(raw, type=_Token)
    except (binascii.Error, ValueError, msgspec.DecodeError) as error:
        raise refusals.bad_request(f"continue key is not valid: {error}") from error
    if (
        token.v != _VERSION
        or not (start := token.start.encode()).startswith(prefix)
        or not _is_revision(token.rv)
    ):
        raise refusals.bad_request("continue key is not valid: it is of another list")
    return Position(token.rv, start)


def _is_revision(number: int) -> bool:
    return number >= 1 or number == NEWEST
