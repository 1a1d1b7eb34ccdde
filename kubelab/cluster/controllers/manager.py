"""All controllers in one place: one informer for each resource, shared by all of them.

Source: kubernetes, cmd/kube-controller-manager/app/controllermanager.go.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Protocol

from kubelab.cluster.client.api import Api
from kubelab.cluster.client.events import EventRecorder
from kubelab.cluster.client.informer import Informer
from kubelab.cluster.clock import Clock
from kubelab.cluster.controllers.certificate_approving import CertificateApprovingController
from kubelab.cluster.controllers.certificate_signing import CertificateSigningController, SignRequest
from kubelab.cluster.controllers.clusterrole_aggregation import ClusterRoleAggregationController
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
from kubelab.cluster.controllers.resource_quota import ResourceQuotaController
from kubelab.cluster.controllers.root_ca_publisher import RootCaPublisher
from kubelab.cluster.controllers.service_accounts import ServiceAccountController
from kubelab.cluster.controllers.token_secrets import Issue, TokenSecretController
from kubelab.cluster.objects import (
    CERTIFICATESIGNINGREQUESTS,
    CLUSTERROLES,
    CONFIGMAPS,
    DEPLOYMENTS,
    EVENTS,
    LEASES,
    LIMITRANGES,
    NAMESPACES,
    NODES,
    PODS,
    REPLICASETS,
    REPLICATIONCONTROLLERS,
    RESOURCEQUOTAS,
    ROLEBINDINGS,
    ROLES,
    SECRETS,
    SERVICEACCOUNTS,
    Resource,
)

# Events have no owners and own nothing: the garbage collector need not follow them.
WATCHED = (
    NAMESPACES,
    NODES,
    PODS,
    CONFIGMAPS,
    SECRETS,
    SERVICEACCOUNTS,
    REPLICASETS,
    REPLICATIONCONTROLLERS,
    DEPLOYMENTS,
    LEASES,
    CLUSTERROLES,
    CERTIFICATESIGNINGREQUESTS,
    RESOURCEQUOTAS,
)
# In this order a namespace is emptied: owners before what they would make again.
NAMESPACED = (
    *(DEPLOYMENTS, REPLICASETS, REPLICATIONCONTROLLERS, PODS, CONFIGMAPS, SECRETS, SERVICEACCOUNTS, LEASES),
    *(ROLEBINDINGS, ROLES, LIMITRANGES, RESOURCEQUOTAS, EVENTS),
)

Clients = Callable[[str], Api]
"""From a controller's name to the cluster as it may use it: each acts as a service account of its own."""


@dataclass(frozen=True, slots=True)
class Signing:
    """What some controllers have besides the cluster: its authority's certificate and its keys."""

    ca_pem: bytes
    issue_token: Issue
    sign_request: SignRequest


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


async def run_controllers(
    api: Api, clock: Clock, *, clients: Clients | None = None, signing: Signing | None = None
) -> None:
    """Run every controller until cancelled.

    What they share is read through *api*; without *clients* they do everything else so, too. Without
    *signing*, nobody publishes certificates and tokens.
    """
    clients = clients or (lambda _: api)
    informers = informers_for(api, clock)
    async with AsyncExitStack() as lifetimes, asyncio.TaskGroup() as group:
        for informer in informers.values():
            await lifetimes.enter_async_context(informer)
        recorders = {name: EventRecorder(clients(name), clock, name) for name in _COMPONENTS}
        for recorder in recorders.values():
            group.create_task(recorder.run())
        for controller in _controllers(clients, clock, informers, recorders):
            group.create_task(controller.run())
        for controller in _signers(api, clients, clock, informers, signing) if signing else ():
            group.create_task(controller.run())


_COMPONENTS = ("deployment-controller", "replicaset-controller", "replication-controller", "node-controller")


class _Runs(Protocol):
    async def run(self) -> None: ...


def _controllers(
    clients: Clients, clock: Clock, informers: dict[Resource, Informer], events: dict[str, EventRecorder]
) -> list[_Runs]:
    sets, pods = informers[REPLICASETS], informers[PODS]
    nodes, leases = informers[NODES], informers[LEASES]
    return [
        DeploymentController(
            clients("deployment-controller"),
            clock,
            informers[DEPLOYMENTS],
            sets,
            pods,
            events["deployment-controller"],
        ),
        ReplicaSetController(
            clients("replicaset-controller"), clock, sets, pods, events["replicaset-controller"]
        ),
        ReplicaSetController(
            clients("replication-controller"),
            clock,
            informers[REPLICATIONCONTROLLERS],
            pods,
            events["replication-controller"],
        ),
        NamespaceController(clients("namespace-controller"), clock, informers[NAMESPACES], NAMESPACED),
        GarbageCollector(clients("generic-garbage-collector"), clock, informers),
        PodGarbageCollector(clients("pod-garbage-collector"), clock, nodes, pods),
        EventGarbageCollector(clients("event-garbage-collector"), clock),
        NodeLifecycleController(
            clients("node-controller"), clock, nodes, leases, pods, events["node-controller"]
        ),
        ServiceAccountController(
            clients("service-account-controller"), clock, informers[NAMESPACES], informers[SERVICEACCOUNTS]
        ),
        CertificateApprovingController(
            clients("certificate-controller"), clock, informers[CERTIFICATESIGNINGREQUESTS]
        ),
        ClusterRoleAggregationController(
            clients("clusterrole-aggregation-controller"), clock, informers[CLUSTERROLES]
        ),
        ResourceQuotaController(
            clients("resourcequota-controller"), clock, informers[RESOURCEQUOTAS], informers
        ),
    ]


def _signers(
    api: Api, clients: Clients, clock: Clock, informers: dict[Resource, Informer], signing: Signing
) -> list[_Runs]:
    namespaces, accounts = informers[NAMESPACES], informers[SERVICEACCOUNTS]
    publisher, ca_pem = clients("root-ca-cert-publisher"), signing.ca_pem
    return [
        RootCaPublisher(publisher, clock, namespaces, informers[CONFIGMAPS], ca_pem),
        CertificateSigningController(
            clients("certificate-controller"),
            clock,
            informers[CERTIFICATESIGNINGREQUESTS],
            signing.sign_request,
        ),
        # The controller manager's own: who hands out tokens cannot wait for one.
        TokenSecretController(api, clock, accounts, informers[SECRETS], signing.issue_token, ca_pem),
    ]
