"""Pull from a registry.

Source: OCI distribution specification, "Pull"; distribution, docs/spec/auth/token.md (the Bearer dance of
docker.io) and RFC 7617 (Basic); containerd, core/remotes/docker. Plain HTTP is spoken with this machine
itself, and with others only where the caller says so. A redirect (blobs lie with a content network) takes no
password along to another host, and never leads from HTTPS to HTTP. A download that breaks off is resumed.
Left out: pushing, mirrors, client certificates, credential helpers.
"""

import asyncio
import base64
import ipaddress
import re
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import aiohttp
from yarl import URL

from kubelab.cluster.images import manifest
from kubelab.cluster.images.content import Content, Heartbeat, Ingest, wrong_digest
from kubelab.cluster.images.image import ImageError
from kubelab.cluster.images.manifest import Descriptor
from kubelab.cluster.images.reference import DOCKER_IO, Reference, is_digest, shown
from kubelab.cluster.linux.threads import in_thread
from kubelab.language import Text

CONNECT_TIMEOUT_S = 10.0
SILENCE_TIMEOUT_S = 30.0
TRIES_MAX = 5
FIRST_PAUSE_S = 0.1
REDIRECTS_MAX = 5
TOKENS_MAX = 5  # They expire during a long pull.
_DOCKER_HUB = "registry-1.docker.io"
_CHUNK = 1 << 20
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')
_ACCEPT = {"Accept": ", ".join(manifest.ACCEPTED)}
_NOBODY_THERE = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
_REDIRECTS = (301, 302, 303, 307, 308)

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Credentials:
    user: str
    password: str


class _TransientError(Exception):
    """Another try may do better."""


