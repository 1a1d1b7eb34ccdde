"""A machine: a place with its own network, pid, mount, uts, ipc and cgroup namespaces, on the lab's network.

A machine is not a Node: a Node is the API object that a kubelet on a machine registers.
"""

import socket
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address
from typing import Literal, Protocol

from kubelab.cluster.runtime.terminal import WindowSize as WindowSize

Role = Literal["master", "minion", "scratch"]


class Process(Protocol):
    """A program that runs on a machine. `pid` is the host's. With a terminal, `fd` is the master side of a
    pty of the machine's own devpts, non-blocking, and belongs to the holder; without, it is -1."""

    @property
    def pid(self) -> int: ...

    @property
    def fd(self) -> int: ...

    async def wait(self) -> int:
        """Return the exit code; 128 + signal for a killed process."""

    def resize(self, size: WindowSize) -> None: ...

    def kill(self, signal: int) -> None:
        """Signal the process through its pidfd; nothing happens if it is gone."""

    async def close(self) -> None:
        """End the whole session of the process (SIGHUP, then SIGKILL) and close `fd`."""


class Machine(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def role(self) -> Role: ...

    @property
    def address(self) -> IPv4Address: ...

    @property
    def pid(self) -> int:
        """The pid of the machine's init on the host: /proc/<pid>/ns names the machine's namespaces."""

    async def spawn(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str = "/root",
        terminal: WindowSize | None = None,
        stdin: int | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
    ) -> Process:
        """Start *argv* on the machine, with a terminal of that size or with the given file descriptors
        (they stay the caller's). Without *stdin* and *stdout* those are /dev/null, without *stderr* it is
        where *stdout* is."""

    async def open_socket(
        self, family: int = socket.AF_INET, type_: int = socket.SOCK_STREAM
    ) -> socket.socket:
        """Return a non-blocking socket that lives in the machine's network namespace."""

    async def end_programs(self) -> None:
        """Kill all that runs on the machine but its pods: shells, and whatever was started in them.

        Raises:
            LabError: something did not end; restart the machine.
        """

    async def examine(self) -> tuple[str, ...]:
        """Return what of the machine is damaged, in a few words each; nothing if it is as it was built."""

    async def write_file(self, path: str, content: bytes, *, mode: int = 0o644) -> None:
        """Write a file on the machine, making its directories."""
