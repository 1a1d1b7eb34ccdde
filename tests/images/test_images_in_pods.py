"""Pods run what was built, loaded and pulled: on a real machine, with the runtime that a kubelet has."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from ground import ground_at
from image_files import directory, entry, made, symlink, tar, write_archive

from kubelab.cluster.images.store import ImageStore
from kubelab.cluster.machine.namespaced import NamespacedMachine
from kubelab.cluster.runtime.cri import Container, ContainerExit, ContainerSpec, Limits, SandboxSpec
from kubelab.cluster.runtime.pods import PodRuntime, start_pods

pytestmark = [pytest.mark.root, pytest.mark.asyncio(loop_scope="module")]


UNLIMITED = Limits()


@dataclass
class Node:
    machine: NamespacedMachine
    runtime: PodRuntime
    store: ImageStore
    logs: Path
    started: int = 0

    async def start(
        self, image: str, *args: str, limits: Limits = UNLIMITED, **env: str
    ) -> tuple[Container, str, Path]:
        """Start a pod of one container; return it, the pod's address and the log."""
        self.started += 1
        name = f"pod-{self.started}"
        sandbox = await self.runtime.run_sandbox(SandboxSpec(f"uid-{self.started}", "default", name, name))
        log = self.logs / name
        spec = ContainerSpec("c", image, (), env, log, args=args, limits=limits)
        container = await self.runtime.start_container(sandbox.uid, spec)
        return container, str(sandbox.address), log

    async def get(self, address: str, path: str = "/") -> str:
        """Ask from the machine; the server may only just be starting."""
        while True:
            sock = await self.machine.open_socket()
            with sock:
                try:
                    await asyncio.get_running_loop().sock_connect(sock, (address, 8080))
                except ConnectionRefusedError:
                    await asyncio.sleep(0.01)
                    continue
                reader, writer = await asyncio.open_connection(sock=sock.dup())
                writer.write(f"GET {path} HTTP/1.1\r\n\r\n".encode())
                answer = await reader.read()
                writer.close()
                return answer.decode().partition("\r\n\r\n")[2]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def node(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Node]:
    path = tmp_path_factory.mktemp("node")
    store = ImageStore.open(path / "store")
    async with ground_at(path / "journal") as ground:
        machine, pods = await ground.minion()
        async with start_pods(machine.shim, pods, store) as runtime:
            yield Node(machine, runtime, store, path / "logs")


async def test_the_web_server_runs_in_a_pod_and_says_which_one(node):
    container, address, _ = await node.start("kubelab/web:2")
    assert await node.get(address) == f"pod pod-{node.started}, version 2\n"
    await node.runtime.stop_container(container.id, 30)


async def test_load_and_crash_end_as_they_say(node):
    async with node.runtime.exits() as exits:
        segfault = (await node.start("kubelab/crash", "segfault"))[0]
        assert await exit_of(exits, segfault) == (139, False)
        oom = (await node.start("kubelab/crash", "oom", limits=Limits(memory_max_bytes=64 << 20)))[0]
        assert await exit_of(exits, oom) == (137, True)
        later = (await node.start("kubelab/crash", CRASH_CODE="9", CRASH_AFTER_S="0.05"))[0]
        assert await exit_of(exits, later) == (9, False)
        load, _, log = await node.start("kubelab/load", "disk", "1M", "--seconds", "0.1")
        assert await exit_of(exits, load) == (0, False)
        assert "MiB in" in log.read_text()


async def exit_of(exits: AsyncIterator[ContainerExit], container: Container) -> tuple[int, bool]:
    async for exit_ in exits:
        if exit_.id == container.id:
            return exit_.exit_code, exit_.oom_killed
    raise AssertionError


async def test_an_image_with_nothing_of_the_machines_runs_in_its_own_root(node, tmp_path):
    """A root of a shell and its libraries: what busybox is to others."""
    image = made(own_root(), Entrypoint=["/bin/sh", "-c"], Cmd=[SCRIPT])
    async with node.runtime.exits() as exits:
        (loaded,) = await node.store.load(write_archive(tmp_path / "own.tar", image, "own:1"))
        container, _, log = await node.start("own:1")
        assert await exit_of(exits, container) == (0, False)
    said = [line.split(" ", 3)[3] for line in log.read_text().splitlines()]
    assert said == ["kept", "no gone", "no usr"]
    assert not list((node.store.path / "layers" / loaded.layers[-1].diff_id[7:]).glob("written"))


SCRIPT = "read x < /kept; echo $x; [ -e /gone ] || echo no gone; [ -e /usr/bin ] || echo no usr; : > /written"


def own_root() -> list[bytes]:
    """Return two layers: a shell with its libraries, and a file less."""
    shell = Path("/bin/sh").resolve()
    linked = subprocess.run(["ldd", shell], capture_output=True, text=True, check=True).stdout
    programs = {"bin/sh": shell} | {word[1:]: Path(word) for word in linked.split() if word.startswith("/")}
    items = [(entry(name, mode=0o755), path.read_bytes()) for name, path in programs.items()]
    kept = [("kept", b"kept\n"), ("gone", b"gone\n"), *(directory(name) for name in ("proc", "sys", "dev"))]
    return [tar([*items, *kept]), tar([(".wh.gone", b""), symlink("link", "kept")])]
