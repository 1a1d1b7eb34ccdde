"""A store whose members are a real etcd's, over gRPC: whatever speaks etcd v3, of this lab or not.

One member is asked, and the next one when it does not answer or knows no leader. What surely was not carried
out, and every read, is asked again until REQUEST_TIMEOUT_S have passed; a write of which nobody knows is not:
that is a `StoreTimeoutError`. So nothing is written twice behind anybody's back.
Source: etcd, client/v3 (kv.go, lease.go, cluster.go, maintenance.go) and client/v3/retry.go.
Left out: users and passwords (certificates say who we are), the service Auth, name-service discovery.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar

from google.protobuf.message import Message

from kubelab.cluster.linux.background import background
from kubelab.cluster.store import etcd_client_messages as messages
from kubelab.cluster.store.etcd_client_connection import CallError, Connection, StreamingCall
from kubelab.cluster.store.etcd_client_endpoints import Endpoint, Endpoints, plain_socket
from kubelab.cluster.store.etcd_client_errors import Outcome, UnreachableError, outcome
from kubelab.cluster.store.etcd_client_watch import WatchHub
from kubelab.cluster.store.requests import (
    Alarm,
    AlarmType,
    Compaction,
    DeleteRange,
    DeleteRangeResponse,
    KeyValue,
    LeaseGrant,
    Put,
    PutResponse,
    Range,
    RangeResponse,
    Txn,
    TxnResponse,
    Write,
)
from kubelab.cluster.store.rpc.pb import rpc_pb2
from kubelab.cluster.store.service import (
    AlarmState,
    FutureRevisionError,
    LeaseNotFoundError,
    LeaseState,
    MemberState,
    MemberStatus,
    NoLeaderError,
    StoreError,
    StoreTimeoutError,
    Watch,
)

REQUEST_TIMEOUT_S = 7.0  # What etcd gives a request itself: 5 s, and two elections.
READ_ATTEMPT_S = 2.0  # One member's time, when there are others to ask.
RETRY_S, RETRY_MAX_S = 0.01, 0.5
UNPACK_STEP = 2000  # Keys of a list: 7 ms.


_NOT_LEADER = "etcdserver: not leader"


class _Answering(Protocol):
    @property
    def header(self) -> rpc_pb2.ResponseHeader: ...

    @classmethod
    def FromString(cls, s: bytes) -> Self: ...  # noqa: N802 - protobuf's name


_Answer = TypeVar("_Answer", bound=_Answering)


@asynccontextmanager
async def open_client(
    endpoints: Sequence[Endpoint],
    tls: ssl.SSLContext | None = None,
    dial: Callable[[], socket.socket] = plain_socket,
) -> AsyncIterator["EtcdClient"]:
    """Yield a client whose sockets *dial* opens; *tls* (`client_tls`) is for endpoints that are https.

    Raises:
        UnreachableError: no member answers.
    """
    client = EtcdClient(Endpoints(endpoints, tls, dial))
    try:
        await client.status()
        async with background(client.keep_watching()):
            yield client
    finally:
        client.close()


class EtcdClient:
    """See `service.Service`. What it says of itself (`member_id`, `raft_term`) is what the member said that
    answered last; `revision` is the newest that any has told of."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints
        self._header = rpc_pb2.ResponseHeader()
        self._revision = 0
        self._watching: Connection | None = None
        self._watches = WatchHub(self._open_watch_stream, self._leave_watch_stream, self._see)

    @property
    def revision(self) -> int:
        return self._revision

    @property
    def cluster_id(self) -> int:
        return self._header.cluster_id

    @property
    def member_id(self) -> int:
        return self._header.member_id

    @property
    def raft_term(self) -> int:
        return self._header.raft_term

    async def keep_watching(self) -> None:
        """Until cancelled, serve the watches."""
        await self._watches.keep_open()

    def close(self) -> None:
        self._watches.close()
        self._endpoints.close()

    async def range(self, request: Range) -> RangeResponse:
        message = messages.range_request(request)
        answer = await self._read(
            "KV/Range", message, rpc_pb2.RangeResponse, request, anywhere=request.serializable
        )
        return await _unpacked(answer) if len(answer.kvs) > UNPACK_STEP else messages.range_response(answer)

    async def put(self, request: Put) -> PutResponse:
        message = messages.put_request(request)
        return messages.put_response(await self._write("KV/Put", message, rpc_pb2.PutResponse, request))

    async def delete_range(self, request: DeleteRange) -> DeleteRangeResponse:
        message = messages.delete_request(request)
        answer = await self._write("KV/DeleteRange", message, rpc_pb2.DeleteRangeResponse, request)
        return messages.delete_response(answer)

    async def txn(self, request: Txn) -> TxnResponse:
        message = messages.txn_request(request)
        ask = self._write if _may_write(request) else self._read
        return messages.txn_response(await ask("KV/Txn", message, rpc_pb2.TxnResponse, request))

    async def compact(self, request: Compaction) -> int:
        message = rpc_pb2.CompactionRequest(revision=request.revision, physical=request.physical)
        answer = await self._write("KV/Compact", message, rpc_pb2.CompactionResponse, request)
        return answer.header.revision

    @asynccontextmanager
    async def watch(
        self, key: bytes, range_end: bytes = b"", *, start_revision: int = 0, prev_kv: bool = True
    ) -> AsyncIterator[Watch]:
        if start_revision:
            await self._check_kept(start_revision)
        async with self._watches.watch(key, range_end, start_revision, prev_kv=prev_kv) as watch:
            yield watch

    async def _check_kept(self, revision: int) -> None:
        """etcd lets a watch begin at a compacted revision, and cancels it a moment later."""
        with suppress(FutureRevisionError):  # That one may be waited for.
            await self.range(Range(b"\0", revision=revision, count_only=True, serializable=True))

    async def lease_grant(self, request: LeaseGrant) -> LeaseState:
        message = rpc_pb2.LeaseGrantRequest(TTL=request.ttl_s, ID=request.id)
        answer = await self._write("Lease/LeaseGrant", message, rpc_pb2.LeaseGrantResponse, request)
        return LeaseState(answer.ID, answer.TTL, answer.TTL)

    async def lease_revoke(self, lease: int) -> None:
        message = rpc_pb2.LeaseRevokeRequest(ID=lease)
        await self._write("Lease/LeaseRevoke", message, rpc_pb2.LeaseRevokeResponse)

    async def lease_keep_alive(self, lease: int) -> int:
        message = rpc_pb2.LeaseKeepAliveRequest(ID=lease)
        answer = await self._read("Lease/LeaseKeepAlive", message, rpc_pb2.LeaseKeepAliveResponse)
        if answer.TTL <= 0:
            raise LeaseNotFoundError
        return answer.TTL

    async def lease_time_to_live(self, lease: int, *, keys: bool = False) -> LeaseState:
        message = rpc_pb2.LeaseTimeToLiveRequest(ID=lease, keys=keys)
        answer = await self._read("Lease/LeaseTimeToLive", message, rpc_pb2.LeaseTimeToLiveResponse)
        return LeaseState(answer.ID, answer.TTL, answer.grantedTTL, tuple(answer.keys))

    async def leases(self) -> tuple[int, ...]:
        message = rpc_pb2.LeaseLeasesRequest()
        answer = await self._read("Lease/LeaseLeases", message, rpc_pb2.LeaseLeasesResponse)
        return tuple(each.ID for each in answer.leases)

    async def members(self, *, linearizable: bool = True) -> tuple[MemberState, ...]:
        message = rpc_pb2.MemberListRequest(linearizable=linearizable)
        answer = await self._read(
            "Cluster/MemberList", message, rpc_pb2.MemberListResponse, anywhere=not linearizable
        )
        return tuple(map(messages.member, answer.members))

    async def member_add(self, peer_urls: tuple[str, ...], *, is_learner: bool = False) -> MemberState:
        message = rpc_pb2.MemberAddRequest(peerURLs=peer_urls, isLearner=is_learner)
        answer = await self._write("Cluster/MemberAdd", message, rpc_pb2.MemberAddResponse)
        return messages.member(answer.member)

    async def member_remove(self, member: int) -> None:
        message = rpc_pb2.MemberRemoveRequest(ID=member)
        await self._write("Cluster/MemberRemove", message, rpc_pb2.MemberRemoveResponse)

    async def member_update(self, member: int, peer_urls: tuple[str, ...]) -> None:
        message = rpc_pb2.MemberUpdateRequest(ID=member, peerURLs=peer_urls)
        await self._write("Cluster/MemberUpdate", message, rpc_pb2.MemberUpdateResponse)

    async def member_promote(self, member: int) -> None:
        message = rpc_pb2.MemberPromoteRequest(ID=member)
        await self._write("Cluster/MemberPromote", message, rpc_pb2.MemberPromoteResponse)

    async def status(self) -> MemberStatus:
        message = rpc_pb2.StatusRequest()
        answer = await self._read("Maintenance/Status", message, rpc_pb2.StatusResponse, anywhere=True)
        return MemberStatus(
            member=answer.header.member_id,
            version=answer.version,
            db_size_bytes=answer.dbSize,
            db_size_in_use_bytes=answer.dbSizeInUse,
            leader=answer.leader,
            raft_term=answer.raftTerm,
            raft_index=answer.raftIndex,
            raft_applied_index=answer.raftAppliedIndex,
            is_learner=answer.isLearner,
            errors=tuple(answer.errors),
        )

    async def alarm(self, request: Alarm) -> tuple[AlarmState, ...]:
        message = rpc_pb2.AlarmRequest(
            action=rpc_pb2.AlarmRequest.AlarmAction.Name(request.action),
            memberID=request.member,
            alarm=rpc_pb2.AlarmType.Name(request.alarm),
        )
        answer = await self._write("Maintenance/Alarm", message, rpc_pb2.AlarmResponse, request)
        return tuple(AlarmState(each.memberID, AlarmType(each.alarm)) for each in answer.alarms)

    async def defragment(self) -> None:
        message = rpc_pb2.DefragmentRequest()
        await self._write("Maintenance/Defragment", message, rpc_pb2.DefragmentResponse)

    async def hash_kv(self, revision: int = 0) -> tuple[int, int]:
        message = rpc_pb2.HashKVRequest(revision=revision)
        answer = await self._read("Maintenance/HashKV", message, rpc_pb2.HashKVResponse, anywhere=True)
        return answer.hash, answer.compact_revision

    async def snapshot(self) -> AsyncIterator[bytes]:
        connection = self._endpoints.current() or await self._endpoints.connection()
        stream = connection.stream("Maintenance/Snapshot", needs_leader=False)
        try:
            stream.send(rpc_pb2.SnapshotRequest().SerializeToString(), end=True)
            while (data := await stream.receive()) is not None:
                yield rpc_pb2.SnapshotResponse.FromString(data).blob
        except CallError as error:
            raise outcome(error.status).error from None
        finally:
            stream.close()

    async def move_leader(self, target: int) -> None:
        """Any member may be asked of this client's, for it asks on until it was the leader."""
        message = rpc_pb2.MoveLeaderRequest(targetID=target).SerializeToString()
        refusal: StoreError = NoLeaderError()
        for endpoint in self._endpoints.all:
            try:
                connection = await self._endpoints.connection_to(endpoint)
                await connection.unary("Maintenance/MoveLeader", message, needs_leader=True)
            except CallError as error:
                refusal = outcome(error.status).error
                if str(refusal) != _NOT_LEADER:
                    raise refusal from None
            except UnreachableError:
                continue
            else:
                return
        raise refusal

    async def _read(
        self,
        method: str,
        message: Message,
        answer: type[_Answer],
        request: Range | Txn | None = None,
        *,
        anywhere: bool = False,
    ) -> _Answer:
        """Ask until it is answered. *anywhere*: by a member without a leader too."""
        attempt_s = READ_ATTEMPT_S if len(self._endpoints.all) > 1 else REQUEST_TIMEOUT_S
        question = _Question(
            *(method, message.SerializeToString(), request, attempt_s),
            may_repeat=True,
            needs_leader=not anywhere,
        )
        return self._decoded(await self._ask(question), answer)

    async def _write(
        self, method: str, message: Message, answer: type[_Answer], request: Write | None = None
    ) -> _Answer:
        """Ask until it may have been carried out."""
        question = _Question(
            *(method, message.SerializeToString(), request, REQUEST_TIMEOUT_S),
            may_repeat=False,
            needs_leader=True,
        )
        return self._decoded(await self._ask(question), answer)

    def _decoded(self, data: bytes, answer: type[_Answer]) -> _Answer:
        decoded = answer.FromString(data)
        self._see(decoded.header)
        return decoded

    def _see(self, header: rpc_pb2.ResponseHeader) -> None:
        self._header = header
        if header.revision > self._revision:
            self._revision = header.revision

    async def _ask(self, question: "_Question") -> bytes:
        loop = asyncio.get_running_loop()
        deadline_s, delay_s = loop.time() + REQUEST_TIMEOUT_S, RETRY_S
        while True:
            connection = self._endpoints.current()
            try:
                async with asyncio.timeout_at(min(deadline_s, loop.time() + question.attempt_s)):
                    connection = connection or await self._endpoints.connection()
                    return await connection.unary(
                        question.method, question.data, needs_leader=question.needs_leader
                    )
            except UnreachableError as error:
                last = Outcome(error, untouched=True, passing=True)
            except TimeoutError:
                last = Outcome(StoreTimeoutError(), untouched=connection is None, passing=True)
            except CallError as error:
                last = outcome(error.status, question.request, self._revision)
            if connection and last.passing:
                self._endpoints.leave(connection)
            if not (last.untouched or (last.passing and question.may_repeat)):
                raise last.error
            if loop.time() + delay_s >= deadline_s:
                raise last.error
            await asyncio.sleep(delay_s)
            delay_s = min(2 * delay_s, RETRY_MAX_S)

    async def _open_watch_stream(self) -> StreamingCall:
        self._watching = self._endpoints.current() or await self._endpoints.connection()
        return self._watching.stream("Watch/Watch", needs_leader=True)

    def _leave_watch_stream(self) -> None:
        if self._watching:
            self._endpoints.leave(self._watching)


@dataclass(frozen=True, slots=True)
class _Question:
    """`may_repeat`: asking twice does no harm. `attempt_s`: how long one member may take."""

    method: str
    data: bytes
    request: Range | Write | None
    attempt_s: float
    may_repeat: bool
    needs_leader: bool


async def _unpacked(answer: rpc_pb2.RangeResponse) -> RangeResponse:
    """As `messages.range_response`, for a long one: the loop's other tasks have their turns."""
    kvs: list[KeyValue] = []
    for start in range(0, len(answer.kvs), UNPACK_STEP):
        kvs += map(messages.key_value, answer.kvs[start : start + UNPACK_STEP])
        await asyncio.sleep(0)
    return RangeResponse(answer.header.revision, tuple(kvs), answer.more, answer.count)


def _may_write(txn: Txn) -> bool:
    operations = (*txn.success, *txn.failure)
    return any(
        not isinstance(each, Range | Txn) or (isinstance(each, Txn) and _may_write(each))
        for each in operations
    )
