"""A write is sent once: whoever asked decides whether to send it again.

aiohttp sends again by itself what HTTP calls idempotent when a connection breaks before the answer has come.
To set an object twice is the same as once only where nobody else writes: what came in between is undone, and
a write that names the version which it replaces is refused though it was done.
Source: RFC 9110, section 9.2.2; Go's net/http, transport.go (shouldRetryRequest, isReplayable), which sends
again only what changes nothing.
"""

import aiohttp
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse

_CHANGES_NOTHING = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


async def sent_once(request: ClientRequest, send: ClientHandlerType) -> ClientResponse:
    """Middleware of an `aiohttp.ClientSession`: it raises what aiohttp does not try again after."""
    try:
        return await send(request)
    except aiohttp.ClientConnectorError:  # It never was sent, and is not tried again either.
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as broken:
        if request.method in _CHANGES_NOTHING:
            raise
        raise aiohttp.ClientConnectionError(str(broken)) from broken
