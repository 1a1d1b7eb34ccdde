"""The audit log: who asked for what and when, a line of JSON each, at upstream's level Metadata.

Source: kubernetes, staging/src/k8s.io/apiserver/pkg/apis/audit/v1/types.go;
https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/. Bodies are never in it, so no secret is.
Lines are written behind the requests, in a thread: when many have come, a moment after few, and at the end.
What cannot be written (a full disk) is lost with a warning, as upstream's file backend does: it goes on.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from kubelab.cluster.apiserver.request_log import RequestLog, RequestRecord
from kubelab.cluster.clock import rfc3339_micro
from kubelab.cluster.linux.threads import in_thread

FILE_BYTES_MAX = 4 * 1024 * 1024
MANY = 256  # Requests; each takes some 700 bytes until it is written, and 6,000 may come a second.
_WRITE_EVERY_S = 0.5
logger = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode


def event(record: RequestRecord) -> dict[str, Any]:
    """Return *record* as an audit event."""
    done = record.received + timedelta(seconds=record.duration_s)
    shown: dict[str, Any] = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "auditID": record.id,
        "stage": record.stage,
        "requestURI": record.uri,
        "verb": record.verb,
        "user": {"username": record.user, "groups": list(record.groups)},
        "sourceIPs": [record.source],
        "userAgent": record.user_agent,
    }
    if record.impersonated:
        shown["impersonatedUser"] = {"username": record.impersonated}
    if record.resource:
        reference = {
            "resource": record.resource,
            "namespace": record.namespace,
            "name": record.name,
            "apiGroup": record.group,
            "apiVersion": record.version,
            "subresource": record.subresource,
        }
        shown["objectRef"] = {key: value for key, value in reference.items() if value}
    status: dict[str, Any] = {"metadata": {}, "code": record.code}
    if record.reason:
        status |= {"status": "Failure", "reason": record.reason}
    shown["responseStatus"] = status
    shown["requestReceivedTimestamp"] = rfc3339_micro(record.received)
    shown["stageTimestamp"] = rfc3339_micro(done)
    return shown


@asynccontextmanager
async def audited(
    requests: RequestLog, path: Path, *, every_s: float = _WRITE_EVERY_S
) -> AsyncIterator[None]:
    """Write each of *requests* to the file at *path* during the block; one older file (`.1`) is kept.

    Few of them wait for *every_s* to be written; `MANY` do not."""
    waiting: list[RequestRecord] = []
    file, many = _File(path), asyncio.Event()

    def note(record: RequestRecord) -> None:
        waiting.append(record)
        if len(waiting) == MANY:
            many.set()

    with requests.listening(note):
        async with asyncio.TaskGroup() as group:
            writing = group.create_task(_write_behind(waiting, many, file, every_s))
            try:
                yield
            finally:
                writing.cancel()
        await in_thread(file.write, waiting[:])


def older(path: Path) -> Path:
    """Return where the log is that filled up before the one at *path*."""
    return path.with_name(f"{path.name}.1")


async def _write_behind(
    waiting: list[RequestRecord], many: asyncio.Event, file: "_File", every_s: float
) -> None:
    while True:
        with suppress(TimeoutError):
            async with asyncio.timeout(every_s):
                await many.wait()
        many.clear()
        if waiting:
            batch = waiting[:]
            del waiting[: len(batch)]
            await in_thread(file.write, batch)


class _File:
    """The log's file. It complains once when it cannot be written, and again only after it could be."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._failing = False

    def write(self, records: list[RequestRecord]) -> None:
        try:
            self._append(records)
        except OSError as error:
            if not self._failing:
                logger.warning("Requests are missing in the audit log %s: %s", self._path, error.strerror)
            self._failing = True
        else:
            self._failing = False

    def _append(self, records: list[RequestRecord]) -> None:
        if self._path.exists() and self._path.stat().st_size > FILE_BYTES_MAX:
            self._path.replace(older(self._path))
        self._path.touch(0o600)
        with self._path.open("ab") as file:
            file.writelines(_encode(event(record)) + b"\n" for record in records)
