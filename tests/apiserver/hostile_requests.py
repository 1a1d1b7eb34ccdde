"""Requests drawn from a seed: bodies with parts exchanged for nonsense, patches of every sort, selectors and
queries, broken JSON and protobuf, deep and wide documents."""

import asyncio
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
import crontab
import one_of_each

from kubelab.cluster.apiserver import transcoding
from kubelab.cluster.apiserver.kind import Kind
from kubelab.cluster.apiserver.kinds import Catalogue
from kubelab.cluster.apiserver.negotiation import JSON, PROTOBUF, YAML
from kubelab.cluster.apiserver.routes import parse
from kubelab.cluster.objects import Object

CRONTABS = f"apis/{crontab.GROUP}/v1/namespaces/default/crontabs"
DEFINITIONS = "apis/apiextensions.k8s.io/v1/customresourcedefinitions"
SERVED_S = 30
# A version of the future is a 504 there, and a configuration that is not of its type a 500.
UPSTREAMS_OWN = ("Too large resource version", "failed to create typed patch object")
ACCEPTS = ("*/*", JSON, YAML, PROTOBUF, f"{JSON};as=Table;v=v1;g=meta.k8s.io,{JSON}", "text/html")

PATCHES = ("json-patch+json", "merge-patch+json", "strategic-merge-patch+json", "apply-patch+yaml")
NONSENSE: tuple[Any, ...] = (
    *(
        None,
        True,
        0,
        -1,
        2**63,
        1e300,
        "",
        "a",
        "é\u0000",
        "x" * 5000,
        "$patch",
        "10.0.0.0/33",
        "-5%",
        "1e9999",
    ),
    *(
        [],
        {},
        [None],
        [[]],
        {"": {}},
        [{"name": "a"}, {"name": "a"}],
        {"$patch": "replace"},
        {"a": {"b": {"c": 1}}},
    ),
)
SELECTORS = (
    "a=b",
    "a in (b",
    "!a",
    "a,,b",
    "=",
    "a notin ()",
    "metadata.name=a",
    "x=" + "y" * 500,
    "é",
    "a==b==c",
)


class Chance(random.Random):
    def garbled(self, value: Any, depth: int = 0) -> Any:
        """Return *value* with a part of it, here or below, exchanged for nonsense or taken away."""
        if depth and self.random() < 0.25:
            return self.choice(NONSENSE)
        if isinstance(value, dict) and value:
            key = self.choice(sorted(value))
            changed = value | {key: self.garbled(value[key], depth + 1)}
            return (
                changed if self.random() < 0.9 else {each: changed[each] for each in changed if each != key}
            )
        if isinstance(value, list) and value:
            index = self.randrange(len(value))
            return [*value[:index], self.garbled(value[index], depth + 1), *value[index + 1 :]]
        return self.choice(NONSENSE)

    def pointer(self, value: Any) -> str:
        """Return a JSON pointer into *value*, or past it."""
        parts = []
        while isinstance(value, dict) and value and self.random() < 0.8:
            parts.append(self.choice(sorted(value)))
            value = value[parts[-1]]
        return "".join(f"/{part}" for part in (*parts, *self.choice(((), ("-",), ("7",), ("~2",), ("",)))))

    def patch(self, sort: str, obj: Object) -> Any:
        if sort != "json-patch+json":
            return self.garbled(obj)
        operations = ("add", "remove", "replace", "move", "copy", "test", "dance")
        return [
            {
                "op": self.choice(operations),
                "path": self.pointer(obj),
                "from": self.pointer(obj),
                "value": self.choice(NONSENSE),
            }
            for _ in range(self.randint(0, 3))
        ]

    def body(self, value: Any) -> bytes:
        """Return *value* as JSON, seldom damaged or endless."""
        encoded = json.dumps(value).encode()
        damage = self.random()
        if damage < 0.05:
            return encoded[: self.randrange(len(encoded) + 1)]
        if damage < 0.08:
            return b'{"a":' * self.choice((50, 5000, 100_000)) + b"1"
        return encoded if damage < 0.97 else bytes(self.choices(range(256), k=60))

    def query(self) -> str:
        options = (
            "dryRun=All",
            "dryRun=No",
            "fieldValidation=Strict",
            "fieldValidation=x",
            "force=maybe",
            "pretty",
        )
        options += (
            "limit=-1",
            "limit=2",
            "continue=x",
            "resourceVersion=x",
            "resourceVersion=99999",
            "watch=0",
        )
        options += (
            "fieldManager=" + "m" * 200,
            "timeout=1h",
            "resourceVersionMatch=Exact",
            "propagationPolicy=X",
        )
        selectors = (f"{name}={self.choice(SELECTORS)}" for name in ("labelSelector", "fieldSelector"))
        return "&".join(self.sample([*options, *selectors], self.choice((0, 0, 1, 2))))

    def message(self, path: str, obj: Object) -> bytes:
        """Return *obj* as protobuf, with some bytes exchanged."""
        kind = kind_at(path)
        type_meta = {"apiVersion": kind.resource.api_version, "kind": kind.resource.kind}
        written = bytearray(transcoding.as_protobuf(type_meta | obj, kind))
        for _ in range(self.choice((0, 1, 1, 3, 20))):
            written[self.randrange(len(written))] = self.randrange(256)
        return bytes(written)


