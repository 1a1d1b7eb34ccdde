"""Another gRPC client than etcdctl, which says what etcdctl never would; and plain bytes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from grpclib.client import Channel, Stream, StreamStreamMethod, UnaryStreamMethod, UnaryUnaryMethod

from kubelab.cluster.store.rpc.pb import election_pb2, kv_pb2, lock_pb2, rpc_pb2

Put, Delete = kv_pb2.Event.PUT, kv_pb2.Event.DELETE


class GrpcClient:
    """*method* is `KV/Put` of etcdserverpb, or has a package."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    async def call(self, method: str, request: Any, answer: Any, **settings: Any) -> Any:
        return await UnaryUnaryMethod(self._channel, _path(method), type(request), answer)(
            request, **settings
        )

    async def put(self, key: bytes, value: bytes = b"", lease: int = 0) -> int:
        """Return the revision."""
        request = rpc_pb2.PutRequest(key=key, value=value, lease=lease)
        answer = await self.call("KV/Put", request, rpc_pb2.PutResponse)
        return int(answer.header.revision)

    def watch(self, **settings: Any) -> Any:
        method = StreamStreamMethod(
            self._channel, _path("Watch/Watch"), rpc_pb2.WatchRequest, rpc_pb2.WatchResponse
        )
        return method.open(**settings)

    def keep_alive(self) -> Any:
        return StreamStreamMethod(
            self._channel,
            _path("Lease/LeaseKeepAlive"),
            rpc_pb2.LeaseKeepAliveRequest,
            rpc_pb2.LeaseKeepAliveResponse,
        ).open()

    def observe(self) -> Any:
        return UnaryStreamMethod(
            self._channel,
            "/v3electionpb.Election/Observe",
            election_pb2.LeaderRequest,
            election_pb2.LeaderResponse,
        ).open()

    async def lock(self, name: bytes, lease: int) -> bytes:
        request = lock_pb2.LockRequest(name=name, lease=lease)
        answer = await self.call("/v3lockpb.Lock/Lock", request, lock_pb2.LockResponse)
        return bytes(answer.key)

    async def unlock(self, key: bytes) -> None:
        await self.call("/v3lockpb.Lock/Unlock", lock_pb2.UnlockRequest(key=key), lock_pb2.UnlockResponse)


def _path(method: str) -> str:
    return method if method.startswith("/") else f"/etcdserverpb.{method}"


def create(key: bytes, range_end: bytes = b"", **more: Any) -> rpc_pb2.WatchRequest:
    return rpc_pb2.WatchRequest(
        create_request=rpc_pb2.WatchCreateRequest(key=key, range_end=range_end, **more)
    )


def cancel(watch_id: int) -> rpc_pb2.WatchRequest:
    return rpc_pb2.WatchRequest(cancel_request=rpc_pb2.WatchCancelRequest(watch_id=watch_id))


def progress() -> rpc_pb2.WatchRequest:
    return rpc_pb2.WatchRequest(progress_request=rpc_pb2.WatchProgressRequest())


async def next_answer(stream: Stream[Any, rpc_pb2.WatchResponse]) -> rpc_pb2.WatchResponse:
    answer = await stream.recv_message()
    assert answer is not None
    return answer


@asynccontextmanager
async def connected(port: int, host: str = "127.0.0.1") -> AsyncIterator[GrpcClient]:
    channel = Channel(host, port)
    try:
        yield GrpcClient(channel)
    finally:
        channel.close()
        await asyncio.sleep(0)  # For the transport to close.


async def exchange(port: int, sent: bytes) -> bytes:
    """Return all that is answered to *sent* until the server hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(sent)
        return await reader.read()
    finally:
        writer.close()
