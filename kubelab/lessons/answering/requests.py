"""Answers `Requests`: sends them one after the other, each by a new connection, and tallies who answered."""

from collections import Counter

import aiohttp

from kubelab.cluster.client.https import OpenSocket
from kubelab.cluster.errors import LabError
from kubelab.lessons.answering.answer import ask
from kubelab.lessons.answering.http import Response, get, http_session
from kubelab.lessons.answering.reach import TIMEOUT_S, address_of, cannot_ask
from kubelab.lessons.answering.sockets import sockets_at
from kubelab.lessons.checks.service import Requests, Tally
from kubelab.lessons.lab import LabPort
from kubelab.lessons.observation import Unseen
from kubelab.lessons.view import sentence_of

_BAD_REQUEST = 400


@ask.register
async def _(question: Requests, lab: LabPort) -> Tally | Unseen:
    try:
        with sockets_at(question.origin, lab) as open_socket:
            return await _tally(question, address_of(question.address, lab), open_socket)
    except LabError as error:
        return cannot_ask(question.origin, sentence_of(error))


async def _tally(question: Requests, address: str, open_socket: OpenSocket) -> Tally:
    reached: Counter[str] = Counter()
    errors: list[str] = []
    sent = 0
    async with http_session(open_socket, TIMEOUT_S, TIMEOUT_S) as session:
        while sent < question.number and len(errors) <= question.errors_max:
            sent += 1
            try:
                response = await get(session, address, question.port, question.path)
            except (aiohttp.ClientError, TimeoutError) as error:
                errors.append(str(error) or type(error).__name__)
                continue
            if response.status >= _BAD_REQUEST:
                errors.append(f"HTTP {response.status}")
            else:
                reached[_backend(response, question.header)] += 1
    return Tally(sent, tuple(sorted(reached.items())), len(errors), errors[0] if errors else "")


def _backend(response: Response, header: str) -> str:
    """Return what tells apart the backend that answered."""
    if header:
        return response.headers.get(header, "")
    return next(iter(response.body.splitlines()), "").strip()
