"""The service KV: keys, transactions, compaction.

Source: etcd, server/etcdserver/api/v3rpc/key.go. What a request must not be, the store itself refuses.
Left out: RangeStream, of version 3.8.
"""

from google.protobuf.message import Message

from kubelab.cluster.store.requests import Compaction
from kubelab.cluster.store.rpc import messages
from kubelab.cluster.store.rpc.call import REQUEST_BYTES_MAX, Method, unary
from kubelab.cluster.store.rpc.errors import refusal
from kubelab.cluster.store.rpc.header import Headers
from kubelab.cluster.store.rpc.pb import rpc_pb2 as pb
from kubelab.cluster.store.service import KeyValueService


class Kv:
    def __init__(self, service: KeyValueService, headers: Headers) -> None:
        self._service = service
        self._headers = headers

    def methods(self) -> dict[str, Method]:
        return {
            "/etcdserverpb.KV/Range": unary(pb.RangeRequest, self.range),
            "/etcdserverpb.KV/Put": unary(pb.PutRequest, self.put),
            "/etcdserverpb.KV/DeleteRange": unary(pb.DeleteRangeRequest, self.delete_range),
            "/etcdserverpb.KV/Txn": unary(pb.TxnRequest, self.txn),
            "/etcdserverpb.KV/Compact": unary(pb.CompactionRequest, self.compact),
        }

    async def range(self, message: pb.RangeRequest) -> pb.RangeResponse:
        answer = await self._service.range(messages.range_request(message))
        return messages.range_response(answer, self._headers.at)

    async def put(self, message: pb.PutRequest) -> pb.PutResponse:
        _check_size(message)
        answer = await self._service.put(messages.put_request(message))
        return messages.put_response(answer, self._headers.at)

    async def delete_range(self, message: pb.DeleteRangeRequest) -> pb.DeleteRangeResponse:
        answer = await self._service.delete_range(messages.delete_request(message))
        return messages.delete_response(answer, self._headers.at)

    async def txn(self, message: pb.TxnRequest) -> pb.TxnResponse:
        _check_size(message)
        answer = await self._service.txn(messages.txn_request(message))
        return messages.txn_response(answer, self._headers.at)

    async def compact(self, message: pb.CompactionRequest) -> pb.CompactionResponse:
        revision = await self._service.compact(Compaction(message.revision, message.physical))
        return pb.CompactionResponse(header=self._headers.at(revision))


def _check_size(message: Message) -> None:
    if message.ByteSize() > REQUEST_BYTES_MAX:
        raise refusal("request is too large")
