"""An answer that may be looked at before it has come: by a traceback with its locals, a debugger, a log.

What aiohttp's own shows of itself (client_reqrep.py, 3.14) includes its headers. Before the head has come
there are none, `reify` keeps that for ever, and when it comes `start` ends in an AttributeError.
"""

import aiohttp


class Response(aiohttp.ClientResponse):
    """For `aiohttp.ClientSession(response_class=…)`."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.method} {self.url}: {self.status or 'not there yet'}>"
