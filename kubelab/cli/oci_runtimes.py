"""Other OCI runtimes as peers of ours: crun(1) and runc(8), each from its package, if it is there.

Their containers get what a bundle of theirs has by default (`crun spec`): six new namespaces, masked paths,
capabilities, a cgroup; the root is, as in ours, a read-only view of this host's /usr. In a standing sandbox
they have three of the namespaces from another one's process, by path, as containerd writes it for a pod's
containers (internal/cri/server/container_create_linux.go).
crun refuses hosts that have controllers in both cgroup hierarchies; there it runs in a mount namespace
without the second one, and what nsenter(1) takes, about a millisecond, is in its figures.
"""

import asyncio
import contextlib
import itertools
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from kubelab.cluster.errors import KernelError, LabError
from kubelab.cluster.linux import syscalls
from kubelab.cluster.linux.mounts import make_private
from kubelab.cluster.linux.namespaces import call_in_thread, open_namespace
from kubelab.cluster.linux.threads import in_thread
from kubelab.language import Text

NAMES = ("crun", "runc")
_SHARED = {"network": "net", "ipc": "ipc", "uts": "uts"}  # Of a pod's containers; their links in /proc.
_MERGED = ("bin", "sbin", "lib", "lib64")


@dataclass(frozen=True, slots=True)
class OciRuntime:
    """One of them, with a bundle for each command; what it leaves is below `place`."""

    name: str
    place: Path
    within: tuple[str, ...] = ()
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def bundle(self, argv: Sequence[str], sandbox_pid: int = 0) -> Path:
        """Make a bundle whose container runs *argv*, in the namespaces of a standing sandbox if there is
        one."""
        bundle = self.place / f"bundle-{next(self._numbers)}"
        root = bundle / "rootfs"
        # Several containers at once must not want to make the same place for a mount.
        for name in ("usr", "proc", "sys", "dev"):
            (root / name).mkdir(parents=True)
        for name in _MERGED:
            if Path(f"/{name}").is_symlink():
                (root / name).symlink_to(f"usr/{name}")
        subprocess.run([self.name, "spec"], cwd=bundle, check=True)
        file = bundle / "config.json"
        config = json.loads(file.read_text("utf-8"))
        config["process"] |= {"terminal": False, "args": list(argv)}
        usr = {"destination": "/usr", "type": "bind", "source": "/usr", "options": ["rbind", "ro"]}
        config["mounts"].append(usr)
        for namespace in config["linux"]["namespaces"]:
            if sandbox_pid and namespace["type"] in _SHARED:
                namespace["path"] = f"/proc/{sandbox_pid}/ns/{_SHARED[namespace['type']]}"
        file.write_text(json.dumps(config), "utf-8")
        return bundle

    @asynccontextmanager
    async def sandbox(self, argv: Sequence[str]) -> AsyncIterator[int]:
        """Let a container that runs *argv* stand as a sandbox for others; yield its pid."""
        id_ = f"bench-{next(self._numbers)}"
        bundle = self.bundle(argv)
        file = bundle / "pid"
        await self._call("run", "--detach", "--bundle", str(bundle), "--pid-file", str(file), id_)
        try:
            yield int(file.read_text("ascii"))
        finally:
            await self._call("delete", "--force", id_)

    async def run_ms(self, bundle: Path) -> float:
        """Run the bundle's container to its end and return how long that took, its removal included."""
        begin = time.perf_counter()
        await self._call("run", "--bundle", str(bundle), f"bench-{next(self._numbers)}")
        return (time.perf_counter() - begin) * 1000

    async def start_many_ms(self, bundle: Path, count: int, width: int) -> float:
        """Start *count* containers, *width* at a time; return how long that took. They are removed again."""
        ids = [f"bench-{next(self._numbers)}" for _ in range(count)]
        begin = time.perf_counter()
        await self._each(ids, width, "run", "--detach", "--bundle", str(bundle))
        took_ms = (time.perf_counter() - begin) * 1000
        await self._each(ids, width, "delete", "--force")
        return took_ms

    async def _each(self, ids: Sequence[str], width: int, *command: str) -> None:
        free = asyncio.Semaphore(width)

        async def one(id_: str) -> None:
            async with free:
                await self._call(*command, id_)

        await asyncio.gather(*(one(id_) for id_ in ids))

    async def _call(self, *arguments: str) -> None:
        command = (*self.within, self.name, "--root", str(self.place / "state"), *arguments)
        # A pipe would stay open for as long as a detached container runs.
        with tempfile.TemporaryFile("w+", dir=self.place) as errors:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=errors,
                close_fds=False,
            )
            if await process.wait():
                errors.seek(0)
                raise LabError(_FAILED.format(command=" ".join(command), reason=errors.read().strip()))


@asynccontextmanager
async def found(place: Path) -> AsyncIterator[list[OciRuntime]]:
    """Yield those that are installed here, each as it works here.

    Raises:
        LabError: one does not work at all.
    """
    here = [OciRuntime(name, _made(place / name)) for name in NAMES if shutil.which(name)]
    mounts_fd = await in_thread(call_in_thread, _without_unified)
    try:
        within = ("nsenter", f"--mount=/proc/self/fd/{mounts_fd}")
        yield [peer if await _works(peer) else replace(peer, within=within) for peer in here]
    finally:
        os.close(mounts_fd)


async def _works(runtime: OciRuntime) -> bool:
    try:
        await runtime.run_ms(runtime.bundle(["true"]))
    except LabError:
        return False
    return True


def _without_unified() -> int:
    """Return a mount namespace like ours, but without the second cgroup hierarchy, if there is one."""
    syscalls.unshare(syscalls.CLONE_NEWNS)
    make_private()
    with contextlib.suppress(KernelError):
        syscalls.umount("/sys/fs/cgroup/unified")
    mounts_fd = open_namespace("thread-self", "mnt")
    os.set_inheritable(mounts_fd, True)
    return mounts_fd


def _made(place: Path) -> Path:
    place.mkdir()
    return place


_FAILED = Text(
    es="«{command}» falló ({reason}): pruébalo a mano",
    en="`{command}` failed ({reason}): try it by hand",
)