class Registry:
    """One repository, for one pull. Made by `connect`."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        reference: Reference,
        content: Content,
        credentials: Credentials | None,
        scheme: str,
    ) -> None:
        self._session = session
        self._reference = reference
        self._content = content
        self._credentials = credentials
        host = _DOCKER_HUB if reference.domain == DOCKER_IO else reference.domain
        self._base = URL(f"{scheme}://{host}/v2/{reference.path}/", encoded=True)
        self._authorization: dict[str, str] = {}
        self._login = asyncio.Lock()
        self._tokens = 0

    async def resolve(self) -> Descriptor:
        """Keep the manifest or index that the reference names in the store, and return its descriptor.

        Raises:
            ImageError: it is not there, or not to be had.
        """
        wanted = self._reference.digest or self._reference.tag
        found = await self._document(wanted)
        if self._reference.digest not in ("", found.digest):
            expected = Descriptor(found.media_type, self._reference.digest, found.size_bytes)
            raise wrong_digest(expected, found.digest, found.size_bytes)
        return found

    async def fetch(self, blob: Descriptor, tell: Heartbeat) -> None:
        """Bring a blob into the store, unless it is there.

        Raises:
            ImageError: it cannot be had, or is another than its digest says.
        """
        if await self._has(blob):
            return
        if blob.media_type in manifest.ACCEPTED:
            found = await self._document(blob.digest)
            if found.digest != blob.digest:
                raise wrong_digest(blob, found.digest, found.size_bytes)
            return
        with self._content.ingest() as ingest:
            await self._persist(lambda: self._download(blob, ingest, tell), patient=True)
            await in_thread(ingest.commit, blob)

    async def _document(self, wanted: str) -> Descriptor:
        """Keep a manifest in the store; one that is there already is but asked for, for some registries count
        what is taken."""
        known = await self._persist(lambda: self._head(wanted))
        if known is not None and await self._has(known):
            return known
        document, media_type = await self._persist(lambda: self._manifest(wanted))
        digest = await in_thread(self._content.put, document)
        return Descriptor(media_type, digest, len(document))

    async def _has(self, blob: Descriptor) -> bool:
        return await in_thread(self._content.has, blob)

    async def _head(self, wanted: str) -> Descriptor | None:
        """Return what the registry says of a manifest, None if it says too little: a GET tells why."""
        try:
            async with self._answer(self._base / "manifests" / wanted, _ACCEPT, method="HEAD") as answer:
                digest = answer.headers.get("Docker-Content-Digest")
                if not is_digest(digest) or answer.content_length is None:
                    return None
                return Descriptor(answer.content_type, str(digest), answer.content_length)
        except (ImageError, _TransientError):
            return None

    async def _manifest(self, wanted: str) -> tuple[bytes, str]:
        async with self._answer(self._base / "manifests" / wanted, _ACCEPT) as answer:
            document = await _read(answer, manifest.DOCUMENT_BYTES_MAX)
            return document, answer.content_type

    async def _download(self, blob: Descriptor, ingest: Ingest, tell: Heartbeat) -> None:
        """Go on with the blob where the last try ended."""
        headers = {"Range": f"bytes={ingest.size_bytes}-"} if ingest.size_bytes else {}
        async with self._answer(self._base / "blobs" / blob.digest, headers) as answer:
            if answer.status != 206 and ingest.size_bytes:
                tell(-ingest.size_bytes)
                ingest.start_again()
            async for chunk in _chunks(answer):
                if ingest.size_bytes + len(chunk) > blob.size_bytes:
                    raise ImageError(_LONGER.format(digest=blob.digest, size=blob.size_bytes))
                await in_thread(ingest.write, chunk)
                tell(len(chunk))
        if ingest.size_bytes < blob.size_bytes:
            raise _TransientError(f"{ingest.size_bytes} of {blob.size_bytes} bytes")

    async def _persist(self, attempt: Callable[[], Awaitable[_Result]], *, patient: bool = False) -> _Result:
        """Try again what may come right. Nobody there at all is final, unless he answered before
        (*patient*)."""
        pause_s, why = FIRST_PAUSE_S, ""
        for _ in range(TRIES_MAX):
            try:
                return await attempt()
            except (_TransientError, aiohttp.ClientError, TimeoutError) as error:
                why = str(error) or "timeout"
                if isinstance(error, _NOBODY_THERE) and not patient:
                    break
            await asyncio.sleep(pause_s)
            pause_s *= 2
        raise self._failed(_UNREACHABLE, why)

    @asynccontextmanager
    async def _answer(
        self, url: URL, headers: Mapping[str, str], *, method: str = "GET"
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Yield the good answer to a request, logged in and redirected as needs be."""
        for _ in range(REDIRECTS_MAX + 2):
            ours = url.origin() == self._base.origin()
            authorization = dict(self._authorization) if ours else {}
            sent = {**headers, **authorization}
            async with self._session.request(
                method, url, headers=sent, allow_redirects=False, proxy=_proxy(url)
            ) as answer:
                if answer.status in _REDIRECTS:
                    url = self._redirected(url, answer)
                elif answer.status == 401 and ours and authorization == self._authorization:
                    await self._log_in(answer, authorization)
                else:
                    await self._check(answer)
                    yield answer
                    return
        raise self._failed(_REFUSED, "too many redirects")

    def _redirected(self, url: URL, answer: aiohttp.ClientResponse) -> URL:
        try:
            target = url.join(URL(answer.headers.get("Location", ""), encoded=True))
        except ValueError:
            raise self._failed(_REFUSED, "Location") from None
        if target.scheme not in ("http", "https") or (url.scheme == "https" and target.scheme == "http"):
            raise self._failed(_REFUSED, f"redirect to {target}")
        return target

    async def _check(self, answer: aiohttp.ClientResponse) -> None:
        if answer.status in (200, 206):
            return
        if answer.status >= 500 or answer.status in (408, 429):
            raise _TransientError(f"{answer.status} {answer.reason}")
        why = _error_of(await _read(answer, manifest.DOCUMENT_BYTES_MAX)) or f"{answer.reason}"
        sentences = {404: _NOT_FOUND, 401: _UNAUTHORIZED, 403: _UNAUTHORIZED}
        raise self._failed(sentences.get(answer.status, _REFUSED), f"{answer.status} {why}")

    async def _log_in(self, answer: aiohttp.ClientResponse, used: Mapping[str, str]) -> None:
        """Answer the challenge, once: what was refused after that is refused."""
        challenge = answer.headers.get("WWW-Authenticate", "")
        async with self._login:
            if used != self._authorization:
                return  # Somebody else has logged in meanwhile.
            if used and not used["Authorization"].startswith("Bearer "):
                raise self._failed(_UNAUTHORIZED, "401")
            scheme, _, rest = challenge.partition(" ")
            parameters = dict(_PARAMETER.findall(rest))
            if scheme.lower() == "bearer" and "realm" in parameters and self._tokens < TOKENS_MAX:
                self._tokens += 1
                self._authorization = {"Authorization": f"Bearer {await self._token(parameters)}"}
            elif scheme.lower() == "basic" and self._credentials:
                self._authorization = _basic(self._credentials)
            else:
                raise self._failed(_UNAUTHORIZED, "401")

    async def _token(self, challenge: Mapping[str, str]) -> str:
        realm = URL(challenge["realm"])
        if realm.scheme not in ("http", "https") or (self._base.scheme == "https" and realm.scheme == "http"):
            raise self._failed(_REFUSED, f"realm {realm}")
        asked = {"scope": challenge.get("scope", f"repository:{self._reference.path}:pull")}
        if service := challenge.get("service"):
            asked["service"] = service
        headers = _basic(self._credentials) if self._credentials else {}
        async with self._session.get(
            realm.update_query(asked), headers=headers, allow_redirects=False, proxy=_proxy(realm)
        ) as answer:
            await self._check(answer)
            document = manifest.load(await _read(answer, manifest.DOCUMENT_BYTES_MAX), "token")
        token = document.get("token") or document.get("access_token")
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise self._failed(_UNAUTHORIZED, "token")
        return token

    def _failed(self, sentence: Text, why: str) -> ImageError:
        return ImageError(sentence.format(image=self._reference, host=self._base.authority, why=shown(why)))


