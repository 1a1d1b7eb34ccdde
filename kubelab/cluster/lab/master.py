"""A master: its member of the store, API server, scheduler and controller manager, each a program of its own.

They are as kubeadm's stacked topology has them: each API server uses the store's member of its own machine,
scheduler and controller manager the API server of theirs, and those two work on one master at a time.
Source: https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/ha-topology/.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Any

from kubelab.cluster.apiserver import plugins
from kubelab.cluster.apiserver.access import Access
from kubelab.cluster.apiserver.authentication.claims import legacy_claims
from kubelab.cluster.apiserver.bootstrap import bootstrap
from kubelab.cluster.apiserver.caller import (
    AUTHENTICATED,
    CONTROLLER_MANAGER,
    SCHEDULER,
    Caller,
    User,
    service_account,
)
from kubelab.cluster.apiserver.endpoint_reconciler import EndpointReconciler
from kubelab.cluster.apiserver.registry import Registry
from kubelab.cluster.apiserver.request_log import RequestLog
from kubelab.cluster.apiserver.server import serve
from kubelab.cluster.client.api import Api
from kubelab.cluster.client.leader_election import LeaderElector
from kubelab.cluster.clock import Clock
from kubelab.cluster.controllers.manager import Signing, run_controllers
from kubelab.cluster.lab.keys import ClusterKeys
from kubelab.cluster.lab.listening import listen
from kubelab.cluster.lab.local_client import Connections, LocalClient
from kubelab.cluster.lab.program import Goodbye
from kubelab.cluster.lab.store_engine import StoreEngine
from kubelab.cluster.linux.background import background
from kubelab.cluster.linux.suspension import Suspension
from kubelab.cluster.machine.namespaced import NamespacedMachine
from kubelab.cluster.objects import Object
from kubelab.cluster.scheduler.scheduler import run_scheduler
from kubelab.cluster.store.compactor import keep_compacted

PORT = 6443


@dataclass(slots=True)
class Master:
    """What outlives the master's machine. `requests`: what has been asked of its API server. `server`: those
    connections that its API server has within this process, None while it does not run."""

    name: str
    address: IPv4Address
    store: StoreEngine
    keys: ClusterKeys
    requests: RequestLog = field(default_factory=RequestLog)
    server: Connections | None = None

    @property
    def url(self) -> str:
        return f"https://{self.address}:{PORT}"

    @property
    def answers(self) -> bool:
        return self.server is not None and self.server.answers

    def reach(self) -> Connections:
        """Raises ConnectionError when the API server does not run."""
        if self.server is None:
            raise ConnectionRefusedError(f"the API server of {self.name} does not run")
        return self.server

    def acting_as(self, user: User, program: str) -> Api:
        """Return the cluster as *program* on this master may use it under its own name."""
        return LocalClient(self.reach, Caller(user, program))


@asynccontextmanager
async def api_server(
    master: Master, machine: NamespacedMachine, clock: Clock, suspension: Suspension
) -> AsyncIterator[Goodbye]:
    """Run kube-apiserver on *machine*, on the store's member there: when that ends, so does this."""
    async with master.store.opened(machine) as service:
        registry = Registry(service, clock, access=Access(master.keys.service_accounts))
        admission = plugins.install(registry)
        await bootstrap(registry)
        endpoints = EndpointReconciler(registry, master.address, PORT)
        await endpoints.reconcile()
        listening = listen(machine.socket(), str(master.address), PORT)
        async with (
            serve(
                registry,
                master.keys.security[master.name],
                [listening],
                dial=machine.socket,
                requests=master.requests,
                measures=True,
            ),
            background(endpoints.run(), keep_compacted(service, clock), admission.run()),
        ):
            master.server = connections = Connections(registry, suspension)
            try:
                yield endpoints.remove
            finally:
                master.server = None
                connections.close()


@asynccontextmanager
async def scheduler(master: Master, clock: Clock) -> AsyncIterator[Goodbye]:
    """Run kube-scheduler: it works while it leads."""
    api = master.acting_as(_component(SCHEDULER), "kube-scheduler")
    elector = _elector(master, api, clock, "kube-scheduler", component="default-scheduler")
    async with _elected(elector, lambda: run_scheduler(api, clock)) as goodbye:
        yield goodbye


@asynccontextmanager
async def controller_manager(master: Master, clock: Clock) -> AsyncIterator[Goodbye]:
    """Run kube-controller-manager: each controller as the service account of its name, while it leads."""
    program, keys = "kube-controller-manager", master.keys

    def client(name: str) -> Api:
        return master.acting_as(service_account("kube-system", name), program)

    def issue_token(account: Object, secret: Object) -> str:
        return keys.service_accounts.sign(legacy_claims(account, secret))

    signing = Signing(keys.ca_pem, issue_token, keys.authority.sign_request)
    api = master.acting_as(_component(CONTROLLER_MANAGER), program)
    elector = _elector(master, api, clock, program, component=program)
    async with _elected(
        elector, lambda: run_controllers(api, clock, clients=client, signing=signing)
    ) as goodbye:
        yield goodbye


def _component(name: str) -> User:
    return User(name, (AUTHENTICATED,))


def _elector(master: Master, api: Api, clock: Clock, name: str, *, component: str) -> LeaderElector:
    identity = f"{master.name}_{uuid.uuid4()}"
    return LeaderElector(api, clock, name=name, identity=identity, component=component)


@asynccontextmanager
async def _elected(
    elector: LeaderElector, work: Callable[[], Coroutine[Any, Any, None]]
) -> AsyncIterator[Goodbye]:
    """Do *work* while *elector* leads. To say goodbye is to end the work, and then to let others lead."""
    async with asyncio.TaskGroup() as group:
        leading = group.create_task(elector.lead(work))

        async def goodbye() -> None:
            leading.cancel()
            await asyncio.wait([leading])
            await elector.release()

        yield goodbye
        leading.cancel()
