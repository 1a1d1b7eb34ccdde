"""A real registry (Debian's docker-registry) on loopback, as long as a test; and ways to make it awkward."""

import asyncio
import base64
import json
import os
import shutil
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID
from image_files import Made
from own_addresses import own_address

NAME = "docker-registry"
# `make setup-dev` unpacks it beside the interpreter.
PROGRAM = shutil.which(NAME, path=f"{Path(sys.executable).parent}:{os.defpath}")
USER, PASSWORD = "learner", "secret"
# The password by bcrypt, the only scheme that the registry takes.
HTPASSWD = f"{USER}:$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n"


@asynccontextmanager
async def registry(path: Path, auth: Mapping[str, object] | None = None) -> AsyncIterator[str]:
    """Yield the host and port of a registry that keeps its images below *path*."""
    if PROGRAM is None:
        pytest.skip(f"needs {NAME}: make setup-dev")
    address = f"{own_address()}:5000"
    config = {
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(path / "registry")}},
        "http": {"addr": address},
        **({"auth": auth} if auth else {}),
    }
    (path / "config.yml").write_text(json.dumps(config))
    with (path / "registry.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            PROGRAM, "serve", str(path / "config.yml"), stdout=log, stderr=log
        )
    try:
        await _answers(address, process)
        yield address
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _answers(address: str, process: asyncio.subprocess.Process) -> None:
    host, port = address.split(":")
    while process.returncode is None:
        try:
            _, writer = await asyncio.open_connection(host, int(port))
        except OSError:
            await asyncio.sleep(0.01)
        else:
            writer.close()
            await writer.wait_closed()
            return
    raise RuntimeError(f"{NAME} ended with {process.returncode}")


async def push(address: str, repository: str, tag: str, image: Made, headers: Mapping[str, str] = {}) -> None:
    """Push as the distribution specification has it: blobs in one piece each, then the manifest."""
    manifest_digest = str(image.manifest["digest"])
    base = f"http://{address}/v2/{repository}"
    async with aiohttp.ClientSession(headers=dict(headers), raise_for_status=True) as session:
        for digest, blob in image.blobs.items():
            document = json.loads(blob) if blob.startswith(b"{") else {}
            if "schemaVersion" in document:
                continue
            async with session.post(f"{base}/blobs/uploads/") as begun:
                location = begun.headers["Location"]
            joined = f"{location}{'&' if '?' in location else '?'}digest={digest}"
            async with session.put(joined, data=blob):
                pass
        for digest, blob in sorted(image.blobs.items(), key=lambda each: each[0] == manifest_digest):
            document = json.loads(blob) if blob.startswith(b"{") else {}
            if "schemaVersion" in document:
                named = tag if digest == manifest_digest else digest
                kind = {"Content-Type": document["mediaType"]}
                async with session.put(f"{base}/manifests/{named}", data=blob, headers=kind):
                    pass


@dataclass
class Awkward:
    """A proxy before a registry. The first *cuts* answers with a blob are cut off half way; once it is to
    *hang*, blobs stop there for ever; with *elsewhere* blobs are redirected to that address."""

    upstream: str
    cuts: int = 0
    hang: bool = False
    forge: bool = False
    elsewhere: str = ""
    ranges: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    hanging: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(f"{request.method} {request.path}")
        is_blob = "/blobs/" in request.path
        if is_blob and self.elsewhere:
            raise web.HTTPTemporaryRedirect(f"http://{self.elsewhere}{request.path}")
        wanted = {"Range", "Accept", "Authorization"}
        headers = {name: value for name, value in request.headers.items() if name in wanted}
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.request(
                request.method, f"http://{self.upstream}{request.path}", headers=headers
            ) as found,
        ):
            body = await found.read()
            length = len(body) if request.method == "GET" else int(found.headers["Content-Length"])
        if self.forge and is_blob:
            body = body[:-1] + bytes([body[-1] ^ 1])
        kept = {"Content-Type", "Content-Range", "WWW-Authenticate", "Docker-Content-Digest"}
        answer = web.StreamResponse(
            status=found.status, headers={name: found.headers[name] for name in kept if name in found.headers}
        )
        answer.content_length = length
        await answer.prepare(request)
        if is_blob:
            self.ranges.append(request.headers.get("Range", ""))
        if is_blob and (self.hang or self.cuts):
            await self._break_off(request, answer, body)
        else:
            await answer.write(body)
        return answer

    async def _break_off(self, request: web.Request, answer: web.StreamResponse, body: bytes) -> None:
        await answer.write(body[: len(body) // 2])
        if self.hang:
            self.hanging.set()
            await asyncio.Event().wait()
        self.cuts -= 1
        assert request.transport is not None
        request.transport.close()


@asynccontextmanager
async def served(handler: web.Application | Awkward) -> AsyncIterator[str]:
    """Yield the host and port at which it is served on loopback."""
    app = handler if isinstance(handler, web.Application) else web.Application()
    if isinstance(handler, Awkward):
        app.router.add_route("*", "/{path:.*}", handler.answer)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield "{}:{}".format(*runner.addresses[0])
    finally:
        await runner.cleanup()


@dataclass
class TokenServer:
    """Gives out the tokens that a registry with `auth: token` wants; *logins* are those who asked for one."""

    path: Path
    address: str = ""
    logins: list[str | None] = field(default_factory=list)
    scopes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "issuer")])
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder(name, name, self.key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(hours=1))
        self.certificate = builder.sign(self.key, hashes.SHA256())
        (self.path / "root.pem").write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def auth(self) -> dict[str, object]:
        return {
            "token": {
                "realm": f"http://{self.address}/token",
                "service": "the registry",
                "issuer": "issuer",
                "rootcertbundle": str(self.path / "root.pem"),
            }
        }

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.logins.append(request.headers.get("Authorization"))
        scope = request.query.get("scope", "")
        self.scopes.append(scope)
        assert request.query["service"] == "the registry"
        _, repository, actions = scope.split(":")
        return web.json_response({"token": self.token(repository, actions.split(","))})

    def token(self, repository: str, actions: list[str]) -> str:
        certificate = self.certificate.public_bytes(serialization.Encoding.DER)
        header = {"typ": "JWT", "alg": "ES256", "x5c": [base64.b64encode(certificate).decode()]}
        now = int(time.time())
        access = [{"type": "repository", "name": repository, "actions": actions}]
        times = {"iat": now, "nbf": now - 10, "exp": now + 300}
        names = {"iss": "issuer", "sub": "", "aud": "the registry", "jti": "1"}
        claims = {**names, **times, "access": access}
        signed = ".".join(_packed(json.dumps(part).encode()) for part in (header, claims))
        r, s = decode_dss_signature(self.key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_packed(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def _packed(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
