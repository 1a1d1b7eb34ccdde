"""What a gRPC client gets of a member: answers, refusals with etcd's codes and words, and nothing worse for
nonsense."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
import pytest_asyncio
from etcd_api_ground import Served, served
from grpc_client import GrpcClient, connected, create, exchange, next_answer
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from kubelab.cluster.clock import VirtualClock
from kubelab.cluster.store import requests
from kubelab.cluster.store.memory import MemoryStore
from kubelab.cluster.store.mvcc import Mvcc
from kubelab.cluster.store.requests import LeaseGrant, Range
from kubelab.cluster.store.rpc.call import MESSAGE_BYTES_MAX, REQUEST_BYTES_MAX
from kubelab.cluster.store.rpc.pb import election_pb2, rpc_pb2
from kubelab.cluster.store.rpc.server import LEADER_CHECK_INTERVAL_S, LEADERLESS_CHECKS_MAX
from kubelab.cluster.store.service import MemberStatus, NoSpaceError


@pytest_asyncio.fixture
async def lab() -> AsyncIterator[Served]:
    async with served() as lab:
        yield lab


@pytest_asyncio.fixture
async def client(lab: Served) -> AsyncIterator[GrpcClient]:
    async with connected(lab.port) as client:
        yield client


async def refusal(client: GrpcClient, method: str, request: Any) -> tuple[Status, str | None]:
    with pytest.raises(GRPCError) as refused:
        await client.call(method, request, rpc_pb2.PutResponse)
    return refused.value.status, refused.value.message


async def test_each_answer_says_who_gave_it_and_when(client: GrpcClient) -> None:
    request = rpc_pb2.PutRequest(key=b"key", value=b"value")
    answer = await client.call("KV/Put", request, rpc_pb2.PutResponse)
    header = answer.header
    assert (header.cluster_id, header.member_id, header.revision, header.raft_term) == (1, 1, 2, 1)


async def test_a_nested_transaction_is_answered_as_deep_as_it_was_asked(client: GrpcClient) -> None:
    inner = rpc_pb2.TxnRequest(
        compare=[
            rpc_pb2.Compare(result=rpc_pb2.Compare.EQUAL, target=rpc_pb2.Compare.VERSION, key=b"a", version=0)
        ],
        success=[rpc_pb2.RequestOp(request_put=rpc_pb2.PutRequest(key=b"a", value=b"1"))],
    )
    outer = rpc_pb2.TxnRequest(
        success=[
            rpc_pb2.RequestOp(request_txn=inner),
            rpc_pb2.RequestOp(request_range=rpc_pb2.RangeRequest(key=b"a")),
            rpc_pb2.RequestOp(request_delete_range=rpc_pb2.DeleteRangeRequest(key=b"b")),
        ]
    )
    answer = await client.call("KV/Txn", outer, rpc_pb2.TxnResponse)
    nested, found, deleted = answer.responses
    assert nested.response_txn.succeeded
    assert nested.response_txn.responses[0].response_put.header.revision == 2
    assert [kv.value for kv in found.response_range.kvs] == [b"1"]
    assert deleted.response_delete_range.deleted == 0


@pytest.mark.parametrize(
    ("method", "request_", "status", "words"),
    [
        ("KV/Put", rpc_pb2.PutRequest(), Status.INVALID_ARGUMENT, "key is not provided"),
        (
            "KV/Put",
            rpc_pb2.PutRequest(key=b"a", value=b"b", ignore_value=True),
            Status.INVALID_ARGUMENT,
            "value is provided",
        ),
        (
            "KV/Put",
            rpc_pb2.PutRequest(key=b"a", ignore_value=True),
            Status.INVALID_ARGUMENT,
            "key not found",
        ),
        (
            "KV/Put",
            rpc_pb2.PutRequest(key=b"a", lease=99),
            Status.NOT_FOUND,
            "requested lease not found",
        ),
        (
            "KV/Put",
            rpc_pb2.PutRequest(key=b"a", value=bytes(REQUEST_BYTES_MAX)),
            Status.INVALID_ARGUMENT,
            "request is too large",
        ),
        (
            "KV/Range",
            rpc_pb2.RangeRequest(key=b"a", sort_order=9),
            Status.INVALID_ARGUMENT,
            "invalid sort option",
        ),
        (
            "KV/Range",
            rpc_pb2.RangeRequest(key=b"a", revision=99),
            Status.OUT_OF_RANGE,
            "mvcc: required revision is a future revision",
        ),
        (
            "KV/Txn",
            rpc_pb2.TxnRequest(success=[rpc_pb2.RequestOp(request_put=rpc_pb2.PutRequest(key=b"a"))] * 2),
            Status.INVALID_ARGUMENT,
            "duplicate key given in txn request",
        ),
        (
            "KV/Txn",
            rpc_pb2.TxnRequest(
                success=[rpc_pb2.RequestOp(request_range=rpc_pb2.RangeRequest(key=b"a"))] * 129
            ),
            Status.INVALID_ARGUMENT,
            "too many operations in txn request",
        ),
        (
            "KV/Txn",
            rpc_pb2.TxnRequest(success=[rpc_pb2.RequestOp()]),
            Status.INVALID_ARGUMENT,
            "key not found",
        ),
        (
            "Lease/LeaseGrant",
            rpc_pb2.LeaseGrantRequest(TTL=10_000_000_000),
            Status.OUT_OF_RANGE,
            "too large lease TTL",
        ),
        (
            "Cluster/MemberAdd",
            rpc_pb2.MemberAddRequest(peerURLs=["nonsense"]),
            Status.INVALID_ARGUMENT,
            "given member URLs are invalid",
        ),
        (
            "Cluster/MemberPromote",
            rpc_pb2.MemberPromoteRequest(ID=1),
            Status.FAILED_PRECONDITION,
            "can only promote a learner member",
        ),
        (
            "Maintenance/MoveLeader",
            rpc_pb2.MoveLeaderRequest(targetID=99),
            Status.FAILED_PRECONDITION,
            "bad leader transferee",
        ),
        (
            "Auth/Authenticate",
            rpc_pb2.AuthenticateRequest(name="root"),
            Status.FAILED_PRECONDITION,
            "authentication is not enabled",
        ),
    ],
)
async def test_refusals_have_etcds_codes_and_words(
    client: GrpcClient, method: str, request_: Any, status: Status, words: str
) -> None:
    assert await refusal(client, method, request_) == (status, f"etcdserver: {words}")


async def test_what_is_not_there_is_unimplemented(client: GrpcClient) -> None:
    for method in ("Auth/UserAdd", "Maintenance/Hash", "Maintenance/Downgrade", "/nonsense", "/a/b/c"):
        status, message = await refusal(client, method, rpc_pb2.HashRequest())
        assert status is Status.UNIMPLEMENTED
        assert message is not None
        assert message.startswith(("unknown method", "unknown service"))


class Bytes:
    """Sent as they are."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def SerializeToString(self) -> bytes:  # noqa: N802 # protobuf's name.
        return self._data