@dataclass(frozen=True)
class HostileRequest:
    method: str
    path: str
    body: bytes = b""
    content_type: str = ""
    accept: str = "*/*"


def objects() -> dict[str, Object]:
    """Return what the requests are about, by the path of its collection."""
    tab = crontab.crontab("my", cronSpec="* * * * *", replicas=2)
    return {DEFINITIONS: crontab.definition(), CRONTABS: tab} | one_of_each.objects()


async def make_objects(session: aiohttp.ClientSession) -> None:
    """Make what is not there of the objects; a definition is served a little later than it is made."""
    for path, obj in objects().items():
        async with asyncio.timeout(SERVED_S):
            while await _made(session, path, obj) == 404:
                await _made(session, DEFINITIONS, crontab.definition())
                await asyncio.sleep(0.05)


async def _made(session: aiohttp.ClientSession, path: str, obj: Object) -> int:
    async with session.post(f"/{path}", json=obj) as response:
        assert response.status < 500, await response.text()  # A changed quota may forbid it.
        return response.status


def requests(chance: Chance, count: int) -> Iterator[HostileRequest]:
    about = list(objects().items())
    for _ in range(count):
        path, obj = chance.choice(about)
        yield replace(_request(chance, path, obj), accept=chance.choice(ACCEPTS))


def _request(chance: Chance, path: str, obj: Object) -> HostileRequest:
    name, query = obj["metadata"]["name"], chance.query()
    one = f"{path}/{name}{chance.choice(('', '', '/status', '/scale'))}?{query}"
    match chance.choice(("POST", "POST", "PUT", "PATCH", "PATCH", "PATCH", "GET", "DELETE", "MESSAGE")):
        case "MESSAGE" if path != CRONTABS:
            method, place = chance.choice((("POST", f"{path}?{query}"), ("PUT", one)))
            return HostileRequest(method, place, chance.message(path, obj), PROTOBUF)
        case "PATCH":
            sort = chance.choice(PATCHES)
            query = "&fieldManager=me" if sort == PATCHES[-1] else ""
            return HostileRequest(
                "PATCH", one + query, chance.body(chance.patch(sort, obj)), f"application/{sort}"
            )
        case "DELETE":
            options = {"gracePeriodSeconds": 0, "preconditions": {"uid": "x"}}
            return HostileRequest("DELETE", one, chance.body(chance.garbled(options)), JSON)
        case "GET":
            return HostileRequest("GET", chance.choice((f"{path}?{query}", one)))
        case "PUT":
            return HostileRequest("PUT", one, chance.body(chance.garbled(obj)), JSON)
    return HostileRequest(
        "POST", f"{path}?{query}", chance.body(chance.garbled(obj)), chance.choice((JSON, JSON, JSON, YAML))
    )


def kind_at(path: str) -> Kind:
    """Return the kind whose collection is at *path*."""
    route = parse(Catalogue(), "GET", path, {})
    assert route is not None
    return route.kind


def is_wrong(status: int, answer: str) -> bool:
    """Tell an error of the server's own, which upstream would not answer with as well."""
    return status >= 500 and not any(each in answer for each in UPSTREAMS_OWN)


async def send(session: aiohttp.ClientSession, request: HostileRequest) -> tuple[int, str]:
    """Return status and text of the answer."""
    headers = {"Accept": request.accept}
    headers |= {"Content-Type": request.content_type} if request.content_type else {}
    path = f"/{request.path}"
    async with session.request(request.method, path, data=request.body, headers=headers) as response:
        return response.status, (await response.read()).decode(errors="replace")
