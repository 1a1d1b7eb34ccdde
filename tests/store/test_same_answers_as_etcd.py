"""The same requests to a member of the lab's and to a real etcd have the same answers, word for word.

Left out are those whose answers may differ: times, the order of leases, the codes of locks (which etcd loses
on its way through its own client), and the revision in the header of an alarm.
"""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from etcd_api_ground import served
from google.protobuf.message import Message
from google.protobuf.symbol_database import Default
from grpc_client import GrpcClient, connected
from grpclib.exceptions import GRPCError
from real_etcd import loopback_specs, running

from kubelab.cluster.store.rpc.pb import election_pb2, lock_pb2
from kubelab.cluster.store.rpc.pb import rpc_pb2 as pb


def range_op(**fields: Any) -> pb.RequestOp:
    return pb.RequestOp(request_range=pb.RangeRequest(**fields))


def put_op(**fields: Any) -> pb.RequestOp:
    return pb.RequestOp(request_put=pb.PutRequest(**fields))


def delete_op(**fields: Any) -> pb.RequestOp:
    return pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(**fields))


def txn_op(**fields: Any) -> pb.RequestOp:
    return pb.RequestOp(request_txn=pb.TxnRequest(**fields))


CALLS: list[tuple[str, Any]] = [
    *(("KV/Put", pb.PutRequest(key=b"k%d" % number, value=b"v%d" % number)) for number in range(6)),
    ("KV/Put", pb.PutRequest(key=b"k1", value=b"new", prev_kv=True)),
    ("KV/Put", pb.PutRequest(key=b"k1", ignore_value=True, prev_kv=True)),
    ("KV/Put", pb.PutRequest(key=b"zz", ignore_lease=True)),
    ("KV/Range", pb.RangeRequest(key=b"k", range_end=b"l")),
    ("KV/Range", pb.RangeRequest(key=b"k", range_end=b"l", limit=2)),
    (
        "KV/Range",
        pb.RangeRequest(
            key=b"k",
            range_end=b"l",
            limit=2,
            sort_target=pb.RangeRequest.MOD,
            sort_order=pb.RangeRequest.DESCEND,
        ),
    ),
    ("KV/Range", pb.RangeRequest(key=b"k", range_end=b"l", limit=2, sort_target=pb.RangeRequest.VALUE)),
    ("KV/Range", pb.RangeRequest(key=b"k", range_end=b"l", count_only=True)),
    ("KV/Range", pb.RangeRequest(key=b"k", range_end=b"l", count_only=True, limit=1)),
    ("KV/Range", pb.RangeRequest(key=b"k", range_end=b"l", keys_only=True, min_mod_revision=4)),
    ("KV/Range", pb.RangeRequest(key=b"k", range_end=b"l", max_create_revision=4, limit=1)),
    ("KV/Range", pb.RangeRequest(key=b"k", range_end=b"a")),
    ("KV/Range", pb.RangeRequest(key=b"\0", range_end=b"\0", revision=3)),
    ("KV/Range", pb.RangeRequest(key=b"k1", revision=-5)),
    ("KV/Range", pb.RangeRequest()),
    ("KV/DeleteRange", pb.DeleteRangeRequest(key=b"k4", range_end=b"k6", prev_kv=True)),
    ("KV/DeleteRange", pb.DeleteRangeRequest(key=b"nothing")),
    (
        "KV/Txn",
        pb.TxnRequest(
            compare=[
                pb.Compare(key=b"k1", target=pb.Compare.MOD, result=pb.Compare.GREATER, mod_revision=3),
                pb.Compare(key=b"k1", target=pb.Compare.VALUE, result=pb.Compare.NOT_EQUAL, value=b"x"),
            ],
            success=[
                put_op(key=b"t", value=b"1"),
                range_op(key=b"t"),
                delete_op(key=b"k0", prev_kv=True),
                txn_op(success=[put_op(key=b"u"), range_op(key=b"k0")]),
            ],
            failure=[range_op(key=b"f")],
        ),
    ),
    (
        "KV/Txn",
        pb.TxnRequest(
            compare=[
                pb.Compare(
                    key=b"k", range_end=b"l", target=pb.Compare.VERSION, result=pb.Compare.LESS, version=2
                )
            ],
            success=[put_op(key=b"t")],
            failure=[range_op(key=b"k", range_end=b"l")],
        ),
    ),
    (
        "KV/Txn",
        pb.TxnRequest(
            compare=[pb.Compare(key=b"none", target=pb.Compare.VALUE, result=pb.Compare.EQUAL, value=b"")],
            success=[put_op(key=b"t")],
        ),
    ),
    ("KV/Txn", pb.TxnRequest(compare=[pb.Compare(key=b"", target=pb.Compare.VALUE)])),
    ("KV/Txn", pb.TxnRequest()),
    ("KV/Txn", pb.TxnRequest(success=[put_op(key=b"a"), delete_op(key=b"a")])),
    ("KV/Txn", pb.TxnRequest(success=[put_op(key=b"a", lease=77)])),
    ("KV/Txn", pb.TxnRequest(success=[range_op(key=b"a", revision=1000)])),
    ("Lease/LeaseGrant", pb.LeaseGrantRequest(TTL=50, ID=77)),
    ("Lease/LeaseGrant", pb.LeaseGrantRequest(TTL=50, ID=77)),
    ("KV/Put", pb.PutRequest(key=b"leased", lease=77)),
    ("Lease/LeaseTimeToLive", pb.LeaseTimeToLiveRequest(ID=99, keys=True)),
    ("Lease/LeaseRevoke", pb.LeaseRevokeRequest(ID=77)),
    ("Lease/LeaseRevoke", pb.LeaseRevokeRequest(ID=77)),
    ("KV/Compact", pb.CompactionRequest(revision=5)),
    ("KV/Compact", pb.CompactionRequest(revision=5)),
    ("KV/Compact", pb.CompactionRequest(revision=500)),
    ("KV/Compact", pb.CompactionRequest(revision=-1)),
    ("KV/Range", pb.RangeRequest(key=b"k1", revision=4)),
    ("KV/Range", pb.RangeRequest(key=b"k1", revision=5)),
    ("Maintenance/Defragment", pb.DefragmentRequest()),
    ("Maintenance/MoveLeader", pb.MoveLeaderRequest(targetID=99)),
    ("Maintenance/HashKV", pb.HashKVRequest(revision=1000)),
    ("Maintenance/HashKV", pb.HashKVRequest(revision=2)),
    ("Cluster/MemberRemove", pb.MemberRemoveRequest(ID=99)),
    ("Cluster/MemberPromote", pb.MemberPromoteRequest(ID=99)),
    ("Cluster/MemberAdd", pb.MemberAddRequest(peerURLs=["x"])),
    ("Cluster/MemberAdd", pb.MemberAddRequest()),
    ("Cluster/MemberUpdate", pb.MemberUpdateRequest(ID=99, peerURLs=["http://127.0.0.9:1"])),
    ("Auth/Authenticate", pb.AuthenticateRequest(name="x")),
    ("Auth/AuthDisable", pb.AuthDisableRequest()),
    ("/v3lockpb.Lock/Unlock", lock_pb2.UnlockRequest(key=b"no")),
    ("/v3electionpb.Election/Leader", election_pb2.LeaderRequest(name=b"x")),
    ("/v3electionpb.Election/Resign", election_pb2.ResignRequest()),
    (
        "/v3electionpb.Election/Proclaim",
        election_pb2.ProclaimRequest(leader=election_pb2.LeaderKey(name=b"a", key=b"b", rev=4)),
    ),
    ("/nonsense/x", pb.HashRequest()),
    ("KV/Nonsense", pb.HashRequest()),
    ("KV/Put", pb.PutRequest(key=b"big", value=bytes(1536 * 1024))),
    ("KV/Put", pb.PutRequest(key=b"big", value=bytes(1536 * 1024 - 60))),
    ("KV/Put", pb.PutRequest(key=b"big", value=bytes(3 * 1024 * 1024))),
]


async def answer(client: GrpcClient, method: str, request: Message) -> str:
    """Return the answer without who gave it, or the refusal."""
    name = request.DESCRIPTOR.full_name.replace("Request", "Response")
    try:
        answer = await client.call(method, request, Default().GetSymbol(name))
    except GRPCError as error:
        return f"{error.status} {error.message}"
    for field in ("cluster_id", "member_id", "raft_term"):
        answer.header.ClearField(field)
    return str(answer)


async def test_the_same_requests_have_the_same_answers(tmp_path: Path) -> None:
    specs = loopback_specs(tmp_path)
    url = urlsplit(specs[0].client_url)
    assert url.hostname and url.port
    async with (
        running(specs),
        connected(url.port, url.hostname) as theirs,
        served() as lab,
        connected(lab.port) as ours,
    ):
        for method, request in CALLS:
            assert await answer(ours, method, request) == await answer(theirs, method, request), request
