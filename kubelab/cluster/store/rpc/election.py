"""The service Election: candidates wait in line, the first one leads until its key or its lease goes.

Source: etcd, server/etcdserver/api/v3election/election.go and client/v3/concurrency/election.go.
"""

from contextlib import suppress

from kubelab.cluster.store.requests import DeleteRange, KeyValue, Put, Txn, prefix_end
from kubelab.cluster.store.rpc import concurrency, messages
from kubelab.cluster.store.rpc.call import Call, Method, streaming, unary
from kubelab.cluster.store.rpc.header import Headers
from kubelab.cluster.store.rpc.pb import election_pb2 as pb
from kubelab.cluster.store.rpc.status import Code, StatusError
from kubelab.cluster.store.service import Progress, Service, StoreError

ObserveCall = Call[pb.LeaderRequest, pb.LeaderResponse]


class Election:
    def __init__(self, service: Service, headers: Headers) -> None:
        self._service = service
        self._headers = headers

    def methods(self) -> dict[str, Method]:
        return {
            "/v3electionpb.Election/Campaign": unary(pb.CampaignRequest, self.campaign),
            "/v3electionpb.Election/Proclaim": unary(pb.ProclaimRequest, self.proclaim),
            "/v3electionpb.Election/Leader": unary(pb.LeaderRequest, self.leader),
            "/v3electionpb.Election/Observe": streaming(pb.LeaderRequest, self.observe),
            "/v3electionpb.Election/Resign": unary(pb.ResignRequest, self.resign),
        }

    async def campaign(self, message: pb.CampaignRequest) -> pb.CampaignResponse:
        prefix = message.name + b"/"
        lease = await concurrency.session(self._service, message.lease)
        queued = await concurrency.queue_up(self._service, prefix, lease, message.value)
        leader = pb.LeaderKey(
            name=message.name,
            key=concurrency.key_of(prefix, lease),
            rev=concurrency.own_revision(queued),
            lease=lease,
        )
        await self._win(leader, prefix, queued.succeeded, message.value)
        return pb.CampaignResponse(header=self._headers.at(queued.revision), leader=leader)

    async def _win(self, leader: pb.LeaderKey, prefix: bytes, is_new: bool, value: bytes) -> None:
        """Wait until *leader* is first; who stops waiting is no candidate any more."""
        has_won = False
        try:
            if not is_new:
                await self._proclaim(leader, value)
            await concurrency.wait_until_first(self._service, prefix, leader.rev)
            has_won = True
        finally:
            if not has_won:
                with suppress(StoreError):
                    await self._resign(leader)

    async def proclaim(self, message: pb.ProclaimRequest) -> pb.ProclaimResponse:
        _check_leader(message)
        revision = await self._proclaim(message.leader, message.value)
        return pb.ProclaimResponse(header=self._headers.at(revision))

    async def _proclaim(self, leader: pb.LeaderKey, value: bytes) -> int:
        is_held = concurrency.has_revision(leader.key, leader.rev)
        answer = await self._service.txn(Txn((is_held,), (Put(leader.key, value, leader.lease),)))
        if not answer.succeeded:
            raise StatusError(Code.UNKNOWN, "election: not leader")
        return answer.revision

    async def leader(self, message: pb.LeaderRequest) -> pb.LeaderResponse:
        answer = await self._service.range(concurrency.oldest(message.name + b"/"))
        if not answer.kvs:
            raise StatusError(Code.UNKNOWN, "election: no leader")
        return self._response(answer.kvs[0], answer.revision)

    async def resign(self, message: pb.ResignRequest) -> pb.ResignResponse:
        _check_leader(message)
        revision = await self._resign(message.leader)
        return pb.ResignResponse(header=self._headers.at(revision))

    async def _resign(self, leader: pb.LeaderKey) -> int:
        is_held = concurrency.has_revision(leader.key, leader.rev)
        answer = await self._service.txn(Txn((is_held,), (DeleteRange(leader.key),)))
        return answer.revision

    async def observe(self, call: ObserveCall) -> None:
        """Tell each leader, and what each proclaims, until the client has seen enough."""
        async for message in call:
            while True:
                kv, revision = await self._elected(message.name + b"/")
                await call.send(self._response(kv, revision))
                await self._tell_until_deposed(call, kv.key, revision)

    async def _elected(self, prefix: bytes) -> tuple[KeyValue, int]:
        answer = await self._service.range(concurrency.oldest(prefix))
        if answer.kvs:
            return answer.kvs[0], answer.revision
        start = answer.revision + 1
        async with self._service.watch(
            prefix, prefix_end(prefix), start_revision=start, prev_kv=False
        ) as watch:
            async for item in watch:
                for event in () if isinstance(item, Progress) else item:
                    if event.type == "PUT":
                        return event.kv, event.kv.mod_revision
        raise _lost_watch()

    async def _tell_until_deposed(self, call: ObserveCall, key: bytes, revision: int) -> None:
        async with self._service.watch(key, start_revision=revision + 1, prev_kv=False) as watch:
            async for item in watch:
                for event in () if isinstance(item, Progress) else item:
                    if event.type == "DELETE":
                        return
                    await call.send(self._response(event.kv, event.kv.mod_revision))
        raise _lost_watch()

    def _response(self, kv: KeyValue, revision: int) -> pb.LeaderResponse:
        return pb.LeaderResponse(header=self._headers.at(revision), kv=messages.key_value(kv))


def _check_leader(message: pb.ProclaimRequest | pb.ResignRequest) -> None:
    if not message.HasField("leader"):
        raise StatusError(Code.UNKNOWN, '"leader" field must be provided')


def _lost_watch() -> StatusError:
    return StatusError(Code.UNKNOWN, "election: lost the watch of the leader")
