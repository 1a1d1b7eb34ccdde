"""Kubeconfig files: where a cluster is and how to prove to it who one is.

Source: kubernetes, client-go/tools/clientcmd/api/v1/types.go. What we write has all certificates embedded, so
that it can be copied to any machine, and is readable by its owner alone.
Left out: merging several files, users of `exec` plugins and auth providers, user name and password, proxies.
"""

import base64
import binascii
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from kubelab.cluster.errors import LabError
from kubelab.language import Text

# A cluster's entry names one server. More of them stand in an extension, which kubectl keeps and ignores.
_SERVERS = "kubelab.servers"


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """`server` is a URL, and `other_servers` those of its like that serve the same cluster.

    Without `ca_pem`, the system's certificate authorities count. `tls_server_name` is the name that the
    server's certificate must have, when it is not the one in the URL.
    """

    server: str
    ca_pem: bytes = b""
    certificate_pem: bytes = b""
    key_pem: bytes = b""
    token: str = ""
    namespace: str = "default"
    tls_server_name: str = ""
    insecure_skip_tls_verify: bool = False
    other_servers: tuple[str, ...] = ()


def render(config: ClientConfig, *, name: str = "kubelab", user: str = "kubernetes-admin") -> str:
    """Return a kubeconfig with *config* as its only and current context."""
    cluster = {
        "server": config.server,
        "certificate-authority-data": _encoded(config.ca_pem),
        "tls-server-name": config.tls_server_name,
        "insecure-skip-tls-verify": config.insecure_skip_tls_verify,
        "extensions": _servers_extension(config.other_servers),
    }
    credentials = {
        "client-certificate-data": _encoded(config.certificate_pem),
        "client-key-data": _encoded(config.key_pem),
        "token": config.token,
    }
    context = {"cluster": name, "user": user, "namespace": config.namespace}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": _set_ones(cluster)}],
        "users": [{"name": user, "user": _set_ones(credentials)}],
        "contexts": [{"name": f"{user}@{name}", "context": context}],
        "current-context": f"{user}@{name}",
    }
    return yaml.safe_dump(document, sort_keys=False, width=2**20)


def write(path: Path, config: ClientConfig, *, name: str = "kubelab", user: str = "kubernetes-admin") -> None:
    """Write a kubeconfig; it is there as a whole or not at all, and mode 0600 from the start."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(render(config, name=name, user=user))
        Path(temporary).replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise


def read(path: Path, *, context: str = "") -> ClientConfig:
    """Return what the kubeconfig says of *context*, or of its current one.

    Raises:
        LabError: the file cannot be read, or does not say enough.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LabError(_UNREADABLE.format(path=path, reason=error)) from None
    return parse(text, path, context=context)


def parse(text: str, path: Path, *, context: str = "") -> ClientConfig:
    """As `read`, of the *text* of the file at *path*, to whose directory the paths in it are relative."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise LabError(_UNREADABLE.format(path=path, reason=" ".join(str(error).split()))) from None
    if not isinstance(document, dict):
        raise LabError(_UNREADABLE.format(path=path, reason="not a YAML mapping"))
    return _Kubeconfig(path, document).config(context or str(document.get("current-context") or ""))


class _Kubeconfig:
    def __init__(self, path: Path, document: Mapping[str, Any]) -> None:
        self._path = path
        self._document = document

    def config(self, context_name: str) -> ClientConfig:
        context = self._entry("context", context_name)
        cluster = self._entry("cluster", context.get("cluster"))
        user = self._entry("user", context.get("user")) if context.get("user") else {}
        self._refuse_foreign_credentials(user, str(context.get("user")))
        return ClientConfig(
            server=str(cluster.get("server", "")).rstrip("/"),
            ca_pem=self._pem(cluster, "certificate-authority"),
            certificate_pem=self._pem(user, "client-certificate"),
            key_pem=self._pem(user, "client-key"),
            token=str(user.get("token") or self._token_file(user)),
            namespace=str(context.get("namespace") or "default"),
            tls_server_name=str(cluster.get("tls-server-name") or ""),
            insecure_skip_tls_verify=cluster.get("insecure-skip-tls-verify") is True,
            other_servers=_other_servers(cluster),
        )

    def _entry(self, noun: str, name: object) -> Mapping[str, Any]:
        """Return what the list of *noun*s has under *name*."""
        entries = self._document.get(f"{noun}s")
        for entry in entries if isinstance(entries, list) else ():
            if isinstance(entry, dict) and entry.get("name") == name and isinstance(entry.get(noun), dict):
                found: Mapping[str, Any] = entry[noun]
                return found
        raise LabError(_NO_ENTRY.format(path=self._path, noun=noun, name=name or ""))

    def _refuse_foreign_credentials(self, user: Mapping[str, Any], name: str) -> None:
        for method in ("exec", "auth-provider", "username"):
            if method in user:
                raise LabError(_FOREIGN_CREDENTIALS.format(path=self._path, user=name, method=method))

    def _pem(self, entry: Mapping[str, Any], name: str) -> bytes:
        """Return the embedded data or the content of the file; the data come first, as upstream has it."""
        if data := entry.get(f"{name}-data"):
            try:
                return base64.b64decode(str(data), validate=True)
            except binascii.Error as error:
                raise LabError(_UNREADABLE.format(path=self._path, reason=f"{name}-data: {error}")) from None
        return self._file(str(entry[name])) if entry.get(name) else b""

    def _token_file(self, user: Mapping[str, Any]) -> str:
        return self._file(str(user["tokenFile"])).decode().strip() if user.get("tokenFile") else ""

    def _file(self, name: str) -> bytes:
        path = self._path.parent / name
        try:
            return path.read_bytes()
        except OSError as error:
            raise LabError(_UNREADABLE.format(path=path, reason=error.strerror)) from None


def _servers_extension(urls: tuple[str, ...]) -> list[dict[str, Any]]:
    return [{"name": _SERVERS, "extension": {"servers": list(urls)}}] if urls else []


def _other_servers(cluster: Mapping[str, Any]) -> tuple[str, ...]:
    for entry in cluster.get("extensions") or ():
        if entry.get("name") == _SERVERS:
            return tuple(str(url).rstrip("/") for url in (entry.get("extension") or {}).get("servers") or ())
    return ()


def _encoded(pem: bytes) -> str:
    return base64.b64encode(pem).decode()


def _set_ones(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if value}


_UNREADABLE = Text(
    es="No se puede leer {path}: {reason}. Indica otro kubeconfig con KUBECONFIG.",
    en="Cannot read {path}: {reason}. Name another kubeconfig with KUBECONFIG.",
)
_NO_ENTRY = Text(
    es='El kubeconfig {path} no tiene {noun} "{name}". Mira cuáles hay con `kubectl config view`.',
    en='The kubeconfig {path} has no {noun} "{name}". See which there are with `kubectl config view`.',
)
_FOREIGN_CREDENTIALS = Text(
    es='El usuario "{user}" de {path} se identifica con `{method}`, que kubelab no sabe usar. '
    "Crea un usuario con certificado o token.",
    en='The user "{user}" of {path} proves itself by `{method}`, which kubelab cannot use. '
    "Make a user with a certificate or a token.",
)
