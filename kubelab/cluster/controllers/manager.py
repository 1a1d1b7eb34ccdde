"""All controllers in one place: one informer for each resource, shared by all of them.

Source: kubernetes, cmd/kube-controller-manager/app/controllermanager.go.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Protocol

from kubelab.cluster.client.api import Api
from kubelab.cluster.client.events import EventRecorder
from kubelab.cluster.client.informer import Informer
from kubelab.cluster.clock import Clock
from kubelab.cluster.controllers.deployment import DeploymentController
from kubelab.cluster.controllers.event_garbage import EventGarbageCollector
from kubelab.cluster.controllers.garbage_collector import (
    OWNER_INDEX,
    UID_INDEX,
    GarbageCollector,
    own_uid,
    owner_uids,
)
from kubelab.cluster.controllers.namespace import NamespaceController
from kubelab.cluster.controllers.node_lifecycle import NODE_INDEX, NodeLifecycleController, node_name
from kubelab.cluster.controllers.ownership import CONTROLLER_INDEX, controller_uid
from kubelab.cluster.controllers.pod_garbage import PodGarbageCollector
from kubelab.cluster.controllers.replicaset import ReplicaSetController
from kubelab.cluster.objects import (
    CONFIGMAPS,
    DEPLOYMENTS,
    EVENTS,
    LEASES,
    NAMESPACES,
    NODES,
    PODS,
    REPLICASETS,
    Resource,
)

# Events have no owners and own nothing: the garbage collector need not follow them.
WATCHED = (NAMESPACES, NODES, PODS, CONFIGMAPS, REPLICASETS, DEPLOYMENTS, LEASES)
# In this order a namespace is emptied: owners before what they would make again.
NAMESPACED = (DEPLOYMENTS, REPLICASETS, PODS, CONFIGMAPS, LEASES, EVENTS)


def informers_for(
    api: Api, clock: Clock, resources: Sequence[Resource] = WATCHED
) -> dict[Resource, Informer]:
    indexes = {
        UID_INDEX: own_uid,
        OWNER_INDEX: owner_uids,
        CONTROLLER_INDEX: controller_uid,
        NODE_INDEX: node_name,
    }
    return {resource: Informer(api, resource, clock=clock, indexes=indexes) for resource in resources}


async def run_controllers(api: Api, clock: Clock) -> None:
    """Run every controller until cancelled."""
    informers = informers_for(api, clock)
    async with AsyncExitStack() as lifetimes, asyncio.TaskGroup() as group:
        for informer in informers.values():
            await lifetimes.enter_async_context(informer)
        recorders = {name: EventRecorder(api, clock, name) for name in _COMPONENTS}
        for recorder in recorders.values():
            group.create_task(recorder.run())
        for controller in _controllers(api, clock, informers, recorders):
            group.create_task(controller.run())


_COMPONENTS = ("deployment-controller", "replicaset-controller", "node-controller")


class _Runs(Protocol):
    async def run(self) -> None: ...


def _controllers(
    api: Api, clock: Clock, informers: dict[Resource, Informer], events: dict[str, EventRecorder]
) -> list[_Runs]:
    sets, pods = informers[REPLICASETS], informers[PODS]
    nodes, leases = informers[NODES], informers[LEASES]
    return [
        DeploymentController(api, clock, informers[DEPLOYMENTS], sets, pods, events["deployment-controller"]),
        ReplicaSetController(api, clock, sets, pods, events["replicaset-controller"]),
        NamespaceController(api, clock, informers[NAMESPACES], NAMESPACED),
        GarbageCollector(api, clock, informers),
        PodGarbageCollector(api, clock, nodes, pods),
        EventGarbageCollector(api, clock),
        NodeLifecycleController(api, clock, nodes, leases, pods, events["node-controller"]),
    ]
