"""etcd's protobuf messages as the store's requests, and the store's answers as messages. Pure.

Source: etcd, api/etcdserverpb/rpc.proto. Numbers that a client made up (of a sort order, of a comparison) are
refused here, for the store's types do not know them.
"""

from collections.abc import Callable, Iterable, Mapping
from enum import IntEnum
from typing import TypeVar

from kubelab.cluster.store import requests
from kubelab.cluster.store.requests import (
    CompareResult,
    CompareTarget,
    DeleteRange,
    DeleteRangeResponse,
    Operation,
    Put,
    PutResponse,
    Range,
    RangeResponse,
    SortOrder,
    SortTarget,
    Txn,
    TxnResponse,
)
from kubelab.cluster.store.rpc.errors import refusal
from kubelab.cluster.store.rpc.pb import kv_pb2, rpc_pb2
from kubelab.cluster.store.rpc.status import Code, StatusError
from kubelab.cluster.store.service import Event, MemberState

Header = Callable[[int], rpc_pb2.ResponseHeader]
"""Makes the header of an answer at a revision."""

_Enum = TypeVar("_Enum", bound=IntEnum)


def range_request(message: rpc_pb2.RangeRequest) -> Range:
    return Range(
        message.key,
        message.range_end,
        limit=message.limit,
        revision=max(0, message.revision),
        sort_order=_sort(SortOrder, message.sort_order),
        sort_target=_sort(SortTarget, message.sort_target),
        serializable=message.serializable,
        keys_only=message.keys_only,
        count_only=message.count_only,
        min_mod_revision=message.min_mod_revision,
        max_mod_revision=message.max_mod_revision,
        min_create_revision=message.min_create_revision,
        max_create_revision=message.max_create_revision,
    )


def put_request(message: rpc_pb2.PutRequest) -> Put:
    return Put(
        message.key, message.value, message.lease, message.prev_kv, message.ignore_value, message.ignore_lease
    )


def delete_request(message: rpc_pb2.DeleteRangeRequest) -> DeleteRange:
    return DeleteRange(message.key, message.range_end, message.prev_kv)


def txn_request(message: rpc_pb2.TxnRequest) -> Txn:
    return Txn(
        tuple(map(_compare, message.compare)),
        tuple(map(_operation, message.success)),
        tuple(map(_operation, message.failure)),
    )


def _operation(message: rpc_pb2.RequestOp) -> Operation:
    match message.WhichOneof("request"):
        case "request_range":
            return range_request(message.request_range)
        case "request_put":
            return put_request(message.request_put)
        case "request_delete_range":
            return delete_request(message.request_delete_range)
        case "request_txn":
            return txn_request(message.request_txn)
    raise refusal("key not found")


def _compare(message: rpc_pb2.Compare) -> requests.Compare:
    return requests.Compare(
        message.key,
        known(CompareTarget, message.target),
        known(CompareResult, message.result),
        _VALUES[known(CompareTarget, message.target)](message),
        message.range_end,
    )


_VALUES: Mapping[CompareTarget, Callable[[rpc_pb2.Compare], int | bytes]] = {
    CompareTarget.VERSION: lambda message: message.version,
    CompareTarget.CREATE: lambda message: message.create_revision,
    CompareTarget.MOD: lambda message: message.mod_revision,
    CompareTarget.VALUE: lambda message: message.value,
    CompareTarget.LEASE: lambda message: message.lease,
}


def _sort(enum: type[_Enum], number: int) -> _Enum:
    try:
        return enum(number)
    except ValueError:
        raise refusal("invalid sort option") from None


def known(enum: type[_Enum], number: int) -> _Enum:
    try:
        return enum(number)
    except ValueError:
        sentence = f"{enum.__name__} has no number {number}"
        raise StatusError(Code.INVALID_ARGUMENT, sentence) from None


def key_value(kv: requests.KeyValue) -> kv_pb2.KeyValue:
    return kv_pb2.KeyValue(
        key=kv.key,
        value=kv.value,
        create_revision=kv.create_revision,
        mod_revision=kv.mod_revision,
        version=kv.version,
        lease=kv.lease,
    )


def event(event: Event, *, prev_kv: bool) -> kv_pb2.Event:
    previous = event.prev_kv if prev_kv else None
    return kv_pb2.Event(
        type=kv_pb2.Event.DELETE if event.type == "DELETE" else kv_pb2.Event.PUT,
        kv=key_value(event.kv),
        prev_kv=key_value(previous) if previous else None,
    )


def range_response(answer: RangeResponse, header: Header) -> rpc_pb2.RangeResponse:
    return rpc_pb2.RangeResponse(
        header=header(answer.revision),
        kvs=map(key_value, answer.kvs),
        more=answer.more,
        count=answer.count,
    )


def put_response(answer: PutResponse, header: Header) -> rpc_pb2.PutResponse:
    previous = key_value(answer.prev_kv) if answer.prev_kv else None
    return rpc_pb2.PutResponse(header=header(answer.revision), prev_kv=previous)


def delete_response(answer: DeleteRangeResponse, header: Header) -> rpc_pb2.DeleteRangeResponse:
    return rpc_pb2.DeleteRangeResponse(
        header=header(answer.revision), deleted=answer.deleted, prev_kvs=map(key_value, answer.prev_kvs)
    )


def txn_response(answer: TxnResponse, header: Header) -> rpc_pb2.TxnResponse:
    responses = (_response(each) for each in answer.responses)
    return rpc_pb2.TxnResponse(
        header=header(answer.revision), succeeded=answer.succeeded, responses=responses
    )


def _response(
    answer: RangeResponse | PutResponse | DeleteRangeResponse | TxnResponse,
) -> rpc_pb2.ResponseOp:
    match answer:
        case RangeResponse():
            return rpc_pb2.ResponseOp(response_range=range_response(answer, _inner_header))
        case PutResponse():
            return rpc_pb2.ResponseOp(response_put=put_response(answer, _inner_header))
        case DeleteRangeResponse():
            return rpc_pb2.ResponseOp(response_delete_range=delete_response(answer, _inner_header))
        case TxnResponse():
            return rpc_pb2.ResponseOp(response_txn=txn_response(answer, _no_header))


def _inner_header(revision: int) -> rpc_pb2.ResponseHeader:
    """Only the whole transaction's answer says who gives it."""
    return rpc_pb2.ResponseHeader(revision=revision)


def _no_header(_revision: int) -> rpc_pb2.ResponseHeader:
    """A transaction in a transaction does not even say when."""
    return rpc_pb2.ResponseHeader()


def members(states: Iterable[MemberState]) -> list[rpc_pb2.Member]:
    return [member(state) for state in states]


def member(state: MemberState) -> rpc_pb2.Member:
    return rpc_pb2.Member(
        ID=state.id,
        name=state.name,
        peerURLs=state.peer_urls,
        clientURLs=state.client_urls,
        isLearner=state.is_learner,
    )
