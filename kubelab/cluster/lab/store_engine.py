"""What a master has of the cluster's store, whichever it is: the lab's own, a real etcd, or one elsewhere."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from kubelab.cluster.clock import Clock
from kubelab.cluster.lab.program import Goodbye
from kubelab.cluster.linux.suspension import Suspension
from kubelab.cluster.machine.namespaced import NamespacedMachine
from kubelab.cluster.store.member_view import MemberView
from kubelab.cluster.store.service import KeyValueService


class StoreEngine(Protocol):
    async def install(self, machine: NamespacedMachine) -> None:
        """Put what people need to look at the store on *machine*: certificates."""

    def run(
        self, machine: NamespacedMachine, clock: Clock, suspension: Suspension
    ) -> AbstractAsyncContextManager[Goodbye]:
        """Run the master's member. See `program.Program`."""

    def opened(self, machine: NamespacedMachine) -> AbstractAsyncContextManager[KeyValueService]:
        """Use the member as the API server of *machine*; wait until it answers.

        Raises:
            ConnectionError: it does not run; or on leaving the block early: it has ended.
            LabError: it cannot be used.
        """

    def signal(self, number: int) -> None:
        """Signal the member, if it is a process."""

    def view(self) -> MemberView | None:
        """Return how its Raft is; None while it does not run, or does not tell."""
