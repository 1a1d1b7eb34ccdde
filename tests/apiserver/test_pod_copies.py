"""A pod that was asked for before under other names becomes what it would have become anyway."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
from bootstrapped import bootstrapped
from hypothesis import given
from hypothesis import strategies as st

from kubelab.cluster.apiserver import plugins, pod_copies, routes
from kubelab.cluster.apiserver.admission import Attributes
from kubelab.cluster.apiserver.caller import Caller, User
from kubelab.cluster.apiserver.listers import Listers
from kubelab.cluster.apiserver.registry import Registry
from kubelab.cluster.apiserver.resources import Answer, Request, Resources
from kubelab.cluster.apiserver.versions import Version
from kubelab.cluster.clock import VirtualClock
from kubelab.cluster.errors import ApiError
from kubelab.cluster.linux.background import background
from kubelab.cluster.objects import (
    LIMITRANGES,
    NAMESPACES,
    PODS,
    PRIORITYCLASSES,
    RESOURCEQUOTAS,
    SERVICEACCOUNTS,
    Object,
    Resource,
)
from kubelab.cluster.store.memory import MemoryStore

ALICE = Caller(User("alice", ("developers",)), "kubectl")
ROUNDS_MAX = 10_000  # Of the loop: nobody here waits for anything else.
FULL = 3  # So many are made in full before one is a copy.


class CountingRegistry(Registry):
    """Knows how many objects were decided on."""

    decided = 0

    async def create(self, *args: Any, **options: Any) -> Version:
        self.decided += 1
        return await super().create(*args, **options)


class Idle:
    """A plug-in that does nothing, of which nobody knows what it goes by."""

    async def admit(self, attributes: Attributes) -> None:
        return

    async def validate(self, attributes: Attributes) -> None:
        return


@dataclass
class Server:
    registry: CountingRegistry
    listers: Listers
    resources: Resources

    async def create(
        self, body: bytes, *, namespace: str = "default", caller: Caller = ALICE, **query: str
    ) -> Answer:
        path = f"/api/v1/namespaces/{namespace}/pods"
        route = routes.parse(self.registry.kinds, "POST", path, query)
        assert route is not None
        return await self.resources.answer(Request(route, query, caller, body=body))

    async def stored(self, name: str) -> bytes:
        return (await self.registry.get(self.registry.kinds[PODS], "default", name)).value

    async def make(self, resource: Resource, obj: Object, namespace: str = "default") -> None:
        """Create *obj*, and wait until admission knows of it."""
        before, namespace = self.listers.changes, namespace if resource.namespaced else ""
        await self.registry.create(self.registry.kinds[resource], namespace, obj)
        await self.learned(before)

    async def change(self, resource: Resource, name: str, part: Object) -> None:
        before, kind = self.listers.changes, self.registry.kinds[resource]
        namespace = "default" if resource.namespaced else ""
        await self.registry.change(kind, namespace, name, lambda old: old | part)
        await self.learned(before)

    async def learned(self, before: int | None) -> None:
        await until(lambda: self.listers.changes not in {before, None})

    @contextmanager
    def in_full(self) -> Iterator[None]:
        """Have each pod decided on."""
        plugin = Idle()
        self.registry.admission.plugins.append(plugin)
        yield
        self.registry.admission.plugins.remove(plugin)

    async def repeat(self, body: bytes, times: int = FULL, **options: Any) -> int:
        """Create so many pods that are alike; return how many of them were decided on."""
        before = self.registry.decided
        for _ in range(times):
            await self.create(body % next(NAMES), **options)
        return self.registry.decided - before


async def until(is_so: Callable[[], bool]) -> None:
    for _ in range(ROUNDS_MAX):
        if is_so():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came to be")


NAMES = (f"web-{number:05}".encode() for number in count())


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    registry = CountingRegistry(MemoryStore(), VirtualClock())
    listers = plugins.install(registry)
    await bootstrapped(registry)
    kinds = registry.kinds
    if await registry.store.get(kinds[NAMESPACES].key("", "default")) is None:
        await registry.create(kinds[NAMESPACES], "", {"metadata": {"name": "default"}})
    await registry.create(kinds[SERVICEACCOUNTS], "default", {"metadata": {"name": "default"}})
    async with background(listers.run()):
        await until(lambda: listers.changes is not None)
        yield Server(registry, listers, Resources(registry))


def body(metadata: Object | None = None, **spec: Any) -> bytes:
    """Return a pod to be, with `%b` for its name."""
    named = {"name": "%b"} | (metadata or {})
    containers = [{"name": "server", "image": "web", "env": [{"name": "A", "value": "b"}]}]
    pod = {"kind": "Pod", "apiVersion": "v1", "metadata": named, "spec": {"containers": containers} | spec}
    return json.dumps(pod).encode()


def without_its_own(stored: bytes) -> bytes:
    for index, own in enumerate(filter(None, pod_copies.made_of(stored))):
        stored = stored.replace(own, b"<%d>" % index)
    return stored


FIRST = {"name": "first", "image": "web"}
BODIES = {
    "plain": body(),
    "with labels and annotations": body({"labels": {"app": "web"}, "annotations": {"uid": "creation"}}),
    "with what looks like the server's": body({"annotations": {"time": "1970-01-01T00:00:00Z"}}),
    "with an init container": body(initContainers=[FIRST]),
    "without a token": body(automountServiceAccountToken=False),
    "with a volume": body(volumes=[{"name": "data", "emptyDir": {}}]),
    "with resources": body(containers=[{"name": "a", "image": "b", "resources": {"limits": {"cpu": "1"}}}]),
    "with a null": body(nodeSelector=None),
    "as kubectl writes it": json.dumps(json.loads(body()), separators=(",", ":")).encode(),
    "without a type": b'{"metadata":{"name":"%b"},"spec":{"containers":[{"name":"a","image":"b"}]}}',
}


@pytest.mark.parametrize("pod", BODIES.values(), ids=BODIES.keys())
async def test_a_copy_is_byte_for_byte_what_it_would_have_become(server: Server, pod: bytes) -> None:
    assert await server.repeat(pod) == FULL
    clock = server.registry.clock
    assert isinstance(clock, VirtualClock)
    await clock.advance(90)
    name = next(NAMES)
    decided = server.registry.decided
    answer = await server.create(pod % name)
    assert server.registry.decided == decided
    copy = await server.stored(name.decode())
    other = next(NAMES)
    with server.in_full():
        expected = await server.create(pod % other)
    assert without_its_own(copy) == without_its_own(await server.stored(other.decode()))
    assert (answer.status, answer.warnings) == (expected.status, expected.warnings) == (201, ())
    shown, stored = json.loads(answer.body), json.loads(copy)
    assert shown["metadata"].pop("resourceVersion")
    assert shown == stored
    made, others = pod_copies.made_of(copy), pod_copies.made_of(await server.stored(other.decode()))
    assert made.name == name
    assert made.time == others.time
    assert made.uid != others.uid
    assert made.volume != others.volume or not made.volume


async def test_a_name_that_is_taken_is_refused(server: Server) -> None:
    await server.repeat(body(), FULL + 1)
    name = next(NAMES)
    await server.create(body() % name)
    with pytest.raises(ApiError, match="already exists"):
        await server.create(body() % name)


@pytest.mark.parametrize("name", [b"Web", b"-web", b"web.", b"", b'a","x":"b', b"a" * 254])
async def test_a_name_that_may_not_be_is_refused(server: Server, name: bytes) -> None:
    await server.repeat(body(), FULL + 1)
    with pytest.raises(ApiError):
        await server.create(body().replace(b"%b", name), fieldValidation="Strict")


@pytest.mark.parametrize(
    "options",
    [{"namespace": "kube-system"}, {"caller": Caller(User("bob"), "kubectl")}, {"fieldManager": "mine"}],
    ids=lambda each: next(iter(each)),
)
async def test_what_is_asked_otherwise_is_another_thing(server: Server, options: dict[str, Any]) -> None:
    await server.make(SERVICEACCOUNTS, {"metadata": {"name": "default"}}, "kube-system")
    await server.repeat(body(), FULL + 1)
    assert await server.repeat(body(), 1, **options) == 1


async def test_nothing_is_kept_of_a_dry_run(server: Server) -> None:
    assert await server.repeat(body(), FULL + 2, dryRun="All") == FULL + 2


async def test_what_is_warned_of_is_told_each_time(server: Server) -> None:
    pod = body(containers=[{"name": "a", "image": "b", "unknown": 1}])
    for _ in range(FULL + 2):
        assert (await server.create(pod % next(NAMES))).warnings


async def test_who_is_a_kubelet_is_looked_at_each_time(server: Server) -> None:
    kubelet = Caller(User("system:node:minion-1", ("system:nodes",)), "kubelet")
    for _ in range(FULL + 2):
        with pytest.raises(ApiError, match="mirror"):
            await server.create(body() % next(NAMES), caller=kubelet)


async def test_new_limits_hold_for_copies(server: Server) -> None:
    await server.repeat(body(), FULL + 1)
    limit = {"type": "Container", "default": {"memory": "64Mi"}}
    await server.make(LIMITRANGES, {"metadata": {"name": "small"}, "spec": {"limits": [limit]}})
    name = next(NAMES)
    await server.create(body() % name)
    assert b"64Mi" in await server.stored(name.decode())


async def test_a_new_default_priority_holds_for_copies(server: Server) -> None:
    await server.repeat(body(), FULL + 1)
    chosen = {"metadata": {"name": "chosen"}, "value": 7, "globalDefault": True}
    await server.make(PRIORITYCLASSES, chosen)
    name = next(NAMES)
    await server.create(body() % name)
    assert b'"priority":7' in await server.stored(name.decode())


async def test_an_account_that_wants_no_token_gets_none_in_copies(server: Server) -> None:
    await server.repeat(body(), FULL + 1)
    await server.change(SERVICEACCOUNTS, "default", {"automountServiceAccountToken": False})
    name = next(NAMES)
    await server.create(body() % name)
    assert b"kube-api-access" not in await server.stored(name.decode())


async def test_each_pod_is_charged_to_a_quota(server: Server) -> None:
    await server.repeat(body(), FULL + 1)
    quota = {"metadata": {"name": "few"}, "spec": {"hard": {"pods": "100"}}}
    await server.make(RESOURCEQUOTAS, quota)
    assert await server.repeat(body(), FULL + 2) == FULL + 2


async def test_a_namespace_that_is_judged_anew_refuses_copies(server: Server) -> None:
    await server.repeat(body(), FULL + 1)
    labels = {"kubernetes.io/metadata.name": "default", "pod-security.kubernetes.io/enforce": "restricted"}
    before = server.listers.changes
    namespaces = server.registry.kinds[NAMESPACES]
    await server.registry.change(
        namespaces, "", "default", lambda old: old | {"metadata": old["metadata"] | {"labels": labels}}
    )
    await server.learned(before)
    with pytest.raises(ApiError, match="violates PodSecurity"):
        await server.create(body() % next(NAMES))


async def test_while_nothing_is_followed_each_pod_is_looked_at(server: Server) -> None:
    other = CountingRegistry(MemoryStore(), VirtualClock())
    listers = plugins.install(other)
    kinds = other.kinds
    await other.create(kinds[NAMESPACES], "", {"metadata": {"name": "default"}})
    await other.create(kinds[SERVICEACCOUNTS], "default", {"metadata": {"name": "default"}})
    alone = Server(other, listers, Resources(other))
    assert await alone.repeat(body(), FULL + 2) == FULL + 2


# What is seen in a body


TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS | st.just("name"), inner, max_size=3),
    max_leaves=8,
)
NAME = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,8}[a-z0-9])?", fullmatch=True)


@given(NAME, NAME, JSON, st.dictionaries(TEXTS, JSON, max_size=3), st.booleans())
def test_what_is_seen_as_the_name_is_the_name(
    name: str, other: str, spec: Any, metadata: Object, is_first: bool
) -> None:
    metadata = {key: value for key, value in metadata.items() if key != "name"}
    own = {"name": name} | metadata if is_first else metadata | {"name": name}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": own, "spec": spec}
    seen = pod_copies.named(json.dumps(pod).encode())
    assert seen is not None or not is_first
    if seen is not None:
        again = pod_copies.named(json.dumps(pod | {"metadata": own | {"name": other}}).encode())
        assert seen[0].decode() == name
        assert again == (other.encode(), seen[1])


def test_what_differs_is_told_apart() -> None:
    digests = {pod_copies.named(each % b"web") for each in BODIES.values()}
    assert len(digests) == len(BODIES)
    assert None not in digests
