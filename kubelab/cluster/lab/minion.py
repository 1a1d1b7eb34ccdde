"""A minion: a kubelet and its container runtime on a machine, talking to the master over the machine's cable.

Source: https://kubernetes.io/docs/concepts/architecture/#node-components. Left out: kube-proxy.
"""

import socket
import ssl
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from ipaddress import IPv4Network
from typing import Any

from kubelab.cluster.apiserver import bundled_kubectl
from kubelab.cluster.apiserver.pki import server_context
from kubelab.cluster.client.https import HttpsApi
from kubelab.cluster.client.kubeconfig import ClientConfig
from kubelab.cluster.clock import Clock
from kubelab.cluster.images.store import ImageStore
from kubelab.cluster.lab.directory import LabDirectory
from kubelab.cluster.lab.listening import listen
from kubelab.cluster.lab.master import Master
from kubelab.cluster.linux.background import background
from kubelab.cluster.linux.threads import in_thread
from kubelab.cluster.machine.namespaced import NamespacedMachine
from kubelab.cluster.node.config import PORT, KubeletConfig, host_cpus, host_memory_bytes
from kubelab.cluster.node.kubelet import run_kubelet
from kubelab.cluster.runtime.pods import PodRuntime, start_pods


@asynccontextmanager
async def start_minion(
    machine: NamespacedMachine, master: Master, images: ImageStore, directory: LabDirectory, clock: Clock
) -> AsyncIterator[PodRuntime]:
    """Run a kubelet on *machine*; its pods end with it."""
    assert machine.pods is not None
    config = await in_thread(_config, machine, machine.pods, directory)
    tls, client = await in_thread(_credentials, machine, master)
    with listen(machine.socket(socket.AF_INET, socket.SOCK_STREAM), str(machine.address), PORT) as listening:
        async with (
            start_pods(machine.shim, machine.pods, images) as runtime,
            HttpsApi.connect(client, open_socket=machine.socket, user_agent="kubelet") as api,
            background(_until_gone(machine, run_kubelet(config, api, runtime, clock, listening, tls))),
        ):
            yield runtime


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


def _credentials(machine: NamespacedMachine, master: Master) -> tuple[ssl.SSLContext, ClientConfig]:
    """Make the kubelet's keys, some 30 ms of files and arithmetic: its server's, and its own as a client."""
    certificate = master.authority.kubelet_server(machine.name, [machine.address])
    tls = server_context(master.authority.certificate_path, certificate)
    return tls, master.client_config(master.authority.kubelet(machine.name))


async def _until_gone(machine: NamespacedMachine, kubelet: Coroutine[Any, Any, None]) -> None:
    """End the kubelet with its machine, where it would be a process: its node then becomes NotReady."""
    async with background(kubelet):
        await machine.gone()
