"""Ways out that need a helper: somebody who attaches, mounts, enters or runs a program for the attacker."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from host_mounts import host_mounts
from oci_bundle import Runtime, bundle_at
from outside import through

from kubelab.cluster.errors import LabError
from kubelab.cluster.runtime.config import RUNTIME_DEFAULT, SECCOMP_ANNOTATION
from kubelab.cluster.runtime.cri import EmptyDir, Mount, Security, StartError, volume_path
from kubelab.cluster.runtime.terminal import WindowSize

pytestmark = [pytest.mark.root, pytest.mark.asyncio(loop_scope="module")]

ROUNDS, OCI_ROUNDS = 25, 6
# renameat2(2) by its number, RENAME_EXCHANGE: the two change places at once. The kernel walks no path
# meanwhile, so the attacker has to leave some time to his victim.
EXCHANGE = """
import ctypes, os, sys, time
call = ctypes.CDLL(None).syscall
number = 316 if os.uname().machine == "x86_64" else 276
one, other = (path.encode() for path in sys.argv[1:])
print("racing", flush=True)
while True:
    call(number, -100, one, -100, other, 2)
    time.sleep(0.0001)
"""


async def test_a_link_exchanged_during_a_mount_shows_nothing_of_the_machine(node):
    """CVE-2017-1002101, CVE-2021-25741: `subPath` of a volume that another container of the pod changes."""
    pod = await node.pod()
    volume = EmptyDir("shared")
    source = volume_path(pod.uid, volume)
    await node.runtime.set_up_volumes(pod.uid, [volume])
    make = "mkdir /v/part && touch /v/part/ours && ln -s /etc /v/link"
    whole = Mount("/v", source)
    attacker = await node.named(
        pod, f"{make} && exec python3 -c '{EXCHANGE}' /v/part /v/link", mounts=(whole,)
    )
    await node.logged(attacker, "racing")
    seen = [await _seen(node, pod, Mount("/part", source, sub_path="part")) for _ in range(ROUNDS)]
    assert set(seen) <= {"refused", "ours\n"}, set(seen)
    await node.runtime.remove_sandbox(pod.uid)


async def _seen(node, pod, mount: Mount) -> str:
    try:
        return await node.shell(pod, "ls /part", mounts=(mount,))
    except LabError:
        return "refused"


async def test_a_link_exchanged_in_the_root_leads_no_mount_outside(tmp_path):
    """CVE-2021-30465: the place of a mount changes while the runtime goes there."""
    outside = tmp_path / "outside"
    outside.mkdir()
    bundle = bundle_at(tmp_path / "b", "true")
    place, link = bundle.rootfs / "tmp/place", bundle.rootfs / "tmp/link"
    place.mkdir()
    link.symlink_to(outside)
    for name in ("in/one", "in/two"):
        mount = {"destination": f"/tmp/place/{name}", "type": "tmpfs", "source": "x", "options": []}
        bundle.document["mounts"].append(mount)
    bundle.write()
    before, runtime = host_mounts(), Runtime(tmp_path / "state")
    with _racing(place, link):
        for number in range(OCI_ROUNDS):
            runtime("run", "-b", str(bundle.path), f"race-{os.getpid()}-{number}", check=False)
    assert list(outside.iterdir()) == []
    assert host_mounts() == before


@contextmanager
def _racing(one: Path, other: Path) -> Iterator[None]:
    command = ["/usr/bin/python3", "-I", "-S", "-c", EXCHANGE, str(one), str(other)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as racer:
        assert racer.stdout
        assert racer.stdout.readline() == b"racing\n"
        try:
            yield
        finally:
            racer.kill()


async def test_a_working_directory_is_no_descriptor_of_the_runtimes(node):
    """CVE-2024-21626."""
    pod = await node.pod()
    for number in range(3, 16):
        with pytest.raises(StartError):
            await node.start(pod, "true", cwd=f"/proc/self/fd/{number}")


async def test_who_enters_a_container_shows_it_no_file_that_can_be_written(node):
    """CVE-2019-5736: the container waits for whoever is about to be executed in it."""
    pod = await node.pod()
    watch = """
import os
print("watching", flush=True)
seen = set()
while True:
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            for name in ("exe", *(f"map_files/{each}" for each in os.listdir(f"/proc/{pid}/map_files"))):
                if not os.statvfs(f"/proc/{pid}/{name}").f_flag & os.ST_RDONLY:
                    print("writable", os.readlink(f"/proc/{pid}/{name}"), flush=True)
        except OSError:
            pass
"""
    container = await node.named(pod, f"exec python3 -I -S -c '{watch}'")
    await node.logged(container, "watching")
    for _ in range(ROUNDS):
        await (await node.runtime.exec(container.id, ["true"])).wait()
    assert "writable" not in node.log_of(container).read_text()
    await node.runtime.remove_sandbox(pod.uid)


async def test_a_command_that_is_the_runtime_itself_is_not_to_be_overwritten(node):
    """CVE-2019-5736, by a link or an interpreter that leads to /proc/self/exe."""
    script = 'import os; print(os.statvfs("/proc/self/exe").f_flag & os.ST_RDONLY)'
    pod = await node.pod()
    try:
        told = (await node.run(pod, "/proc/self/exe", "-I", "-S", "-c", script))[1]
    except StartError:
        return
    assert not told.endswith(" 0\n")


async def test_a_setuid_program_gives_nothing_to_who_has_no_new_privileges(node):
    pod = await node.pod()
    volume = EmptyDir("programs")
    await node.runtime.set_up_volumes(pod.uid, [volume])
    mounts = (Mount("/v", volume_path(pod.uid, volume)),)
    await node.shell(pod, "cp /usr/bin/id /v/id && chmod 4755 /v/id", mounts=mounts)
    user = {"user": 1000, "group": 1000}
    assert await node.shell(pod, "/v/id -u", mounts=mounts, security=Security(**user)) == "0\n"
    kept = Security(**user, no_new_privs=True)
    assert await node.shell(pod, "/v/id -u", mounts=mounts, security=kept) == "1000\n"


async def test_the_terminal_of_who_attaches_is_the_container_s_own(node):
    """Input pushed into it (TIOCSTI) is the container's, and does not outlive it."""
    pod = await node.pod()
    container = await node.named(pod, "sleep infinity")
    script = (
        "import fcntl, os, sys\n"
        "try: fcntl.ioctl(0, 0x5412, b'x'); print('pushed', end=' ')\n"
        "except OSError: print('refused', end=' ')\n"
        "print(os.ttyname(0), os.stat(os.ttyname(0)).st_dev == os.fstat(0).st_dev, flush=True)"
    )
    command = ["python3", "-I", "-S", "-c", script]
    process = await node.runtime.exec(container.id, command, terminal=WindowSize(24, 80))
    await process.wait()
    told = os.read(process.fd, 4096).decode()
    await process.close()
    assert told.split()[-2:] == ["/dev/pts/0", "True"]
    await node.runtime.remove_sandbox(pod.uid)


async def test_nothing_comes_through_from_a_container_of_the_oci_runtime(tmp_path, outside):
    bundle = bundle_at(tmp_path / "b", *outside.arguments)
    bundle.document["annotations"] = {SECCOMP_ANNOTATION: RUNTIME_DEFAULT}
    bundle.document["process"]["env"] += [f"{name}={value}" for name, value in outside.environment.items()]
    bundle.write()
    runtime = Runtime(tmp_path / "state")
    told = await asyncio.to_thread(runtime.run, bundle, f"escape-{os.getpid()}")
    assert through(told) == {}