async def test_what_is_no_message_and_what_is_too_large_are_refused(client: GrpcClient) -> None:
    status, message = await refusal(client, "KV/Put", Bytes(b"\x0a\xff"))
    assert status is Status.INTERNAL
    assert message is not None
    assert message.startswith("grpc: error unmarshalling request")
    status, message = await refusal(client, "KV/Put", Bytes(bytes(MESSAGE_BYTES_MAX + 1)))
    assert status is Status.RESOURCE_EXHAUSTED
    assert message is not None
    assert message.startswith("grpc: received message larger than max")
    assert await client.put(b"key") == 2


async def test_random_bytes_end_their_connection_and_no_other(lab: Served, client: GrpcClient) -> None:
    chance = random.Random(6)
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    for start in (b"", b"PRI * HTTP/2.0\r\n\r\n", preface, preface + bytes.fromhex("000000040000000000")):
        for _ in range(10):
            nonsense = start + chance.randbytes(200) + b"\r\n\r\n"
            await asyncio.wait_for(_send_and_leave(lab.port, nonsense), 20)
    assert await client.put(b"key") == 2


async def _send_and_leave(port: int, sent: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    writer.write_eof()
    with suppress(ConnectionResetError):
        await reader.read()
    writer.close()


async def test_a_call_ends_with_its_time_limit(lab: Served, client: GrpcClient) -> None:
    """And who waited for a lock leaves the line."""
    first, second = await lab.store.lease_grant(LeaseGrant(1000, 1)), LeaseGrant(1000, 2)
    await lab.store.lease_grant(second)
    await client.lock(b"mutex", first.id)
    request = election_pb2.CampaignRequest(name=b"mutex", lease=second.id)
    with pytest.raises((GRPCError, asyncio.TimeoutError)):
        await client.call(
            "/v3electionpb.Election/Campaign", request, election_pb2.CampaignResponse, timeout=0.05
        )
    async with lab.store.watch(b"mutex/", b"mutex0", start_revision=2) as watch:
        changes = aiter(watch)
        while (await lab.store.range(Range(b"mutex/", b"mutex0"))).count != 1:
            await anext(changes)


async def test_a_lock_is_handed_on_by_unlock(lab: Served, client: GrpcClient) -> None:
    for lease in (1, 2):
        await lab.store.lease_grant(LeaseGrant(1000, lease))
    held = await client.lock(b"mutex", 1)
    assert (held, await client.lock(b"mutex", 1)) == (b"mutex/1", b"mutex/1")
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(client.lock(b"mutex", 2))
        async with lab.store.watch(b"mutex/2", start_revision=2) as watch:
            await anext(aiter(watch))
        assert not waiting.done()
        await client.unlock(held)
    assert waiting.result() == b"mutex/2"


async def test_an_election_is_won_proclaimed_observed_and_resigned(client: GrpcClient) -> None:
    request = election_pb2.CampaignRequest(name=b"office", value=b"ana")
    won = await client.call("/v3electionpb.Election/Campaign", request, election_pb2.CampaignResponse)
    async with client.observe() as seen:
        await seen.send_message(election_pb2.LeaderRequest(name=b"office"), end=True)
        first = await seen.recv_message()
        await client.call(
            "/v3electionpb.Election/Proclaim",
            election_pb2.ProclaimRequest(leader=won.leader, value=b"eva"),
            election_pb2.ProclaimResponse,
        )
        second = await seen.recv_message()
        await seen.cancel()
    assert (first.kv.value, second.kv.value) == (b"ana", b"eva")
    for _ in range(2):  # Who does not lead may resign as well.
        await client.call(
            "/v3electionpb.Election/Resign",
            election_pb2.ResignRequest(leader=won.leader),
            election_pb2.ResignResponse,
        )
    nobody = await refusal(
        client, "/v3electionpb.Election/Leader", election_pb2.LeaderRequest(name=b"office")
    )
    assert nobody == (Status.UNKNOWN, "election: no leader")


async def test_a_lease_that_is_gone_is_not_kept_alive(lab: Served, client: GrpcClient) -> None:
    await lab.store.lease_grant(LeaseGrant(1000, 1))
    async with client.keep_alive() as stream:
        for lease in (1, 99):
            await stream.send_message(rpc_pb2.LeaseKeepAliveRequest(ID=lease))
        answers = [await stream.recv_message() for _ in range(2)]
        await stream.end()
    assert [(answer.ID, answer.TTL) for answer in answers] == [(1, 1000), (99, 0)]


class Leaderless(MemoryStore):
    """A member that has lost the others."""

    has_leader = True

    async def status(self) -> MemberStatus:
        status = await super().status()
        return status if self.has_leader else _without_leader(status)


def _without_leader(status: MemberStatus) -> MemberStatus:
    return MemberStatus(
        *(status.member, status.version, status.db_size_bytes, status.db_size_in_use_bytes),
        leader=0,
        raft_term=status.raft_term,
        raft_index=status.raft_index,
        raft_applied_index=status.raft_applied_index,
    )


async def test_who_wants_a_leader_is_told_when_there_is_none() -> None:
    clock, store = VirtualClock(), Leaderless()
    wanted = {"hasleader": "true"}
    async with served(store, clock=clock) as lab, connected(lab.port) as client:
        with pytest.raises(GRPCError, match="etcdserver: no leader") as lost:
            async with client.watch(metadata=wanted) as stream:
                await stream.send_message(create(b"key"))
                await next_answer(stream)
                store.has_leader = False
                await clock.advance(LEADER_CHECK_INTERVAL_S * LEADERLESS_CHECKS_MAX)
                assert await stream.recv_message() is None
        assert lost.value.status is Status.UNAVAILABLE
        with pytest.raises(GRPCError, match="no leader"):
            await client.call("KV/Put", rpc_pb2.PutRequest(key=b"a"), rpc_pb2.PutResponse, metadata=wanted)
        status = await client.call("Maintenance/Status", rpc_pb2.StatusRequest(), rpc_pb2.StatusResponse)
        assert status.errors == ["etcdserver: no leader"]


async def test_health_and_version_are_plain_http(lab: Served) -> None:
    assert await _get(lab.port, "/health") == (200, {"health": "true", "reason": ""})
    status, version = await _get(lab.port, "/version")
    assert (status, sorted(version)) == (200, ["etcdcluster", "etcdserver"])
    assert (await _get(lab.port, "/metrics"))[0] == 404
    assert (await _get(lab.port, "/health", method="POST"))[0] == 405


async def test_an_alarm_is_ill_health() -> None:
    store = MemoryStore(mvcc=Mvcc(quota_bytes=30_000))
    async with served(store) as lab:
        with pytest.raises(NoSpaceError):
            await store.put(requests.Put(b"key", bytes(30_000)))
        assert await _get(lab.port, "/health") == (503, {"health": "false", "reason": "ALARM NOSPACE"})
        assert (await _get(lab.port, "/health?exclude=NOSPACE"))[0] == 200


async def _get(port: int, target: str, method: str = "GET") -> tuple[int, dict[str, str]]:
    answer = await exchange(port, f"{method} {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)
