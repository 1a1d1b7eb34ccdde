"""The certificates of the store's members, and where they lie on a master: as kubeadm has them.

Source: kubernetes, cmd/kubeadm/app/phases/certs/certlist.go.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509

from kubelab.cluster.apiserver.caller import MASTERS
from kubelab.cluster.apiserver.pki import (
    LOOPBACK,
    Authority,
    KeyPair,
    client_context,
    server_context,
)
from kubelab.cluster.machine.namespaced import NamespacedMachine
from kubelab.cluster.store.peer_connection import PeerTls

PKI_ON_MACHINE = "/etc/kubernetes/pki"
CLIENT_PORT = 2379
# With these the genuine etcdctl asks the member on its master, as it does by itself, and others by
# --endpoints: with a variable for those as well it would refuse that option.
ETCDCTL_ENVIRONMENT: Mapping[str, str] = {
    "ETCDCTL_API": "3",
    "ETCDCTL_CACERT": f"{PKI_ON_MACHINE}/etcd/ca.crt",
    "ETCDCTL_CERT": f"{PKI_ON_MACHINE}/etcd/healthcheck-client.crt",
    "ETCDCTL_KEY": f"{PKI_ON_MACHINE}/etcd/healthcheck-client.key",
}


@dataclass(frozen=True, slots=True)
class EtcdKeys:
    """Those of one master. `api_server` is for the API server as a client."""

    authority: Authority
    server: KeyPair
    peer: KeyPair
    health_check: KeyPair
    api_server: KeyPair

    @staticmethod
    def open(directory: Path, masters: Mapping[str, IPv4Address], now: datetime) -> "dict[str, EtcdKeys]":
        """Return each master's keys, of the authority in *directory*, which is made if there is none."""
        authority = Authority.open(directory, now, name="etcd-ca")
        health_check = authority.issue("healthcheck-client", "kube-etcd-healthcheck-client", [MASTERS])
        api_server = authority.issue("apiserver-etcd-client", "kube-apiserver-etcd-client", [MASTERS])
        return {
            name: EtcdKeys(
                authority,
                _member(authority, f"server-{name}", name, address),
                _member(authority, f"peer-{name}", name, address),
                health_check,
                api_server,
            )
            for name, address in masters.items()
        }

    def peer_tls(self) -> PeerTls:
        ca = self.authority.certificate_path
        return PeerTls(server_context(ca, self.peer), client_context(ca, self.peer))

    def server_tls(self) -> ssl.SSLContext:
        return server_context(self.authority.certificate_path, self.server)

    async def install(self, machine: NamespacedMachine) -> None:
        """Put all of them where `kubeadm init` does."""
        await machine.write_file(
            f"{PKI_ON_MACHINE}/etcd/ca.crt", self.authority.certificate_path.read_bytes()
        )
        pairs = {
            "etcd/server": self.server,
            "etcd/peer": self.peer,
            "etcd/healthcheck-client": self.health_check,
            "apiserver-etcd-client": self.api_server,
        }
        for name, pair in pairs.items():
            await machine.write_file(f"{PKI_ON_MACHINE}/{name}.crt", pair.certificate.read_bytes())
            await machine.write_file(f"{PKI_ON_MACHINE}/{name}.key", pair.key.read_bytes(), mode=0o600)


def _member(authority: Authority, file_name: str, name: str, address: IPv4Address) -> KeyPair:
    addresses = [x509.IPAddress(each) for each in (address, LOOPBACK)]
    names = [x509.DNSName(name), x509.DNSName("localhost"), *addresses]
    return authority.issue(file_name, name, names=names, calls=True)