@asynccontextmanager
async def connect(
    reference: Reference, content: Content, *, credentials: Credentials | None = None, insecure: bool = False
) -> AsyncIterator[Registry]:
    """Yield the registry of *reference*; *insecure*: by plain HTTP, wherever it is."""
    scheme = "http" if insecure or is_this_machine(reference.domain) else "https"
    timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_TIMEOUT_S, sock_read=SILENCE_TIMEOUT_S)
    # Blobs travel as they are: their digest is of what comes, and a bomb is to be unpacked by us alone.
    headers = {"Accept-Encoding": "identity"}
    async with aiohttp.ClientSession(timeout=timeout, headers=headers, auto_decompress=False) as session:
        yield Registry(session, reference, content, credentials, scheme)


def is_this_machine(domain: str) -> bool:
    host = URL(f"http://{domain}").host or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def _chunks(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Yield the body in large pieces, for each costs a hop to a thread; if it breaks off, what came first."""
    gathered = bytearray()
    failure: Exception | None = None
    try:
        async for chunk in answer.content.iter_any():
            gathered += chunk
            if len(gathered) >= _CHUNK:
                yield bytes(gathered)
                gathered.clear()
    except (aiohttp.ClientError, TimeoutError) as error:
        failure = error
    if gathered:
        yield bytes(gathered)
    if failure:
        raise failure


async def _read(answer: aiohttp.ClientResponse, bytes_max: int) -> bytes:
    found = bytearray()
    async for chunk in answer.content.iter_any():
        found += chunk
        if len(found) > bytes_max:
            raise manifest.malformed("manifest", f"> {bytes_max} bytes")
    return bytes(found)


def _basic(credentials: Credentials) -> dict[str, str]:
    packed = base64.b64encode(f"{credentials.user}:{credentials.password}".encode())
    return {"Authorization": f"Basic {packed.decode()}"}


def _proxy(url: URL) -> str | None:
    """Return the proxy that the environment names for this address."""
    host = url.host or ""
    if is_this_machine(host) or urllib.request.proxy_bypass(host):
        return None
    return urllib.request.getproxies().get(url.scheme)


def _error_of(document: bytes) -> str:
    """Return the message in a registry's error, if it is one."""
    try:
        errors: Any = manifest.load(document, "error").get("errors")
        return str(errors[0]["message"] or errors[0]["code"])
    except (ImageError, LookupError, TypeError):
        return ""


_UNREACHABLE = Text(
    es='failed to pull image "{image}": no se alcanza el registro {host} ({why}): comprueba la red, o usa '
    "una imagen del laboratorio, como kubelab/shell",
    en='failed to pull image "{image}": the registry {host} cannot be reached ({why}): check the network, or '
    "use an image of the lab's, such as kubelab/shell",
)
_NOT_FOUND = Text(
    es='failed to pull image "{image}": not found: el registro {host} no la tiene ({why}), revisa su nombre',
    en='failed to pull image "{image}": not found: the registry {host} does not have it ({why}), check its '
    "name",
)
_UNAUTHORIZED = Text(
    es='failed to pull image "{image}": el registro {host} no te la da ({why}): revisa el nombre, o da '
    "usuario y contraseña",
    en='failed to pull image "{image}": the registry {host} does not let you ({why}): check the name, or '
    "give user and password",
)
_REFUSED = Text(
    es='failed to pull image "{image}": el registro {host} responde algo inaceptable ({why}): usa otro',
    en='failed to pull image "{image}": the registry {host} gives an unacceptable answer ({why}): use '
    "another",
)
_LONGER = Text(
    es="el blob {digest} tiene más de {size} bytes: está dañado o falsificado",
    en="the blob {digest} has more than {size} bytes: it is damaged or forged",
)
