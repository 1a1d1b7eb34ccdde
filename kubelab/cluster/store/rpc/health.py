"""Whether a member serves: `/health`, `/version`.

Source: etcd, server/etcdserver/api/etcdhttp/{health,version}.go.
"""

import asyncio
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

from kubelab.cluster.store.requests import Alarm, AlarmAction, Range
from kubelab.cluster.store.rpc import http1
from kubelab.cluster.store.service import Service, StoreError

READ_TIMEOUT_S = 5.0


async def respond(service: Service, method: str, target: str) -> bytes:
    """Return the HTTP/1.1 response to *method* on *target*."""
    parts = urlsplit(target)
    if parts.path not in ("/health", "/version"):
        return http1.response(HTTPStatus.NOT_FOUND, {"message": "not found"})
    if method != "GET":
        return http1.response(HTTPStatus.METHOD_NOT_ALLOWED, {"message": "method not allowed"})
    if parts.path == "/version":
        return await _version(service)
    query = parse_qs(parts.query)
    return await _health(service, query.get("serializable") == ["true"], query.get("exclude", []))


async def _version(service: Service) -> bytes:
    version = (await service.status()).version
    cluster = ".".join([*version.split(".")[:2], "0"])
    return http1.response(HTTPStatus.OK, {"etcdserver": version, "etcdcluster": cluster})


async def _health(service: Service, serializable: bool, excluded: list[str]) -> bytes:
    reason = await _what_ails(service, serializable, excluded)
    status = HTTPStatus.SERVICE_UNAVAILABLE if reason else HTTPStatus.OK
    return http1.response(status, {"health": "false" if reason else "true", "reason": reason})


async def _what_ails(service: Service, serializable: bool, excluded: list[str]) -> str:
    """A read of a key that need not be there asks all that a client's read would."""
    try:
        async with asyncio.timeout(READ_TIMEOUT_S):
            for alarm in await service.alarm(Alarm(AlarmAction.GET)):
                if alarm.alarm.name not in excluded:
                    return f"ALARM {alarm.alarm.name}"
            if not serializable and not (await service.status()).leader:
                return "RAFT NO LEADER"
            await service.range(Range(b"health", serializable=serializable))
    except StoreError as error:
        return f"QGET ERROR:{error}"
    except TimeoutError:
        return "QGET ERROR:etcdserver: request timed out"
    return ""
