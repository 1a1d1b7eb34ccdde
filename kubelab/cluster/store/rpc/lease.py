"""The service Lease. Source: etcd, server/etcdserver/api/v3rpc/lease.go."""

from kubelab.cluster.store.requests import LeaseGrant
from kubelab.cluster.store.rpc.call import Call, Method, streaming, unary
from kubelab.cluster.store.rpc.header import Headers
from kubelab.cluster.store.rpc.pb import rpc_pb2 as pb
from kubelab.cluster.store.service import LeaseNotFoundError, LeaseService


class Lease:
    def __init__(self, service: LeaseService, headers: Headers) -> None:
        self._service = service
        self._headers = headers

    def methods(self) -> dict[str, Method]:
        return {
            "/etcdserverpb.Lease/LeaseGrant": unary(pb.LeaseGrantRequest, self.grant),
            "/etcdserverpb.Lease/LeaseRevoke": unary(pb.LeaseRevokeRequest, self.revoke),
            "/etcdserverpb.Lease/LeaseKeepAlive": streaming(pb.LeaseKeepAliveRequest, self.keep_alive),
            "/etcdserverpb.Lease/LeaseTimeToLive": unary(pb.LeaseTimeToLiveRequest, self.time_to_live),
            "/etcdserverpb.Lease/LeaseLeases": unary(pb.LeaseLeasesRequest, self.leases),
        }

    async def grant(self, message: pb.LeaseGrantRequest) -> pb.LeaseGrantResponse:
        state = await self._service.lease_grant(LeaseGrant(message.TTL, message.ID))
        return pb.LeaseGrantResponse(header=self._headers.now(), ID=state.id, TTL=state.granted_ttl_s)

    async def revoke(self, message: pb.LeaseRevokeRequest) -> pb.LeaseRevokeResponse:
        await self._service.lease_revoke(message.ID)
        return pb.LeaseRevokeResponse(header=self._headers.now())

    async def keep_alive(self, call: Call[pb.LeaseKeepAliveRequest, pb.LeaseKeepAliveResponse]) -> None:
        async for message in call:
            # The header comes first: a lease that is revoked at once was not alive at that revision.
            header = self._headers.now()
            ttl_s = await self._keep_alive(message.ID)
            await call.send(pb.LeaseKeepAliveResponse(header=header, ID=message.ID, TTL=ttl_s))

    async def _keep_alive(self, lease: int) -> int:
        """Return what it has to live; 0 tells the client that the lease is no more."""
        try:
            return await self._service.lease_keep_alive(lease)
        except LeaseNotFoundError:
            return 0

    async def time_to_live(self, message: pb.LeaseTimeToLiveRequest) -> pb.LeaseTimeToLiveResponse:
        state = await self._service.lease_time_to_live(message.ID, keys=message.keys)
        return pb.LeaseTimeToLiveResponse(
            header=self._headers.now(),
            ID=message.ID,
            TTL=state.ttl_s,
            grantedTTL=state.granted_ttl_s,
            keys=state.keys,
        )

    async def leases(self, _message: pb.LeaseLeasesRequest) -> pb.LeaseLeasesResponse:
        leases = [pb.LeaseStatus(ID=lease) for lease in await self._service.leases()]
        return pb.LeaseLeasesResponse(header=self._headers.now(), leases=leases)
