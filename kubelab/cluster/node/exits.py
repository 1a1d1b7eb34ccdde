"""Brings each container's exit to the pod it belongs to, however early it comes."""

from collections import OrderedDict
from typing import Protocol

from kubelab.cluster.runtime.cri import ContainerExit

UNCLAIMED_MAX = 1024


class Follower(Protocol):
    def exited(self, exit_: ContainerExit) -> None: ...


class Exits:
    """A process can be gone before the answer to its start has come back: such an exit waits here."""

    def __init__(self) -> None:
        self._followers: dict[str, Follower] = {}
        self._unclaimed: OrderedDict[str, ContainerExit] = OrderedDict()

    def follow(self, container_id: str, follower: Follower) -> None:
        if exit_ := self._unclaimed.pop(container_id, None):
            follower.exited(exit_)
        else:
            self._followers[container_id] = follower

    def report(self, exit_: ContainerExit) -> None:
        if follower := self._followers.pop(exit_.id, None):
            follower.exited(exit_)
            return
        self._unclaimed[exit_.id] = exit_
        if len(self._unclaimed) > UNCLAIMED_MAX:
            self._unclaimed.popitem(last=False)
