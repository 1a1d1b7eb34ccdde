"""The lab's certificate authority, and the certificates that its components know each other by.

Source: https://kubernetes.io/docs/setup/best-practices/certificates/ (names and groups). Keys are P-256: made
in less than a millisecond each. Files are readable by their owner alone.
Left out: a separate authority for the front proxy; rotation of authorities (as kubeadm, they last ten years;
all other certificates are made anew with each start).
"""

import os
import ssl
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kubelab.cluster.apiserver.authentication.jwt import SigningKey
from kubelab.cluster.apiserver.caller import CONTROLLER_MANAGER, MASTERS, NODES, SCHEDULER
from kubelab.cluster.errors import LabError
from kubelab.language import Text

VALIDITY = timedelta(days=365)
AUTHORITY_VALIDITY = timedelta(days=3650)
_BACKDATED = timedelta(minutes=5)  # Clocks of virtual machines may lag.
CLUSTER_DOMAIN = "cluster.local"
SERVER_NAMES = (
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    f"kubernetes.default.svc.{CLUSTER_DOMAIN}",
    "localhost",
)
SERVICE_ADDRESS = IPv4Address("10.96.0.1")
LOOPBACK = IPv4Address("127.0.0.1")
_PURPOSES = {
    "any": ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
    "server auth": ExtendedKeyUsageOID.SERVER_AUTH,
    "client auth": ExtendedKeyUsageOID.CLIENT_AUTH,
    "code signing": ExtendedKeyUsageOID.CODE_SIGNING,
    "email protection": ExtendedKeyUsageOID.EMAIL_PROTECTION,
    "timestamping": ExtendedKeyUsageOID.TIME_STAMPING,
    "ocsp signing": ExtendedKeyUsageOID.OCSP_SIGNING,
}


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate and its private key, as PEM files."""

    certificate: Path
    key: Path


class Authority:
    """A certificate authority whose files live in *directory*: `create` makes them, `open` reads them."""

    def __init__(
        self, directory: Path, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate, now: datetime
    ) -> None:
        self.directory = directory
        self.certificate_path = directory / "ca.crt"
        self._key = key
        self._certificate = certificate
        self._now = now

    @classmethod
    def open(cls, directory: Path, now: datetime, *, name: str = "kubernetes") -> "Authority":
        """Return the authority whose files are in *directory*; without them a new one."""
        try:
            key = _loaded(directory / "ca.key")
            certificate = x509.load_pem_x509_certificate((directory / "ca.crt").read_bytes())
        except FileNotFoundError:
            return cls.create(directory, now, name=name)
        return cls(directory, key, certificate, now)

    @classmethod
    def create(cls, directory: Path, now: datetime, *, name: str = "kubernetes") -> "Authority":
        """Make a new authority and write its files into *directory*, which is made if it is missing."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        key, own_name = ec.generate_private_key(ec.SECP256R1()), _name(name)
        certificate = (
            _builder(own_name, own_name, key.public_key(), now, AUTHORITY_VALIDITY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        authority = cls(directory, key, certificate, now)
        authority._write("ca", key, certificate)
        return authority

    def apiserver(
        self,
        addresses: Iterable[IPv4Address] = (),
        names: Iterable[str] = (),
        *,
        file_name: str = "apiserver",
    ) -> KeyPair:
        """Return the API server's certificate for its *addresses* beside loopback and the service's own."""
        all_addresses = dict.fromkeys((LOOPBACK, SERVICE_ADDRESS, *addresses))
        sans = [x509.DNSName(name) for name in dict.fromkeys((*SERVER_NAMES, *names))]
        return self.issue(file_name, "kube-apiserver", names=[*sans, *map(x509.IPAddress, all_addresses)])

    def kubelet_server(self, node: str, addresses: Iterable[IPv4Address]) -> KeyPair:
        """Return the certificate that a kubelet's own HTTPS server shows."""
        sans = [x509.DNSName(node), *map(x509.IPAddress, addresses)]
        return self.issue(f"kubelet-server-{node}", f"system:node:{node}", [NODES], names=sans)

    def admin(self) -> KeyPair:
        return self.issue("admin", "kubernetes-admin", [MASTERS])

    def kubelet(self, node: str) -> KeyPair:
        return self.issue(f"kubelet-{node}", f"system:node:{node}", [NODES])

    def scheduler(self) -> KeyPair:
        return self.issue("scheduler", SCHEDULER)

    def controller_manager(self) -> KeyPair:
        return self.issue("controller-manager", CONTROLLER_MANAGER)

    def apiserver_kubelet_client(self) -> KeyPair:
        return self.issue("apiserver-kubelet-client", "kube-apiserver-kubelet-client", [MASTERS])

    def store_member(self, machine: str, addresses: Iterable[IPv4Address]) -> KeyPair:
        """Return what a member of the store shows to clients, and to the others as their client."""
        sans = [x509.DNSName(machine), *map(x509.IPAddress, dict.fromkeys((LOOPBACK, *addresses)))]
        return self.issue(f"etcd-{machine}", machine, names=sans, calls=True)

    def store_client(self) -> KeyPair:
        return self.issue("apiserver-etcd-client", "kube-apiserver-etcd-client", [MASTERS])

    def service_accounts(self) -> SigningKey:
        """Return the key that signs the service accounts' tokens: `sa.key`, made with `sa.pub` if missing."""
        with suppress(FileNotFoundError):
            return SigningKey(_loaded(self.directory / "sa.key"))
        key = SigningKey.generate()
        spki = serialization.PublicFormat.SubjectPublicKeyInfo
        public = key.private.public_key().public_bytes(serialization.Encoding.PEM, spki)
        _write_private(self.directory / "sa.pub", public)
        _write_private(self.directory / "sa.key", _pem(key.private))
        return key

    def issue(
        self,
        file_name: str,
        common_name: str,
        organizations: Sequence[str] = (),
        *,
        names: Sequence[x509.GeneralName] = (),
        calls: bool = False,
    ) -> KeyPair:
        """Make a certificate: for a server if it has *names*, else for a client; *calls*: the server is one
        too."""
        key = ec.generate_private_key(ec.SECP256R1())
        usages = [ExtendedKeyUsageOID.SERVER_AUTH] if names else []
        if calls or not names:
            usages.append(ExtendedKeyUsageOID.CLIENT_AUTH)
        builder = (
            _builder(
                _name(common_name, organizations), self._certificate.subject, key.public_key(), self._now
            )
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return self._write(file_name, key, builder.sign(self._key, hashes.SHA256()))

    def sign_request(
        self, request_pem: bytes, usages: Sequence[str], lasting: timedelta, now: datetime
    ) -> bytes:
        """Return the certificate (PEM) that a request asks for, for *usages* as Kubernetes names them.

        What else it asks for, but for its subject and alternative names, is not given. A certificate does not
        outlive the authority's.
        """
        request = x509.load_pem_x509_csr(request_pem)
        builder = (
            x509.CertificateBuilder()
            .subject_name(request.subject)
            .issuer_name(self._certificate.subject)
            .public_key(request.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _BACKDATED)
            .not_valid_after(min(now + lasting, self._certificate.not_valid_after_utc))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
        )
        if (key_usage := _key_usage_of(usages)) != _NO_KEY_USAGE:  # One without any is good for nothing.
            builder = builder.add_extension(key_usage, critical=True)
        if purposes := [_PURPOSES[usage] for usage in usages if usage in _PURPOSES]:
            builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        with suppress(x509.ExtensionNotFound):
            names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName)
            builder = builder.add_extension(names.value, critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        return certificate.public_bytes(serialization.Encoding.PEM)

    def _write(self, name: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> KeyPair:
        pair = KeyPair(self.directory / f"{name}.crt", self.directory / f"{name}.key")
        _write_private(pair.certificate, certificate.public_bytes(serialization.Encoding.PEM))
        _write_private(pair.key, _pem(key))
        return pair


def server_context(
    authority: Path, pair: KeyPair, clients: ssl.VerifyMode = ssl.CERT_REQUIRED
) -> ssl.SSLContext:
    """Return TLS for a server that wants a certificate of *authority* from its *clients*.

    The API server lets one without in (CERT_OPTIONAL), to tell it 401 in words.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    context.load_verify_locations(authority)
    context.verify_mode = clients
    context.set_alpn_protocols(["http/1.1"])
    return context


def client_context(authority: Path, pair: KeyPair) -> ssl.SSLContext:
    """Return TLS for a client that shows *pair* and trusts *authority* alone."""
    context = ssl.create_default_context(cafile=str(authority))
    context.load_cert_chain(pair.certificate, pair.key)
    return context


def _name(common_name: str, organizations: Sequence[str] = ()) -> x509.Name:
    groups = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, each) for each in organizations]
    return x509.Name([*groups, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    now: datetime,
    validity: timedelta = VALIDITY,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + validity)
    )


def _key_usage_of(usages: Sequence[str]) -> x509.KeyUsage:
    """Return what *usages*, as Kubernetes names them, let a key do."""
    agreement = "key agreement" in usages
    return x509.KeyUsage(
        digital_signature=bool({"signing", "digital signature"} & set(usages)),
        content_commitment="content commitment" in usages,
        key_encipherment="key encipherment" in usages,
        data_encipherment="data encipherment" in usages,
        key_agreement=agreement,
        key_cert_sign="cert sign" in usages,
        crl_sign="crl sign" in usages,
        encipher_only=agreement and "encipher only" in usages,
        decipher_only=agreement and "decipher only" in usages,
    )


_NO_KEY_USAGE = _key_usage_of(())


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _loaded(path: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise LabError(_FOREIGN_KEY.format(path=path))
    return key


def _write_private(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(content)


_FOREIGN_KEY = Text(
    es="La clave {path} no es del laboratorio: empieza de nuevo con `kubelab up --fresh`.",
    en="The key {path} is not the lab's: begin anew with `kubelab up --fresh`.",
)
