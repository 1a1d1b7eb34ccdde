"""Users of a served cluster beside its administrator: their certificates and tokens as kubectl's options."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from served_cluster import Cluster

from kubelab.cluster.apiserver.authentication.claims import legacy_claims
from kubelab.cluster.controllers.manager import Signing, run_controllers
from kubelab.cluster.linux.background import background
from kubelab.cluster.objects import Object


def as_user(cluster: Cluster, name: str, *groups: str) -> tuple[str, ...]:
    """Return the options with which kubectl shows the certificate of a user of that name and groups."""
    pair = cluster.authority.issue(name.replace(":", "-"), name, groups)
    return f"--client-certificate={pair.certificate}", f"--client-key={pair.key}"


def with_token(cluster: Cluster, token: str) -> tuple[str, ...]:
    """Return the options with which kubectl shows nothing but *token*."""
    server, ca = f"https://127.0.0.1:{cluster.port}", cluster.authority.certificate_path
    return "--kubeconfig=/dev/null", f"--server={server}", f"--certificate-authority={ca}", f"--token={token}"


def signing(cluster: Cluster) -> Signing:
    def issue(account: Object, secret: Object) -> str:
        return cluster.registry.access.key.sign(legacy_claims(account, secret))

    ca_pem = cluster.authority.certificate_path.read_bytes()
    return Signing(ca_pem, issue, cluster.authority.sign_request)


@asynccontextmanager
async def controlled(cluster: Cluster) -> AsyncIterator[None]:
    """Run the controllers beside the server."""
    async with background(run_controllers(cluster.api, cluster.registry.clock, signing=signing(cluster))):
        yield
