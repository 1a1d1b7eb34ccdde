"""Serve what CustomResourceDefinitions define: follow them, name them, and empty them before they go.

The store is what is followed, so it does not matter who wrote a definition, nor which of several servers
answered; each has its own catalogue of kinds.
Source: kubernetes, staging/src/k8s.io/apiextensions-apiserver/pkg/controller/{status,establish,finalizer}.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

from kubelab.cluster.apiserver.crd import naming
from kubelab.cluster.apiserver.crd.custom_kinds import kinds_of
from kubelab.cluster.apiserver.crd.definition import (
    CLEANUP_FINALIZER,
    DEFINITIONS,
    is_true,
    with_condition,
)
from kubelab.cluster.apiserver.deletion import DeleteOptions
from kubelab.cluster.apiserver.kind import Kind
from kubelab.cluster.apiserver.persistence import persistently
from kubelab.cluster.apiserver.registry import Change, ListOptions, Registry
from kubelab.cluster.errors import ApiError
from kubelab.cluster.objects import Object, Resource, revision_of

_IN_PROGRESS = ("True", "InstanceDeletionInProgress", "CustomResource deletion is in progress")
_COMPLETED = ("False", "InstanceDeletionCompleted", "removed all instances")
_NEVER = ("False", "NeverEstablished", "resource was never established")


@asynccontextmanager
async def following(registry: Registry) -> AsyncIterator[None]:
    """Serve custom resources while the block runs; on entering, those that the store has are served."""
    definitions = _Definitions(registry)
    revision = await definitions.load()
    async with asyncio.TaskGroup() as group:
        follower = group.create_task(definitions.follow(revision))
        yield
        follower.cancel()


class _Definitions:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._kind: Kind = registry.kinds[DEFINITIONS]
        self._known: dict[str, Object] = {}
        self._served: dict[str, tuple[Kind, ...]] = {}

    async def load(self) -> int:
        """Serve what is established; return the revision from which on to follow."""
        page = await self._registry.list(self._kind)
        known = {version.object["metadata"]["name"]: version.object for version in page.versions}
        for name in [*self._known]:
            if name not in known:
                self._forget(name)
        for crd in known.values():
            self._note(crd)
        return page.revision

    async def follow(self, revision: int) -> None:
        """Do what each change asks for, for ever."""
        emptying: dict[str, asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as group:
            settle = partial(self._settle, group, emptying)
            with suppress(ApiError):  # When the watch is lost everything is read again.
                await self._follow(revision, settle)
            while True:
                again = partial(self._again, settle)
                await persistently(self._registry.clock, "following definitions", again)

    async def _again(self, settle: Callable[[], Awaitable[None]]) -> None:
        await self._follow(await self.load(), settle)

    async def _follow(self, revision: int, settle: Callable[[], Awaitable[None]]) -> None:
        await settle()
        async with self._registry.watch(self._kind, revision=revision) as batches:
            async for batch in batches:
                for event in batch:
                    self._see(event.type, event.version.object)
                await settle()

    def _see(self, type_: str, crd: Object) -> None:
        if type_ == "DELETED":
            self._forget(crd["metadata"]["name"])
        else:
            self._note(crd)

    # The catalogue

    def _note(self, crd: Object) -> None:
        """Serve the kinds of *crd* as it now is; those that nothing changed about stay the same ones."""
        name, old = crd["metadata"]["name"], self._known.get(crd["metadata"]["name"])
        if old is not None and revision_of(old) > revision_of(crd):
            return  # The event of a write that was noted when it was made.
        self._known[name] = crd
        if not is_true(crd, "Established"):
            self._withdraw(name)
        elif old is None or name not in self._served or _served_form(old) != _served_form(crd):
            if old is None or _definition(old) != _definition(crd):
                self._withdraw(name)
            self._serve(name, crd)

    def _serve(self, name: str, crd: Object) -> None:
        own = {kind.resource for kind in self._served.get(name, ())}
        new = [kind for kind in kinds_of(crd) if kind.resource in own or self._is_free(kind.resource)]
        self._registry.kinds.add(*new)
        self._served[name] = tuple(new)

    def _is_free(self, resource: Resource) -> bool:
        """Tell whether nothing that the server has by itself is where *resource* would be served."""
        return (resource.group, resource.version, resource.plural) not in self._registry.kinds.by_path

    def _forget(self, name: str) -> None:
        self._known.pop(name, None)
        self._withdraw(name)

    def _withdraw(self, name: str) -> None:
        if served := self._served.pop(name, ()):
            self._registry.kinds.remove(*(kind.resource for kind in served))

    # What the server adds to definitions

    async def _settle(self, group: asyncio.TaskGroup, emptying: dict[str, asyncio.Task[None]]) -> None:
        """Name what has no names yet, and begin to empty what is to go."""
        for name, crd in sorted(self._known.items()):
            if "deletionTimestamp" not in crd["metadata"]:
                await self._name(crd)
            elif _awaits_cleanup(crd) and (name not in emptying or emptying[name].done()):
                empty = persistently(self._registry.clock, f"emptying {name}", partial(self._empty, name))
                emptying[name] = group.create_task(empty)

    async def _name(self, crd: Object) -> None:
        named = naming.named(crd, self._known.values(), self._registry.clock.now())
        if named["status"] == crd.get("status"):
            return
        await self._write(crd, named)

    async def _write(self, crd: Object, wanted: Object) -> None:
        """Write the status that is wanted of *crd*, unless that changed meanwhile, which will be told."""
        name = crd["metadata"]["name"]
        try:
            version = await self._registry.change(
                self._kind, "", name, lambda _: wanted, subresource="status"
            )
        except ApiError as error:
            if error.code not in {404, 409}:
                raise
        else:
            self._note(version.object)

    async def _empty(self, name: str) -> None:
        """Delete the objects that the definition brought, then let it go."""
        kind = next(iter(self._served.get(name, ())), None)
        if kind is None:
            await self._finish(name, _NEVER)
            return
        await self._tell(name, _IN_PROGRESS)
        await self._delete_instances(kind)
        await self._finish(name, _COMPLETED)

    async def _delete_instances(self, kind: Kind) -> None:
        """Ask every object to go and wait until each has: some wait themselves, for finalizers."""
        async with self._registry.watch(kind, revision=self._registry.store.revision) as batches:
            await self._registry.delete_collection(kind, "", ListOptions(), DeleteOptions())
            while (await self._registry.list(kind)).versions:
                await anext(batches)

    async def _tell(self, name: str, terminating: tuple[str, str, str]) -> None:
        status, reason, message = terminating
        wanted = {"type": "Terminating", "status": status, "reason": reason, "message": message}

        def told(crd: Object) -> Object:
            return with_condition(crd, wanted, self._registry.clock.now())

        await self._change(name, told, "status")

    async def _finish(self, name: str, terminating: tuple[str, str, str]) -> None:
        await self._tell(name, terminating)

        def freed(crd: Object) -> Object:
            finalizers = [
                each for each in crd["metadata"].get("finalizers") or () if each != CLEANUP_FINALIZER
            ]
            return crd | {"metadata": crd["metadata"] | {"finalizers": finalizers}}

        await self._change(name, freed, "status")

    async def _change(self, name: str, change: Change, subresource: str) -> None:
        try:
            await self._registry.change(self._kind, "", name, change, subresource=subresource)
        except ApiError as error:
            if not error.is_not_found:  # Someone else, another server say, was quicker.
                raise


def _awaits_cleanup(crd: Object) -> bool:
    return CLEANUP_FINALIZER in (crd["metadata"].get("finalizers") or ())


def _served_form(crd: Object) -> tuple[object, ...]:
    """Return what of a definition its kinds are made of."""
    going = "deletionTimestamp" in crd["metadata"] or is_true(crd, "Terminating")
    return *_definition(crd), is_true(crd, "Established"), going


def _definition(crd: Object) -> tuple[object, ...]:
    """Return what of a definition ends the watches of its kinds when it changes: to be going does not."""
    return crd["spec"], crd["status"].get("acceptedNames")
