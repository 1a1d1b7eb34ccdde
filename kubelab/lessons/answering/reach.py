"""Answers `Reach` and `Probe`: pings, connects or requests from inside a network namespace."""

import asyncio
import errno
import secrets
import socket

import aiohttp

from kubelab.cluster.client.https import OpenSocket
from kubelab.cluster.errors import LabError
from kubelab.language import Text
from kubelab.lessons.answering import icmp
from kubelab.lessons.answering.answer import ask
from kubelab.lessons.answering.http import get, http_session
from kubelab.lessons.answering.sockets import sockets_at
from kubelab.lessons.checks.places import Place
from kubelab.lessons.checks.reach import CLOSED_PORT, Probe, Reach, Reply
from kubelab.lessons.lab import LabPort
from kubelab.lessons.observation import Unseen
from kubelab.lessons.view import sentence_of

TIMEOUT_S = 1.0
HTTP_TIMEOUT_S = 2.0

# What a network says when nobody can be reached; anything else means that we could not ask. A rule that drops
# what goes out says EPERM, and the routes `prohibit` and `blackhole` EACCES and EINVAL.
_NOBODY = {
    errno.EHOSTUNREACH,
    errno.ENETUNREACH,
    errno.ENETDOWN,
    errno.EHOSTDOWN,
    errno.ETIMEDOUT,
    errno.EPERM,
    errno.EACCES,
    errno.EINVAL,
}
_REFUSALS = {errno.ECONNREFUSED, errno.ECONNRESET}


@ask.register
async def _(question: Reach, lab: LabPort) -> bool | Unseen:
    probe = Probe(Place(question.machine), question.address, "tcp", CLOSED_PORT)
    reply = await ask(probe, lab)
    return reply if isinstance(reply, Unseen) else reply.outcome in ("open", "refused")


@ask.register
async def _(question: Probe, lab: LabPort) -> Reply | Unseen:
    try:
        with sockets_at(question.origin, lab) as open_socket:
            return await _reply(question, address_of(question.address, lab), open_socket)
    except LabError as error:
        return cannot_ask(question.origin, sentence_of(error))
    except OSError as error:
        return cannot_ask(question.origin, Text(str(error), str(error)))


def address_of(name: str, lab: LabPort) -> str:
    """Return *name* if it is an address, else that of the machine. Raises LabError if there is none."""
    if name.replace(".", "").isdecimal():
        return name
    if name not in lab.machines:
        raise LabError(Text(f"no hay máquina {name}", f"there is no machine {name}"))
    return str(lab.machines[name].address)


def cannot_ask(origin: Place, why: Text) -> Unseen:
    return Unseen(
        Text(
            f"no se pudo preguntar desde {origin.machine} ({why.es})",
            f"could not ask from {origin.machine} ({why.en})",
        )
    )


async def _reply(probe: Probe, address: str, open_socket: OpenSocket) -> Reply:
    if probe.by == "ping":
        return await _ping(address, open_socket)
    if probe.by == "tcp":
        return await _connect(address, probe.port, open_socket)
    return await _request(address, probe, open_socket)


async def _ping(address: str, open_socket: OpenSocket) -> Reply:
    identifier = secrets.randbits(16)
    with open_socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as opened:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                loop = asyncio.get_running_loop()
                await loop.sock_sendto(opened, icmp.echo(identifier, 1), (address, 0))
                while (said := icmp.answer(await loop.sock_recv(opened, 2048), identifier, 1)) is None:
                    continue
        except TimeoutError:
            return Reply("silence")
        except OSError as error:
            return _refusal(error)
        return Reply("unreachable", said) if said else Reply("echo")


async def _connect(address: str, port: int, open_socket: OpenSocket) -> Reply:
    with open_socket(socket.AF_INET, socket.SOCK_STREAM, 0) as opened:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await asyncio.get_running_loop().sock_connect(opened, (address, port))
        except TimeoutError:
            return Reply("silence")
        except OSError as error:
            return _refusal(error)
        return Reply("open")


async def _request(address: str, probe: Probe, open_socket: OpenSocket) -> Reply:
    async with http_session(open_socket, TIMEOUT_S, HTTP_TIMEOUT_S) as session:
        try:
            response = await get(session, address, probe.port, probe.path)
        except aiohttp.ConnectionTimeoutError:
            return Reply("silence")
        except aiohttp.ClientConnectorError as error:
            return _refusal(error.os_error)
        except (aiohttp.ClientError, TimeoutError):
            return Reply("no HTTP")
        return Reply("response", status=response.status, body=response.body)


def _refusal(error: OSError) -> Reply:
    """Return what *error* says of the network. Raises it again if that is nothing."""
    if error.errno in _REFUSALS:
        return Reply("refused")
    if error.errno in _NOBODY:
        return Reply("unreachable", error.strerror or str(error))
    raise error
