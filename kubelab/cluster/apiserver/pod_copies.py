"""Pods that are asked for again under another name: what became of the first holds for all of them. Pure.

Whoever creates pods from a template, as controllers and load generators do, sends the same bytes again and
again, but for `metadata.name`. What is stored for them differs in the name as well, in uid and time, and in
the name of the volume with their token, which the ServiceAccount plug-in makes up. So it can be put together
from what was stored for the first ones, as long as all that admission goes by is as it was (`Asked.basis`),
for the same user and options.
A copy is made only of what was made in full three times before: the first time it is noted that it may come
again, the second one becomes the template, and the third one must be, byte for byte, what the template makes
of it. Whatever came with a warning is none.
"""

import re
from collections.abc import Hashable
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

import msgspec

BODY_BYTES_MAX = 16 * 1024
_KEPT = 128  # Of some 3 KB each.
_DIGEST_BYTES = 16
# Up to the name nothing is nested, so it is the object's own, and what stands there can be but a name.
_NAMED = re.compile(
    rb'\{(?:"(?:kind|apiVersion)": ?"[A-Za-z0-9./]*", ?){0,2}"metadata": ?\{"name": ?"'
    rb'([a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)"'
)
_STORED_HEAD = re.compile(rb'\{"kind":"[^"\\]*","apiVersion":"[^"\\]*","metadata":\{"name":"')
_VOLUME_PREFIX = b"kube-api-access-"
_VOLUME = re.compile(rb'"(kube-api-access-[a-z0-9]{5})"')
_SERVERS_OWN = (b"managedFields", _VOLUME_PREFIX)  # What a client seldom sends, and then of its own.
_BEFORE_TIME = (b'"creationTimestamp":"', b'"time":"')


class Made(NamedTuple):
    """What the server put into one pod, and into no other."""

    name: bytes
    uid: bytes
    time: bytes
    volume: bytes


class Asked(NamedTuple):
    """What is asked for, but for the name: by whom, with which options, in which body (its digest)."""

    basis: Hashable
    digest: bytes


class _Metadata(msgspec.Struct):
    name: str
    uid: str
    created: str = msgspec.field(name="creationTimestamp")


class _Stored(msgspec.Struct):
    metadata: _Metadata


_decode = msgspec.json.Decoder(_Stored).decode


def named(body: bytes) -> tuple[bytes, bytes] | None:
    """Return the name in *body*, and the digest of all else; None if it is not at once seen where that is."""
    found = _NAMED.match(body)
    if found is None or len(body) > BODY_BYTES_MAX or any(each in body for each in _SERVERS_OWN):
        return None
    first, end = found.span(1)
    return found[1], blake2b(b"%b\0%b" % (body[:first], body[end:]), digest_size=_DIGEST_BYTES).digest()


@dataclass(frozen=True, slots=True)
class Template:
    """A stored pod without what is its own: `slots` says which part of `Made` is behind each of `fixed`."""

    fixed: tuple[bytes, ...]
    slots: tuple[int, ...]

    def filled(self, made: Made) -> bytes:
        pieces = [self.fixed[0]]
        for slot, after in zip(self.slots, self.fixed[1:], strict=True):
            pieces += (made[slot], after)
        return b"".join(pieces)


def volume(suffix: str) -> bytes:
    return _VOLUME_PREFIX + suffix.encode()


def made_of(stored: bytes) -> Made:
    """Return what is the *stored* pod's own."""
    metadata = _decode(stored).metadata
    found = _VOLUME.search(stored)
    own = (metadata.name.encode(), metadata.uid.encode(), metadata.created.encode())
    return Made(*own, found[1] if found else b"")


def template(stored: bytes, made: Made) -> Template | None:
    """Return *stored* without what of it is its own; None if that cannot be told from what is not."""
    head = _STORED_HEAD.match(stored)
    if head is None or not stored.startswith(b'%b"' % made.name, head.end()):
        return None
    own = [each for each in made[1:] if each]
    pieces = re.split(b"(%b)" % b"|".join(map(re.escape, own)), stored[head.end() + len(made.name) :])
    fixed, found = pieces[::2], pieces[1::2]
    before_times = [fixed[index] for index, each in enumerate(found) if each == made.time]
    if found.count(made.uid) != 1 or len(before_times) != len(_BEFORE_TIME):
        return None
    if not all(map(bytes.endswith, before_times, _BEFORE_TIME)):
        return None
    return Template((head[0], *fixed), (0, *map(made.index, found)))


class _Candidate:
    __slots__ = ("is_proved", "name", "template")

    def __init__(self, name: bytes, made_from: Template) -> None:
        self.name = name
        self.template = made_from
        self.is_proved = False


class Copies:
    """What was asked for lately; the templates of what came again and came out alike."""

    def __init__(self) -> None:
        self._asked: dict[Asked, _Candidate | None] = {}  # None: once, or it cannot be copied.

    def of(self, asked: Asked) -> Template | None:
        """Return the template for what is *asked* if there is one that has proved right."""
        candidate = self._asked.get(asked)
        if candidate is None or not candidate.is_proved:
            return None
        self._asked[asked] = self._asked.pop(asked)  # The one that is used last is forgotten last.
        return candidate.template

    def note(self, asked: Asked, name: bytes, stored: bytes) -> None:
        """Take note of what was *stored* when *asked* for it by that *name*."""
        if asked not in self._asked:
            if len(self._asked) >= _KEPT:
                del self._asked[next(iter(self._asked))]
            self._asked[asked] = None
            return
        candidate, made = self._asked[asked], made_of(stored)
        if candidate is None:
            found = template(stored, made) if made.name == name else None
            self._asked[asked] = _Candidate(name, found) if found else None
        elif candidate.name != name:  # Else it tells nothing.
            candidate.is_proved = made.name == name and candidate.template.filled(made) == stored
            if not candidate.is_proved:
                self._asked[asked] = None
