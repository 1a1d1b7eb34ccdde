"""The keys that all masters of a cluster share, as kubeadm shares them (`kubeadm init --upload-certs`).

They are kept with the cluster's state: what they have signed (service accounts' tokens, certificates of
users) holds in the cluster's next life as well. The components' own certificates name addresses, which may
be others then: those are made anew.
Source: https://kubernetes.io/docs/setup/best-practices/certificates/.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address
from pathlib import Path

from kubelab.cluster.apiserver.authentication.jwt import SigningKey
from kubelab.cluster.apiserver.pki import Authority, KeyPair, client_context, server_context
from kubelab.cluster.apiserver.server import Security
from kubelab.cluster.client.kubeconfig import ClientConfig


@dataclass(frozen=True, slots=True)
class ClusterKeys:
    """`admin` is the administrator's certificate, `security` has each master's by its name."""

    authority: Authority
    service_accounts: SigningKey
    admin: KeyPair
    security: Mapping[str, Security]

    @staticmethod
    def open(directory: Path, masters: Mapping[str, IPv4Address], now: datetime) -> "ClusterKeys":
        """Return the keys in *directory*, for masters of these names and addresses; make what is missing."""
        authority = Authority.open(directory, now)
        kubelets = client_context(authority.certificate_path, authority.apiserver_kubelet_client())
        return ClusterKeys(
            authority,
            authority.service_accounts(),
            authority.admin(),
            {
                name: Security(_server_context(authority, name, address), kubelets)
                for name, address in masters.items()
            },
        )

    @property
    def ca_pem(self) -> bytes:
        return self.authority.certificate_path.read_bytes()

    def client_config(self, pair: KeyPair, *servers: str) -> ClientConfig:
        return ClientConfig(
            server=servers[0],
            ca_pem=self.ca_pem,
            certificate_pem=pair.certificate.read_bytes(),
            key_pem=pair.key.read_bytes(),
            other_servers=servers[1:],
        )


def _server_context(authority: Authority, name: str, address: IPv4Address) -> ssl.SSLContext:
    pair = authority.apiserver([address], [name], file_name=f"apiserver-{name}")
    return server_context(authority.certificate_path, pair, clients=ssl.CERT_OPTIONAL)
