"""The store behind a real etcd, opened: one that is there already, or the members on the masters.

The certificate for an etcd that is there already is named as for etcdctl: ETCDCTL_CACERT, ETCDCTL_CERT and
ETCDCTL_KEY.
Source: etcd, etcdctl/README.md. 3.4 is the oldest that lets a watch have a number of its client's choice.
"""

import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from kubelab.cluster.errors import LabError
from kubelab.cluster.store.etcd_client import EtcdClient, open_client
from kubelab.cluster.store.etcd_client_endpoints import Endpoint, client_tls, plain_socket
from kubelab.cluster.store.requests import Range
from kubelab.cluster.store.service import NoLeaderError, StoreError
from kubelab.language import Text

OLDEST = (3, 4)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files of a client; without `ca` this host's authorities are trusted."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    @staticmethod
    def named_in(environment: Mapping[str, str] = os.environ) -> "TlsFiles":
        names = ("ETCDCTL_CACERT", "ETCDCTL_CERT", "ETCDCTL_KEY")
        return TlsFiles(*(Path(value) if (value := environment.get(name)) else None for name in names))

    def context(self) -> ssl.SSLContext:
        """Raises LabError: a file cannot be read, or is not what it should be."""
        files = [str(path) if path else None for path in (self.ca, self.certificate, self.key)]
        try:
            return client_tls(*files)
        except OSError as error:  # ssl's errors are OSErrors.
            named = ", ".join(file for file in files if file)
            raise LabError(_FILES.format(files=named, why=error.strerror or error)) from error


@asynccontextmanager
async def open_etcd(
    urls: Sequence[str],
    files: TlsFiles | None = None,
    dial: Callable[[], socket.socket] = plain_socket,
) -> AsyncIterator[EtcdClient]:
    """Yield a client of the etcd at *urls*; the first one is asked first. *dial* opens its sockets.

    Raises:
        LabError: that is no etcd that the lab can use now, and why.
    """
    endpoints = [Endpoint.parse(url) for url in urls]
    is_secret = any(endpoint.scheme == "https" for endpoint in endpoints)
    tls = (files or TlsFiles.named_in()).context() if is_secret else None
    named = ", ".join(map(str, endpoints))
    async with AsyncExitStack() as stack:
        try:
            client = await stack.enter_async_context(open_client(endpoints, tls, dial))
            status = await client.status()
            await client.range(Range(b"\0", count_only=True))
        except NoLeaderError as error:
            raise LabError(_UNREACHABLE.format(urls=named)) from error
        except StoreError as error:
            raise LabError(_REFUSED.format(urls=named, why=error)) from error
        if _version(status.version) < OLDEST:
            raise LabError(_TOO_OLD.format(urls=named, version=status.version))
        yield client


def _version(words: str) -> tuple[int, ...]:
    major, minor, *_ = (*words.split("."), "0", "0")
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else (0, 0)


_FILES = Text(
    es="No sirven los certificados {files} ({why}): revisa ETCDCTL_CACERT, ETCDCTL_CERT y ETCDCTL_KEY.",
    en="The certificates {files} are no good ({why}): look at ETCDCTL_CACERT, ETCDCTL_CERT and ETCDCTL_KEY.",
)
_UNREACHABLE = Text(
    es="No responde ningún etcd en {urls}: comprueba que está en marcha, que tiene líder y que acepta el "
    "certificado que dicen ETCDCTL_CACERT, ETCDCTL_CERT y ETCDCTL_KEY.",
    en="No etcd answers at {urls}: see that it runs, that it has a leader and that it takes the certificate "
    "that ETCDCTL_CACERT, ETCDCTL_CERT and ETCDCTL_KEY name.",
)
_REFUSED = Text(
    es="El etcd de {urls} no deja usarlo ({why}): revisa qué puede este certificado.",
    en="The etcd at {urls} does not let itself be used ({why}): see what this certificate may.",
)
_TOO_OLD = Text(
    es="El etcd de {urls} es de la versión {version}: hace falta 3.4 o posterior.",
    en="The etcd at {urls} is of version {version}: 3.4 or later is needed.",
)
