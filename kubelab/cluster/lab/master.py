"""The master: API server on its machine's network (and on the host's loopback), scheduler, controllers.

What is on a real master's disk (the store, the keys) is in `Master`, and what runs on its machine in
`start_master`: so the machine can be started anew and nothing is forgotten.
Source: https://kubernetes.io/docs/concepts/architecture/#control-plane-components.
"""

import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address

from kubelab.cluster.apiserver import plugins
from kubelab.cluster.apiserver.access import Access
from kubelab.cluster.apiserver.authentication.claims import legacy_claims
from kubelab.cluster.apiserver.authorized import authorized
from kubelab.cluster.apiserver.bootstrap import bootstrap
from kubelab.cluster.apiserver.caller import (
    AUTHENTICATED,
    CONTROLLER_MANAGER,
    SCHEDULER,
    Caller,
    User,
    service_account,
)
from kubelab.cluster.apiserver.listers import Listers
from kubelab.cluster.apiserver.local import LocalApi
from kubelab.cluster.apiserver.pki import Authority, KeyPair, client_context, server_context
from kubelab.cluster.apiserver.registry import Registry
from kubelab.cluster.apiserver.request_log import RequestLog
from kubelab.cluster.apiserver.server import Security, serve
from kubelab.cluster.client import kubeconfig
from kubelab.cluster.client.api import Api
from kubelab.cluster.client.kubeconfig import ClientConfig
from kubelab.cluster.clock import Clock
from kubelab.cluster.controllers.manager import Signing, run_controllers
from kubelab.cluster.lab.directory import LabDirectory
from kubelab.cluster.lab.listening import listen
from kubelab.cluster.linux.background import background
from kubelab.cluster.linux.threads import in_thread
from kubelab.cluster.machine.namespaced import NamespacedMachine
from kubelab.cluster.objects import NODES, Object
from kubelab.cluster.scheduler.scheduler import run_scheduler
from kubelab.cluster.store.compactor import keep_compacted
from kubelab.cluster.store.memory import MemoryStore
from kubelab.cluster.store.protocol import Store

PORT = 6443
LOOPBACK = "127.0.0.1"


@dataclass(slots=True)
class Master:
    """What outlives the master's machine. `server` is where the machines reach the API server, `port` where
    the host does on its loopback, 0 until a free one was found."""

    registry: Registry
    store: Store
    authority: Authority
    security: Security
    server: str
    port: int
    requests: RequestLog
    """What has been asked of the API server, since the master was made."""
    admission: Listers
    """What admission reads of the cluster."""

    @staticmethod
    async def create(
        name: str, address: IPv4Address, directory: LabDirectory, port: int, clock: Clock
    ) -> "Master":
        """Make the keys and an empty cluster for a master of that name and address."""
        authority = await in_thread(Authority.create, directory.pki, clock.now())
        security = await in_thread(_security, authority, name, address)
        store = MemoryStore()
        key = await in_thread(authority.service_accounts)
        registry = Registry(store, clock, access=Access(key))
        admission = plugins.install(registry)
        await bootstrap(registry, [address], PORT)
        server = f"https://{address}:{PORT}"
        return Master(registry, store, authority, security, server, port, RequestLog(), admission)

    @property
    def api(self) -> Api:
        return LocalApi(self.registry)

    def acting_as(self, user: User, component: str) -> Api:
        """Return the cluster as *component* may use it under its own name."""
        return authorized(self.registry, Caller(user, component))

    def client_config(self, pair: KeyPair) -> ClientConfig:
        return client_config(self.authority, pair, self.server)

    def kubeconfig(self) -> bytes:
        """Return the administrator's kubeconfig for the machines."""
        return kubeconfig.render(self.client_config(self.authority.admin())).encode()

    async def nodes_ready(self, count: int) -> None:
        """Wait until *count* nodes are Ready."""
        listed = await self.api.list(NODES)
        ready = {node["metadata"]["name"] for node in listed.items if _is_ready(node)}
        async with self.api.watch(NODES, resource_version=listed.resource_version) as events:
            while len(ready) < count:
                node = (await anext(events)).object
                if _is_ready(node):
                    ready.add(node["metadata"]["name"])


def client_config(authority: Authority, pair: KeyPair, server: str) -> ClientConfig:
    return ClientConfig(
        server=server,
        ca_pem=authority.certificate_path.read_bytes(),
        certificate_pem=pair.certificate.read_bytes(),
        key_pem=pair.key.read_bytes(),
    )


@asynccontextmanager
async def start_master(
    machine: NamespacedMachine, master: Master, directory: LabDirectory, clock: Clock
) -> AsyncIterator[Master]:
    """Run the master's components on *machine*; write the administrator's kubeconfig for this host.

    Raises:
        LabError: its port on the loopback is in use.
    """
    with (
        listen(socket.socket(), LOOPBACK, master.port) as on_host,
        listen(machine.socket(), str(machine.address), PORT) as on_machine,
    ):
        _, master.port = on_host.getsockname()
        admin = master.authority.admin()
        local = client_config(master.authority, admin, f"https://{LOOPBACK}:{master.port}")
        kubeconfig.write(directory.kubeconfig, local)
        async with (
            serve(
                master.registry,
                master.security,
                [on_host, on_machine],
                dial=machine.socket,
                requests=master.requests,
                audit_log=directory.audit_log,
            ),
            background(
                _controllers(master, clock),
                run_scheduler(master.acting_as(_component(SCHEDULER), "kube-scheduler"), clock),
                keep_compacted(master.store, clock),
                master.admission.run(),
            ),
        ):
            yield master


def _component(name: str) -> User:
    return User(name, (AUTHENTICATED,))


async def _controllers(master: Master, clock: Clock) -> None:
    """Run the controllers, each as the service account of its name."""
    program, key = "kube-controller-manager", master.registry.access.key

    def client(name: str) -> Api:
        return master.acting_as(service_account("kube-system", name), program)

    def issue_token(account: Object, secret: Object) -> str:
        return key.sign(legacy_claims(account, secret))

    ca_pem = master.authority.certificate_path.read_bytes()
    signing = Signing(ca_pem, issue_token, master.authority.sign_request)
    api = master.acting_as(_component(CONTROLLER_MANAGER), program)
    await run_controllers(api, clock, clients=client, signing=signing)


def _security(authority: Authority, name: str, address: IPv4Address) -> Security:
    return Security(
        tls=server_context(
            authority.certificate_path,
            authority.apiserver([address], [name]),
            clients=ssl.CERT_OPTIONAL,
        ),
        kubelet_tls=client_context(authority.certificate_path, authority.apiserver_kubelet_client()),
    )


def _is_ready(node: Object) -> bool:
    conditions: Sequence[Object] = node.get("status", {}).get("conditions", ())
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
