"""What of the cluster fails, and comes back, by itself: a program that runs on a machine.

Named as upstream's programs are: `etcd`, `kube-apiserver`, `kube-scheduler` and `kube-controller-manager` on
masters, `kubelet` on minions. Most of them run in the lab's own process; for those whom they serve they die,
stop and start as processes do (`linux.suspension` is how tasks stop). `kill` is SIGKILL, `stop` SIGSTOP,
`resume` SIGCONT. A component's machine may lose its power, too (`Power`): it is gone then.
"""

from collections.abc import Sequence
from typing import Literal, Protocol

State = Literal["running", "stopped", "dead"]
ComponentName = Literal["etcd", "kube-apiserver", "kube-scheduler", "kube-controller-manager", "kubelet"]


class Component(Protocol):
    """Each request is done when it returns, and does nothing where the state is that already."""

    @property
    def name(self) -> ComponentName: ...

    @property
    def machine(self) -> str: ...

    @property
    def state(self) -> State: ...

    @property
    def is_restarting(self) -> bool:
        """Whether it is dead because it failed, and will be started again by itself (kubelet: back-off)."""

    async def kill(self) -> None:
        """End it without a goodbye, stopped or not: its sockets close, what it had on disk stays."""

    async def start(self) -> None:
        """Start it again from what it had on disk.

        Raises:
            LabError: it could not be started; it is dead then.
        """

    async def stop(self) -> None:
        """Suspend it: its sockets stay open, nothing is read or answered, its timers stand still. Nothing
        happens to a dead one."""

    async def resume(self) -> None:
        """Let a stopped one go on; it finds all that came meanwhile, and its timers late."""


class Power(Protocol):
    """The machines of the cluster and what runs on them, as faults need them."""

    @property
    def components(self) -> Sequence[Component]:
        """Those of machines that have power, in the order of the machines."""

    async def power_off(self, machine: str) -> None:
        """Cut the machine's power: whatever ran there ends at once."""

    async def power_on(self, machine: str) -> None:
        """Start the machine again: same name and address, its disk as new, its components from their own.

        Raises:
            LabError: it could not be started; it is off then.
        """
