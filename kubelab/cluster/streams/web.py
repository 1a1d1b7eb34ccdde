"""What the servers here use of aiohttp.web, by the same names.

The package `aiohttp.web` brings its application, its router, the serving of files and a command line too, for
which there is no use here: 1.5 MiB.
"""

from aiohttp.web_exceptions import HTTPRequestEntityTooLarge
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_request import BaseRequest
from aiohttp.web_response import Response, StreamResponse
from aiohttp.web_server import Server
from aiohttp.web_ws import WebSocketResponse

__all__ = [
    "BaseRequest",
    "HTTPRequestEntityTooLarge",
    "RequestHandler",
    "Response",
    "Server",
    "StreamResponse",
    "WebSocketResponse",
]
