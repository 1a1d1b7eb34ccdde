"""What controllers, scheduler, kubelet, lessons and the app may ask of a cluster.

Two things implement it: `https.HttpsApi` in this package (any Kubernetes that a kubeconfig names), and the
API server itself, in process. Who holds an `Api` cannot tell which.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, Protocol

from kubelab.cluster.objects import Object, Resource

INITIAL_EVENTS_END = "k8s.io/initial-events-end"


class PatchType(StrEnum):
    JSON = "application/json-patch+json"
    MERGE = "application/merge-patch+json"
    STRATEGIC = "application/strategic-merge-patch+json"


@dataclass(frozen=True, slots=True)
class ObjectList:
    """`items` carry their own apiVersion and kind. `resource_version` is where a watch can start."""

    items: tuple[Object, ...]
    resource_version: str


@dataclass(frozen=True, slots=True)
class WatchEvent:
    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    object: Object

    @property
    def ends_initial_events(self) -> bool:
        """Tell whether this is the bookmark behind what was there when a watch with initial events began."""
        annotations = self.object["metadata"].get("annotations") or {}
        return self.type == "BOOKMARK" and annotations.get(INITIAL_EVENTS_END) == "true"


class Api(Protocol):
    """Every method raises `ApiError` when the server refuses, and `ConnectionError` when it is out of reach.

    `namespace` is "" for cluster-scoped resources, and in `list` and `watch` for all namespaces.
    """

    async def resources(self) -> tuple[Resource, ...]:
        """Return what objects the server keeps, each resource in the version that it prefers."""

    async def get(self, resource: Resource, namespace: str, name: str) -> Object: ...

    async def list(
        self, resource: Resource, namespace: str = "", *, label_selector: str = "", field_selector: str = ""
    ) -> ObjectList: ...

    def watch(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        resource_version: str,
        label_selector: str = "",
        field_selector: str = "",
        initial_events: bool = False,
    ) -> AbstractAsyncContextManager[AsyncIterator[WatchEvent]]:
        """Open a watch from just after *resource_version*; 410 Gone (ApiError) when that is compacted.

        With *initial_events* what is there comes first, as ADDED, and a bookmark ends it (KEP-3157): a list
        and a watch in one, not older than *resource_version*. Servers that cannot do it refuse (ApiError).
        """

    async def create(self, resource: Resource, obj: Object, *, subresource: str = "") -> Object:
        """Create *obj*; with a subresource (`binding`), POST to it at the object's own name."""

    async def update(self, resource: Resource, obj: Object, *, subresource: str = "") -> Object: ...

    async def patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        patch: Object | Sequence[Any],
        patch_type: PatchType = PatchType.MERGE,
        *,
        subresource: str = "",
    ) -> Object: ...

    async def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        *,
        grace_period_s: int | None = None,
        uid: str | None = None,
        propagation: Literal["Background", "Foreground", "Orphan"] | None = None,
    ) -> None: ...
