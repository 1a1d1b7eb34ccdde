"""The service Auth of a store without users: it says so. Clients are known by their TLS certificates.

Source: etcd, server/etcdserver/api/v3rpc/auth.go and server/auth/store.go.
Left out: users, roles, permissions, and so all calls but these three; they are answered with Unimplemented.
"""

from kubelab.cluster.store.rpc.call import Method, unary
from kubelab.cluster.store.rpc.errors import refusal
from kubelab.cluster.store.rpc.header import Headers
from kubelab.cluster.store.rpc.pb import rpc_pb2 as pb

REVISION = 1  # etcd's, of a store in which no user was ever added.


class Auth:
    def __init__(self, headers: Headers) -> None:
        self._headers = headers

    def methods(self) -> dict[str, Method]:
        return {
            "/etcdserverpb.Auth/AuthDisable": unary(pb.AuthDisableRequest, self.disable),
            "/etcdserverpb.Auth/AuthStatus": unary(pb.AuthStatusRequest, self.status),
            "/etcdserverpb.Auth/Authenticate": unary(pb.AuthenticateRequest, self.authenticate),
        }

    async def disable(self, _message: pb.AuthDisableRequest) -> pb.AuthDisableResponse:
        return pb.AuthDisableResponse(header=self._headers.now())

    async def status(self, _message: pb.AuthStatusRequest) -> pb.AuthStatusResponse:
        return pb.AuthStatusResponse(header=self._headers.now(), enabled=False, authRevision=REVISION)

    async def authenticate(self, _message: pb.AuthenticateRequest) -> pb.AuthenticateResponse:
        """Clients that were given a user go on without one after this refusal."""
        raise refusal("authentication is not enabled")
