"""What a member answers without gRPC, on the same port: `/health` and `/version`. Pure.

Source: etcd, server/etcdserver/api/etcdhttp/{health,version}.go; RFC 9112.
Left out: `/metrics`, `/livez` and `/readyz`, and HTTP's persistent connections.
"""

import json
from http import HTTPStatus

HEAD_BYTES_MAX = 8192
END_OF_HEAD = b"\r\n\r\n"


def target(head: bytes) -> tuple[str, str] | None:
    """Return the method and the target of a request; None when it is none."""
    words = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
    return (words[0], words[1]) if len(words) == 3 and words[2].startswith("HTTP/1.") else None


def response(status: HTTPStatus, body: object, *, with_body: bool = True) -> bytes:
    content = json.dumps(body, separators=(",", ":")).encode()
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + content * with_body
