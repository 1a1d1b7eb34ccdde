"""The store's requests as etcd's messages, and its answers back. Pure.

Source: etcd, api/etcdserverpb/rpc.proto.
"""

from collections.abc import Iterable
from typing import Literal

from kubelab.cluster.store.requests import (
    Compare,
    CompareTarget,
    DeleteRange,
    DeleteRangeResponse,
    KeyValue,
    Operation,
    Put,
    PutResponse,
    Range,
    RangeResponse,
    Txn,
    TxnResponse,
)
from kubelab.cluster.store.rpc.pb import kv_pb2, rpc_pb2
from kubelab.cluster.store.service import Event, MemberState

_TYPES: dict[int, Literal["PUT", "DELETE"]] = {0: "PUT", 1: "DELETE"}
_TARGETS = {
    CompareTarget.VERSION: "version",
    CompareTarget.CREATE: "create_revision",
    CompareTarget.MOD: "mod_revision",
    CompareTarget.VALUE: "value",
    CompareTarget.LEASE: "lease",
}

Answer = RangeResponse | PutResponse | DeleteRangeResponse | TxnResponse


def range_request(request: Range) -> rpc_pb2.RangeRequest:
    return rpc_pb2.RangeRequest(
        key=request.key,
        range_end=request.range_end,
        limit=request.limit,
        revision=request.revision,
        sort_order=rpc_pb2.RangeRequest.SortOrder.Name(request.sort_order),
        sort_target=rpc_pb2.RangeRequest.SortTarget.Name(request.sort_target),
        serializable=request.serializable,
        keys_only=request.keys_only,
        count_only=request.count_only,
        min_mod_revision=request.min_mod_revision,
        max_mod_revision=request.max_mod_revision,
        min_create_revision=request.min_create_revision,
        max_create_revision=request.max_create_revision,
    )


def put_request(request: Put) -> rpc_pb2.PutRequest:
    return rpc_pb2.PutRequest(
        key=request.key,
        value=request.value,
        lease=request.lease,
        prev_kv=request.prev_kv,
        ignore_value=request.ignore_value,
        ignore_lease=request.ignore_lease,
    )


def delete_request(request: DeleteRange) -> rpc_pb2.DeleteRangeRequest:
    return rpc_pb2.DeleteRangeRequest(key=request.key, range_end=request.range_end, prev_kv=request.prev_kv)


def txn_request(request: Txn) -> rpc_pb2.TxnRequest:
    return rpc_pb2.TxnRequest(
        compare=map(_compare, request.compare),
        success=map(_operation, request.success),
        failure=map(_operation, request.failure),
    )


def _operation(operation: Operation) -> rpc_pb2.RequestOp:
    match operation:
        case Range():
            return rpc_pb2.RequestOp(request_range=range_request(operation))
        case Put():
            return rpc_pb2.RequestOp(request_put=put_request(operation))
        case DeleteRange():
            return rpc_pb2.RequestOp(request_delete_range=delete_request(operation))
        case Txn():
            return rpc_pb2.RequestOp(request_txn=txn_request(operation))


def _compare(compare: Compare) -> rpc_pb2.Compare:
    message = rpc_pb2.Compare(
        result=rpc_pb2.Compare.CompareResult.Name(compare.result),
        target=rpc_pb2.Compare.CompareTarget.Name(compare.target),
        key=compare.key,
        range_end=compare.range_end,
    )
    setattr(message, _TARGETS[compare.target], compare.value)
    return message


def key_value(kv: kv_pb2.KeyValue) -> KeyValue:
    return KeyValue(kv.key, kv.value, kv.create_revision, kv.mod_revision, kv.version, kv.lease)


def _key_values(kvs: Iterable[kv_pb2.KeyValue]) -> tuple[KeyValue, ...]:
    return tuple([key_value(kv) for kv in kvs])


def range_response(message: rpc_pb2.RangeResponse) -> RangeResponse:
    return RangeResponse(message.header.revision, _key_values(message.kvs), message.more, message.count)


def put_response(message: rpc_pb2.PutResponse) -> PutResponse:
    previous = key_value(message.prev_kv) if message.HasField("prev_kv") else None
    return PutResponse(message.header.revision, previous)


def delete_response(message: rpc_pb2.DeleteRangeResponse) -> DeleteRangeResponse:
    return DeleteRangeResponse(message.header.revision, message.deleted, _key_values(message.prev_kvs))


def txn_response(message: rpc_pb2.TxnResponse) -> TxnResponse:
    responses = tuple(map(_response, message.responses))
    return TxnResponse(message.header.revision, message.succeeded, responses)


def _response(message: rpc_pb2.ResponseOp) -> Answer:
    match message.WhichOneof("response"):
        case "response_put":
            return put_response(message.response_put)
        case "response_delete_range":
            return delete_response(message.response_delete_range)
        case "response_txn":
            return txn_response(message.response_txn)
        case _:
            return range_response(message.response_range)


def event(message: kv_pb2.Event) -> Event:
    previous = key_value(message.prev_kv) if message.HasField("prev_kv") else None
    return Event(_TYPES[message.type], key_value(message.kv), previous)


def member(message: rpc_pb2.Member) -> MemberState:
    return MemberState(
        message.ID,
        message.name,
        tuple(message.peerURLs),
        tuple(message.clientURLs),
        is_learner=message.isLearner,
    )
