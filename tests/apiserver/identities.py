"""Users of a served cluster beside its administrator: their certificates and tokens as kubectl's options."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from served_cluster import Cluster

from kubelab.cluster.apiserver.access import Access
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


def signing(access: Access, ca_pem: bytes) -> Signing:
    def issue(account: Object, secret: Object) -> str:
        return access.key.sign(legacy_claims(account, secret))

    return Signing(ca_pem, issue)


@asynccontextmanager
async def controlled(cluster: Cluster) -> AsyncIterator[None]:
    """Run the controllers beside the server."""
    ca_pem = cluster.authority.certificate_path.read_bytes()
    signer = signing(cluster.registry.access, ca_pem)
    async with background(run_controllers(cluster.api, cluster.registry.clock, signing=signer)):
        yield
