"""The service Maintenance: alarms, status, checksums, the snapshot, who leads.

Source: etcd, server/etcdserver/api/v3rpc/maintenance.go.
Left out: Hash, which is over etcd's own file and says nothing of another store's (HashKV does), and
Downgrade. How much of a snapshot is still to come (`remaining_bytes`) is not told.
"""

from kubelab.cluster.store.requests import Alarm, AlarmAction, AlarmType
from kubelab.cluster.store.rpc.call import Call, Method, streaming, unary
from kubelab.cluster.store.rpc.header import Headers
from kubelab.cluster.store.rpc.messages import known
from kubelab.cluster.store.rpc.pb import rpc_pb2 as pb
from kubelab.cluster.store.rpc.snapshot import as_database
from kubelab.cluster.store.service import Service

SNAPSHOT_PIECE_BYTES = 32 * 1024
_NO_LEADER = "etcdserver: no leader"
_ALARMS = {AlarmType.NONE: pb.NONE, AlarmType.NOSPACE: pb.NOSPACE, AlarmType.CORRUPT: pb.CORRUPT}


class Maintenance:
    def __init__(self, service: Service, headers: Headers) -> None:
        self._service = service
        self._headers = headers

    def methods(self) -> dict[str, Method]:
        return {
            "/etcdserverpb.Maintenance/Alarm": unary(pb.AlarmRequest, self.alarm),
            "/etcdserverpb.Maintenance/Status": unary(pb.StatusRequest, self.status),
            "/etcdserverpb.Maintenance/Defragment": unary(pb.DefragmentRequest, self.defragment),
            "/etcdserverpb.Maintenance/HashKV": unary(pb.HashKVRequest, self.hash_kv),
            "/etcdserverpb.Maintenance/Snapshot": streaming(pb.SnapshotRequest, self.snapshot),
            "/etcdserverpb.Maintenance/MoveLeader": unary(pb.MoveLeaderRequest, self.move_leader),
        }

    async def alarm(self, message: pb.AlarmRequest) -> pb.AlarmResponse:
        alarms = await self._service.alarm(
            Alarm(known(AlarmAction, message.action), message.memberID, known(AlarmType, message.alarm))
        )
        members = [pb.AlarmMember(memberID=each.member, alarm=_ALARMS[each.alarm]) for each in alarms]
        return pb.AlarmResponse(header=self._headers.now(), alarms=members)

    async def status(self, _message: pb.StatusRequest) -> pb.StatusResponse:
        status = await self._service.status()
        no_leader = (_NO_LEADER,) if not status.leader and _NO_LEADER not in status.errors else ()
        return pb.StatusResponse(
            header=self._headers.now(),
            version=status.version,
            dbSize=status.db_size_bytes,
            dbSizeInUse=status.db_size_in_use_bytes,
            leader=status.leader,
            raftIndex=status.raft_index,
            raftTerm=status.raft_term,
            raftAppliedIndex=status.raft_applied_index,
            isLearner=status.is_learner,
            errors=(*no_leader, *status.errors),
        )

    async def defragment(self, _message: pb.DefragmentRequest) -> pb.DefragmentResponse:
        await self._service.defragment()
        return pb.DefragmentResponse()

    async def hash_kv(self, message: pb.HashKVRequest) -> pb.HashKVResponse:
        revision = max(0, message.revision)
        checksum, compact_revision = await self._service.hash_kv(revision)
        return pb.HashKVResponse(
            header=self._headers.now(),
            hash=checksum,
            compact_revision=compact_revision,
            hash_revision=revision or self._service.revision,
        )

    async def snapshot(self, call: Call[pb.SnapshotRequest, pb.SnapshotResponse]) -> None:
        async for _ in call:
            async for piece in as_database(self._service.snapshot()):
                for start in range(0, len(piece), SNAPSHOT_PIECE_BYTES):
                    blob = piece[start : start + SNAPSHOT_PIECE_BYTES]
                    await call.send(pb.SnapshotResponse(header=self._headers.now(), blob=blob))
            return

    async def move_leader(self, message: pb.MoveLeaderRequest) -> pb.MoveLeaderResponse:
        await self._service.move_leader(message.targetID)
        return pb.MoveLeaderResponse()
