"""The service Lock: a member waits in line for its client.

Source: etcd, server/etcdserver/api/v3lock/lock.go and client/v3/concurrency/mutex.go.
"""

from contextlib import suppress

from kubelab.cluster.store.requests import DeleteRange, Range
from kubelab.cluster.store.rpc import concurrency
from kubelab.cluster.store.rpc.call import Method, unary
from kubelab.cluster.store.rpc.header import Headers
from kubelab.cluster.store.rpc.pb import lock_pb2 as pb
from kubelab.cluster.store.rpc.status import Code, StatusError
from kubelab.cluster.store.service import Service, StoreError


class Lock:
    def __init__(self, service: Service, headers: Headers) -> None:
        self._service = service
        self._headers = headers

    def methods(self) -> dict[str, Method]:
        return {
            "/v3lockpb.Lock/Lock": unary(pb.LockRequest, self.lock),
            "/v3lockpb.Lock/Unlock": unary(pb.UnlockRequest, self.unlock),
        }

    async def lock(self, message: pb.LockRequest) -> pb.LockResponse:
        prefix = message.name + b"/"
        lease = await concurrency.session(self._service, message.lease)
        key = concurrency.key_of(prefix, lease)
        queued = await concurrency.queue_up(self._service, prefix, lease, b"")
        own_revision = concurrency.own_revision(queued)
        first = concurrency.found(queued, 1).kvs
        if not first or first[0].create_revision == own_revision:
            return pb.LockResponse(header=self._headers.at(queued.revision), key=key)
        revision = await self._wait(prefix, key, own_revision)
        return pb.LockResponse(header=self._headers.at(revision), key=key)

    async def _wait(self, prefix: bytes, key: bytes, own_revision: int) -> int:
        """Return at what revision *key* came first; who stops waiting leaves the line."""
        is_held = False
        try:
            await concurrency.wait_until_first(self._service, prefix, own_revision)
            owner = await self._service.range(Range(key))
            is_held = True
        finally:
            if not is_held:
                with suppress(StoreError):
                    await self._service.delete_range(DeleteRange(key))
        if not owner.kvs:  # Its lease ended while it waited.
            raise StatusError(Code.UNKNOWN, "mutex: session is expired")
        return owner.revision

    async def unlock(self, message: pb.UnlockRequest) -> pb.UnlockResponse:
        answer = await self._service.delete_range(DeleteRange(message.key))
        return pb.UnlockResponse(header=self._headers.at(answer.revision))
