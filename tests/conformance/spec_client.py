"""Requests as upstream's e2e tests send them: client-go's paths, queries, media types and empty fields."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from kubelab.cluster.apiserver import protobuf, routes, schema, transcoding
from kubelab.cluster.apiserver.kinds import Catalogue
from kubelab.cluster.apiserver.negotiation import JSON, PROTOBUF
from kubelab.cluster.objects import Object

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
WAIT_S = 20
POLL_S = 0.02
KINDS = Catalogue()


@dataclass(frozen=True)
class Answer:
    status: int
    body: Object

    @property
    def causes(self) -> list[Object]:
        return list(self.body["details"]["causes"])


class Watching:
    """An open watch: its events in their order."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def until(self, type_: str, wanted: Callable[[Object], bool] = lambda _: True) -> Object:
        """Return the object of the next event of *type_* that is *wanted*."""
        async with asyncio.timeout(WAIT_S):
            while line := await self._response.content.readline():
                event = json.loads(line)
                if event["type"] == type_ and wanted(event["object"]):
                    return dict(event["object"])
        raise AssertionError(f"the watch ended before {type_}")


class Client:
    """What a test does with a path. Whatever is not asked for by `ask` must succeed.

    *form* is the media type of bodies and answers: upstream's typed clients send protobuf by default and take
    JSON, too, its dynamic ones JSON alone. Patches and watches are JSON.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        form: str = JSON,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        self._session = session
        self._form = form
        self._headers = headers

    def speaking(self, form: str) -> "Client":
        return Client(self._session, form, self._headers)

    def impersonating(self, headers: Sequence[tuple[str, str]]) -> "Client":
        return Client(self._session, self._form, headers)

    async def ask(
        self,
        method: str,
        path: str,
        body: Object | str | None = None,
        content_type: str = "",
        **query: str,
    ) -> Answer:
        accept = f"{self._form},{JSON}" if self._form == PROTOBUF else self._form
        headers = [*self._headers, ("Accept", accept), ("Content-Type", content_type or self._form)]
        sent = None if body is None else self._encoded(body, path, content_type or self._form)
        async with self._session.request(method, path, params=query, data=sent, headers=headers) as response:
            return Answer(response.status, _decoded(await response.read(), response.content_type, path))

    def _encoded(self, body: Object | str, path: str, content_type: str) -> bytes:
        if isinstance(body, str):
            return body.encode()
        if content_type == PROTOBUF:
            route = routes.parse(KINDS, "GET", path, {})
            return transcoding.as_protobuf(body, route.kind if route else None)
        return json.dumps(body).encode()

    async def _done(self, method: str, path: str, *rest: Any, **query: str) -> Object:
        answer = await self.ask(method, path, *rest, **query)
        assert answer.status in {200, 201}, answer
        return answer.body

    async def get(self, path: str, **query: str) -> Object:
        return await self._done("GET", path, **query)

    async def items(self, path: str, selector: str = "") -> list[Object]:
        """Return what a list has; *selector* is one of labels."""
        return list((await self._done("GET", path, labelSelector=selector)).get("items") or ())

    async def create(self, path: str, obj: Object) -> Object:
        return await self._done("POST", path, obj)

    async def update(self, path: str, obj: Object) -> Object:
        return await self._done("PUT", path, obj)

    async def patch(self, path: str, patch: Object | str, content_type: str = MERGE, **query: str) -> Object:
        return await self._done("PATCH", path, patch, content_type, **query)

    async def apply(self, path: str, config: Object | str, manager: str, **query: str) -> Object:
        return await self.patch(path, config, APPLY, fieldManager=manager, **query)

    async def delete(self, path: str, *, selector: str = "", **options: Any) -> Object:
        """Delete an object, or with *selector* a collection; client-go names its options by its group."""
        body = json.dumps({"kind": "DeleteOptions", "apiVersion": _group_version(path)} | options)
        query = {"labelSelector": selector} if selector else {}
        return await self._done("DELETE", path, body, JSON, **query)

    async def is_gone(self, path: str) -> bool:
        return (await self.ask("GET", path)).status == 404

    @asynccontextmanager
    async def watch(
        self, path: str, revision: str, *, accept: str = JSON, **query: str
    ) -> AsyncIterator[Watching]:
        params = query | {"watch": "true", "resourceVersion": revision, "allowWatchBookmarks": "true"}
        async with self._session.get(path, params=params, headers={"Accept": accept}) as response:
            assert response.status == 200, await response.text()
            yield Watching(response)

    async def until(self, path: str, wanted: Callable[[Answer], bool]) -> Answer:
        """Read *path* again and again until its answer is *wanted*."""
        async with asyncio.timeout(WAIT_S):
            while True:
                if wanted(answer := await self.ask("GET", path)):
                    return answer
                await asyncio.sleep(POLL_S)


def _decoded(body: bytes, media_type: str, path: str) -> Object:
    if media_type != PROTOBUF:
        return dict(json.loads(body))
    api_version, name, message = protobuf.envelope(body)
    route = routes.parse(KINDS, "GET", path, {})
    go_type = transcoding.go_type_of(api_version, name, route.kind if route else None)
    assert go_type, (api_version, name)
    decoded = protobuf.decode(schema.bundled().types, go_type, message)
    return {"kind": name, "apiVersion": api_version} | decoded


def _group_version(path: str) -> str:
    parts = path.strip("/").split("/")
    return parts[1] if parts[0] == "api" else "/".join(parts[1:3])
