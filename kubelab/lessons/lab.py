"""What a lesson needs of the lab that it runs on. `kubelab.cluster.lab.Lab` satisfies it."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Protocol

from kubelab.cluster.apiserver.request_log import RequestLog
from kubelab.cluster.client.api import Api
from kubelab.cluster.lab.control import ShellOffer
from kubelab.cluster.machine.machine import Machine
from kubelab.cluster.store.requests import KeyValue
from kubelab.cluster.store.state import StoreState


class LabPort(Protocol):
    @property
    def machines(self) -> Mapping[str, Machine]:
        """The machines that run now, by name, scratch machines included."""

    @property
    def api(self) -> Api:
        """The cluster's API, with the administrator's rights."""

    @property
    def home(self) -> str:
        """The machine on which the shell of a cluster's lesson runs, unless the lesson names another."""

    @property
    def kubeconfig_on_machine(self) -> str:
        """The path of the administrator's kubeconfig on every machine."""

    def store(self) -> StoreState | None:
        """Return what the cluster's store is like now; None while there is none to look into."""

    async def stored(self, key: bytes, member: str = "") -> KeyValue | None:
        """Return what the cluster's store has under *key*: what is agreed on, or *member*'s own copy.

        Raises:
            LabError: the store cannot be looked into, or there is no such member.
            StoreError: it does not answer.
        """

    def requests(self) -> RequestLog | None:
        """Return what reaches the cluster's API server; None while there is none, or it cannot be seen."""

    async def ready(self) -> None:
        """Wait until all nodes of the cluster are Ready."""

    async def restart(self, name: str) -> None:
        """Start a machine of the cluster anew, its disk as new; `machines` has another object then.

        Raises:
            LabError: there is no such machine, or it could not be started.
        """

    def offering(self, offer: ShellOffer) -> AbstractContextManager[None]:
        """Open shells of other terminals as *offer* says, during the block."""

    def scratch(self, name: str) -> AbstractAsyncContextManager[Machine]:
        """Run a machine with no Node, for a lesson without a cluster; on exit it is gone."""
