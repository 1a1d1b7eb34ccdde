"""A machine with a pod runtime, and short words for what the tests do with it."""
# ruff: noqa: ASYNC110

import asyncio
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from kubelab.cluster.machine.namespaced import NamespacedMachine
from kubelab.cluster.runtime.cri import Container, ContainerExit, ContainerSpec, Limits, Sandbox, SandboxSpec
from kubelab.cluster.runtime.pods import PodRuntime

SHELL = "kubelab/shell"


@dataclass
class Node:
    machine: NamespacedMachine
    runtime: PodRuntime
    logs: Path
    numbers: count = field(default_factory=count)

    async def sandbox(self, **limits: int) -> Sandbox:
        return await self.pod(limits=Limits(**limits))

    async def pod(self, **fields: object) -> Sandbox:
        uid = f"uid-{next(self.numbers)}"
        return await self.runtime.run_sandbox(SandboxSpec(uid, "default", uid, uid, **fields))

    async def start(self, sandbox: Sandbox, *argv: str, **fields: object) -> Container:
        log = self.logs / f"{next(self.numbers)}.log"
        spec = {"name": "main", "image": SHELL, "command": argv, "env": {}, "log_path": log} | fields
        return await self.runtime.start_container(sandbox.uid, ContainerSpec(**spec))

    async def run(self, sandbox: Sandbox, *argv: str, **fields: object) -> tuple[ContainerExit, str]:
        """Run a container to its end; return its exit and its log without the timestamps."""
        log = self.logs / f"{next(self.numbers)}.log"
        async with self.runtime.exits() as exits:
            container = await self.start(sandbox, *argv, log_path=log, **fields)
            async for end in exits:
                if end.id == container.id:
                    break
        lines = log.read_text().splitlines(keepends=True)
        return end, "".join(line.split(" ", 1)[1] for line in lines)

    async def shell(self, sandbox: Sandbox, script: str, **fields: object) -> str:
        """Run a script in the pod; return its output."""
        _, log = await self.run(sandbox, "sh", "-c", script, **fields)
        return "".join(line.split(" ", 2)[2] for line in log.splitlines(keepends=True))

    def log_of(self, container: Container) -> Path:
        return self.logs / f"{container.name}.log"

    async def logged(self, container: Container, wanted: str) -> str:
        """Wait until the log has *wanted*, and return the log."""
        while wanted not in (text := self.log_of(container).read_text()):
            await asyncio.sleep(0.002)
        return text

    async def named(self, sandbox: Sandbox, script: str, **fields: object) -> Container:
        """Start a script in a container of its own name, whose log is at `log_of`."""
        name = f"c{next(self.numbers)}"
        return await self.start(
            sandbox, "sh", "-c", script, name=name, log_path=self.logs / f"{name}.log", **fields
        )
