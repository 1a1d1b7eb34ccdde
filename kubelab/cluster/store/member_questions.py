"""What members ask of their leader besides Raft: leases' time, and changes of the membership. Pure.

Source: etcd, server/lease/leasehttp/http.go; server/etcdserver/api/etcdhttp/peer.go (promotion).
"""

from collections.abc import Callable

import msgspec

from kubelab.cluster.raft.configuration_change import ConfigurationChange
from kubelab.cluster.store.service import LeaseNotFoundError, MemberError, NoLeaderError, StoreError


class Renew(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Answered by the lease's whole time to live."""

    lease: int


class TimeLeft(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Answered by what is left, -1 for a lease that is not there."""

    lease: int


class Change(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Answered, when it is committed, by its index."""

    change: ConfigurationChange


Question = Renew | TimeLeft | Change


class _Answer(msgspec.Struct, frozen=True, array_like=True):
    value: int = 0
    error: str = ""
    text: str = ""


_ERRORS: dict[str, Callable[[str], StoreError]] = {
    "LeaseNotFoundError": lambda _: LeaseNotFoundError(),
    "NoLeaderError": lambda _: NoLeaderError(),
    "MemberError": MemberError,
}

_encode = msgspec.msgpack.Encoder().encode
_decode_question = msgspec.msgpack.Decoder(Question).decode
_decode_answer = msgspec.msgpack.Decoder(_Answer).decode


def encode_question(question: Question) -> bytes:
    return _encode(question)


def decode_question(data: bytes) -> Question:
    question: Question = _decode_question(data)
    return question


def encode_answer(value: int) -> bytes:
    return _encode(_Answer(value))


def encode_refusal(error: StoreError) -> bytes:
    return _encode(_Answer(error=type(error).__name__, text=str(error)))


def decode_answer(data: bytes) -> int:
    """Return the value. Raises the StoreError with which the leader refused."""
    answer = _decode_answer(data)
    if answer.error:
        raise _ERRORS.get(answer.error, MemberError)(answer.text)
    return answer.value
