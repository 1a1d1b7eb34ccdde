"""A watch of a custom resource lasts as long as its kind: it ends when the kind goes or is defined anew.

Source: kubernetes, staging/src/k8s.io/apiextensions-apiserver/pkg/apiserver/customresource_handler.go
(removeStorage_locked, which closes the watches of what it tears down).
"""

import asyncio
from collections.abc import AsyncIterator
from typing import TypeVar

from kubelab.cluster.apiserver.kinds import Catalogue
from kubelab.cluster.objects import Resource

Batch = TypeVar("Batch")


async def while_served(
    kinds: Catalogue, resource: Resource, batches: AsyncIterator[Batch]
) -> AsyncIterator[Batch]:
    """Yield *batches* until *resource* is removed, what has come until then included."""
    removed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def remove() -> None:
        if not removed.done():
            removed.set_result(None)

    with kinds.told_of_removal(resource, remove):
        if kinds.get(resource) is None:
            remove()
        while True:
            coming = asyncio.ensure_future(_next(batches))
            try:
                await asyncio.wait((coming, removed), return_when=asyncio.FIRST_COMPLETED)
                if not coming.done():
                    await asyncio.sleep(0)  # What waits to be fetched takes it one turn.
                if not coming.done() or (batch := coming.result()) is None:
                    return
            finally:
                if coming.cancel():
                    await asyncio.wait((coming,))
            yield batch


async def _next(batches: AsyncIterator[Batch]) -> Batch | None:
    return await anext(batches, None)
