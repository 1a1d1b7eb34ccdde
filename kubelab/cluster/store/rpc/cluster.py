"""The service Cluster: who the members are. Source: etcd, server/etcdserver/api/v3rpc/member.go."""

from collections.abc import Iterable
from urllib.parse import urlsplit

from kubelab.cluster.store.rpc import messages
from kubelab.cluster.store.rpc.call import Method, unary
from kubelab.cluster.store.rpc.errors import refusal
from kubelab.cluster.store.rpc.header import Headers
from kubelab.cluster.store.rpc.pb import rpc_pb2 as pb
from kubelab.cluster.store.service import ClusterService


class Cluster:
    def __init__(self, service: ClusterService, headers: Headers) -> None:
        self._service = service
        self._headers = headers

    def methods(self) -> dict[str, Method]:
        return {
            "/etcdserverpb.Cluster/MemberAdd": unary(pb.MemberAddRequest, self.add),
            "/etcdserverpb.Cluster/MemberRemove": unary(pb.MemberRemoveRequest, self.remove),
            "/etcdserverpb.Cluster/MemberUpdate": unary(pb.MemberUpdateRequest, self.update),
            "/etcdserverpb.Cluster/MemberList": unary(pb.MemberListRequest, self.list),
            "/etcdserverpb.Cluster/MemberPromote": unary(pb.MemberPromoteRequest, self.promote),
        }

    async def add(self, message: pb.MemberAddRequest) -> pb.MemberAddResponse:
        _check_urls(message.peerURLs)
        added = await self._service.member_add(tuple(message.peerURLs), is_learner=message.isLearner)
        return pb.MemberAddResponse(
            header=self._headers.without_revision(),
            member=messages.member(added),
            members=await self._members(),
        )

    async def remove(self, message: pb.MemberRemoveRequest) -> pb.MemberRemoveResponse:
        await self._service.member_remove(message.ID)
        return pb.MemberRemoveResponse(header=self._headers.without_revision(), members=await self._members())

    async def update(self, message: pb.MemberUpdateRequest) -> pb.MemberUpdateResponse:
        _check_urls(message.peerURLs)
        await self._service.member_update(message.ID, tuple(message.peerURLs))
        return pb.MemberUpdateResponse(header=self._headers.without_revision(), members=await self._members())

    async def list(self, message: pb.MemberListRequest) -> pb.MemberListResponse:
        members = await self._members(linearizable=message.linearizable)
        return pb.MemberListResponse(header=self._headers.without_revision(), members=members)

    async def promote(self, message: pb.MemberPromoteRequest) -> pb.MemberPromoteResponse:
        await self._service.member_promote(message.ID)
        return pb.MemberPromoteResponse(
            header=self._headers.without_revision(), members=await self._members()
        )

    async def _members(self, *, linearizable: bool = False) -> Iterable[pb.Member]:
        """After a change, this member's own view has it: the change was answered when it was applied here."""
        return messages.members(await self._service.members(linearizable=linearizable))


def _check_urls(urls: Iterable[str]) -> None:
    if not urls or not all(map(_is_peer_url, urls)):
        raise refusal("given member URLs are invalid")


def _is_peer_url(url: str) -> bool:
    """etcd, client/pkg/types/urls.go (NewURLs): a scheme, a host and a port, and no path."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and port is not None and not parts.path
