"""A minion: a kubelet and its container runtime on a machine, talking to the masters over its cable.

The runtime lives as long as its machine, the kubelet can end and begin again beside it: pods go on meanwhile.
Source: https://kubernetes.io/docs/concepts/architecture/#node-components. Left out: kube-proxy.
"""

import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Network

from kubelab.cluster.apiserver import bundled_kubectl
from kubelab.cluster.apiserver.pki import server_context
from kubelab.cluster.client.https import HttpsApi
from kubelab.cluster.client.kubeconfig import ClientConfig
from kubelab.cluster.clock import Clock
from kubelab.cluster.lab.directory import LabDirectory
from kubelab.cluster.lab.keys import ClusterKeys
from kubelab.cluster.lab.listening import listen
from kubelab.cluster.lab.program import Goodbye
from kubelab.cluster.linux.background import background
from kubelab.cluster.linux.threads import in_thread
from kubelab.cluster.machine.namespaced import NamespacedMachine
from kubelab.cluster.node.config import PORT, KubeletConfig, host_cpus, host_memory_bytes
from kubelab.cluster.node.kubelet import run_kubelet
from kubelab.cluster.runtime.pods import PodRuntime


@asynccontextmanager
async def kubelet(
    machine: NamespacedMachine,
    runtime: PodRuntime,
    keys: ClusterKeys,
    servers: tuple[str, ...],
    directory: LabDirectory,
    clock: Clock,
) -> AsyncIterator[Goodbye]:
    """Run a kubelet on *machine* that knows all *servers*, and asks the first one first."""
    assert machine.pods is not None
    config = await in_thread(_config, machine, machine.pods, directory)
    tls, client = await in_thread(_credentials, machine, keys, servers)
    with listen(machine.socket(socket.AF_INET, socket.SOCK_STREAM), str(machine.address), PORT) as listening:
        async with (
            HttpsApi.connect(client, open_socket=machine.socket, user_agent="kubelet") as api,
            background(run_kubelet(config, api, runtime, clock, listening, tls)),
        ):
            yield _nothing


async def _nothing() -> None:
    """A kubelet says no goodbye: its node is NotReady some time later."""


def _config(machine: NamespacedMachine, pods: IPv4Network, directory: LabDirectory) -> KubeletConfig:
    return KubeletConfig(
        node_name=machine.name,
        address=machine.address,
        pod_cidr=pods,
        log_directory=directory.pods / machine.name,
        cpus=host_cpus(),
        memory_bytes=host_memory_bytes(),
        version=f"{bundled_kubectl.version()}+kubelab",
    )


def _credentials(
    machine: NamespacedMachine, keys: ClusterKeys, servers: tuple[str, ...]
) -> tuple[ssl.SSLContext, ClientConfig]:
    """Make the kubelet's keys, some 30 ms of files and arithmetic: its server's, and its own as a client."""
    authority = keys.authority
    tls = server_context(
        authority.certificate_path, authority.kubelet_server(machine.name, [machine.address])
    )
    return tls, keys.client_config(authority.kubelet(machine.name), *servers)
