"""A container runtime of plain values, for tests that need virtual time: containers run until told to end."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from itertools import count

from kubelab.cluster.clock import Clock
from kubelab.cluster.runtime.cri import (
    Container,
    ContainerExit,
    ContainerSpec,
    ImageError,
    ImageStatus,
    Sandbox,
    SandboxSpec,
    StartError,
    Volume,
)


class MemoryRuntime:
    """`missing_images` cannot be pulled, `bad_commands` not be started. `calls`: what was asked, in order."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ids = count(1)
        self._reports: asyncio.Queue[ContainerExit] = asyncio.Queue()
        self.images: set[str] = set()
        self.image_user = ""
        self.missing_images: set[str] = set()
        self.bad_commands: set[str] = set()
        self.ignores_sigterm: set[str] = set()
        self.sandboxes: dict[str, SandboxSpec] = {}
        self.running: dict[str, ContainerSpec] = {}
        self.volumes: dict[str, tuple[Volume, ...]] = {}
        self.calls: list[str] = []

    async def image_status(self, image: str) -> ImageStatus | None:
        return ImageStatus(f"sha256:{image}", self.image_user) if image in self.images else None

    async def pull_image(self, image: str) -> str:
        self.calls.append(f"pull {image}")
        if image in self.missing_images:
            raise ImageError(f"{image}: not found")
        self.images.add(image)
        return f"sha256:{image}"

    async def set_up_volumes(self, uid: str, volumes: Sequence[Volume], group: int | None = None) -> None:
        self.volumes[uid] = tuple(volumes)

    async def run_sandbox(self, spec: SandboxSpec) -> Sandbox:
        self.calls.append(f"run sandbox {spec.name}")
        self.sandboxes[spec.uid] = spec
        return Sandbox(spec.uid, next(self._ids), IPv4Address("10.244.1.2"))

    async def remove_sandbox(self, uid: str) -> None:
        if spec := self.sandboxes.pop(uid, None):
            self.calls.append(f"remove sandbox {spec.name}")

    async def start_container(self, sandbox_uid: str, spec: ContainerSpec) -> Container:
        if spec.command and spec.command[0] in self.bad_commands:
            raise StartError(f"{spec.command[0]}: no such file or directory")
        self.calls.append(f"start {spec.name}")
        number = next(self._ids)
        self.running[f"c{number}"] = spec
        image_id = f"sha256:{spec.image}"
        return Container(f"c{number}", sandbox_uid, spec.name, image_id, number, self._clock.now())

    async def stop_container(self, container_id: str, grace_period_s: float) -> None:
        spec = self.running.get(container_id)
        if spec is None:
            return
        self.calls.append(f"stop {spec.name} {grace_period_s:g}")
        if spec.name in self.ignores_sigterm:
            await self._clock.sleep(grace_period_s)
            self.end(spec.name, 137)
        else:
            self.end(spec.name, 143)

    @asynccontextmanager
    async def exits(self) -> AsyncIterator[AsyncIterator[ContainerExit]]:
        async def reports() -> AsyncIterator[ContainerExit]:
            while True:
                yield await self._reports.get()

        yield reports()

    def end(self, name: str, exit_code: int, *, oom_killed: bool = False) -> None:
        """Let the running container *name* exit."""
        container_id = next(id_ for id_, spec in self.running.items() if spec.name == name)
        del self.running[container_id]
        self._reports.put_nowait(ContainerExit(container_id, exit_code, oom_killed, self._clock.now()))
