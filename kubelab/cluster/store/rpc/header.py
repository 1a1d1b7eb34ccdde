"""The header of each answer: which cluster and member gave it, at what revision, in what term.

Source: etcd, server/etcdserver/api/v3rpc/header.go.
"""

from kubelab.cluster.store.rpc.pb import rpc_pb2
from kubelab.cluster.store.service import Service


class Headers:
    def __init__(self, service: Service) -> None:
        self._service = service

    def at(self, revision: int) -> rpc_pb2.ResponseHeader:
        """Return the header of an answer that says what was at *revision*."""
        service = self._service
        return rpc_pb2.ResponseHeader(
            cluster_id=service.cluster_id,
            member_id=service.member_id,
            revision=revision,
            raft_term=service.raft_term,
        )

    def now(self) -> rpc_pb2.ResponseHeader:
        return self.at(self._service.revision)

    def without_revision(self) -> rpc_pb2.ResponseHeader:
        """Return the header of an answer that has nothing to do with keys."""
        return self.at(0)
