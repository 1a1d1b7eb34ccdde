"""Pods are real: processes, addresses that answer, limits, logs, exits; and they leave nothing."""
# ruff: noqa: PTH110, PTH208, ASYNC110

import asyncio
import os
import shutil
import socket
from pathlib import Path

import pytest
from pod_node import SHELL, Node

from kubelab.cluster.errors import KernelError
from kubelab.cluster.images.store import ImageStore
from kubelab.cluster.linux.background import forever
from kubelab.cluster.linux.namespaces import namespaces_of
from kubelab.cluster.linux.processes import command_of, scan
from kubelab.cluster.runtime import log_rotation
from kubelab.cluster.runtime.cri import (
    EmptyDir,
    FilesVolume,
    HostPath,
    ImageError,
    Limits,
    Mount,
    Sandbox,
    SandboxSpec,
    Security,
    StartError,
    VolumeFile,
    volume_path,
)
from kubelab.cluster.runtime.pods import start_pods

pytestmark = [pytest.mark.root, pytest.mark.asyncio(loop_scope="module")]


async def test_a_sandbox_is_a_pause_process_with_the_pod_s_namespaces(node):
    sandbox = await node.sandbox()
    pod, machine = namespaces_of(sandbox.pid), namespaces_of(node.machine.pid)
    assert command_of(sandbox.pid) == "/pause"
    assert {pod.net, pod.ipc, pod.uts, pod.pid, pod.mnt}.isdisjoint({machine.net, machine.ipc, machine.uts})
    assert await node.runtime.run_sandbox(SandboxSpec(sandbox.uid, "default", "x", "x")) == sandbox


async def test_containers_of_a_pod_share_net_ipc_and_uts_and_nothing_else(node):
    sandbox = await node.sandbox()
    one, two = await node.start(sandbox), await node.start(sandbox)
    pause, first, second = (namespaces_of(pid) for pid in (sandbox.pid, one.pid, two.pid))
    assert (first.net, first.ipc, first.uts) == (second.net, second.ipc, second.uts)
    assert (first.net, first.ipc, first.uts) == (pause.net, pause.ipc, pause.uts)
    assert len({first.pid, second.pid, pause.pid}) == 3
    assert first.mnt != second.mnt
    assert first.cgroup != second.cgroup


async def test_a_pod_answers_from_the_host_the_other_machine_and_other_pods(nodes):
    here, there = nodes
    pod = await here.sandbox()
    loop = asyncio.get_running_loop()
    # Nothing listens: the refusal comes from the pod itself, which is answer enough.
    for sock in (socket.socket(), await there.machine.open_socket(), await here.machine.open_socket()):
        with sock, pytest.raises(ConnectionRefusedError):
            sock.setblocking(False)
            await asyncio.wait_for(loop.sock_connect(sock, (str(pod.address), 81)), 20)
    for other in (await here.sandbox(), await there.sandbox()):
        node = here if other.address in here.machine.pods else there
        assert "refused" in await node.shell(other, f"bash -c 'exec 3<>/dev/tcp/{pod.address}/81'")


async def test_a_container_sees_itself_only(node):
    sandbox = await node.sandbox()
    assert (
        await node.shell(sandbox, "ps -e -o pid=,comm= | head -1; hostname") == f"      1 sh\n{sandbox.uid}\n"
    )
    assert await node.shell(sandbox, "cat /proc/self/cgroup | cut -d: -f3 | sort -u") == "/\n"
    seen = await node.shell(sandbox, "ls -A /root /home /etc/shadow; ls /; id -u")
    assert "cannot access '/etc/shadow'" in seen
    assert "work" not in seen.split()


async def test_a_container_cannot_reach_out(node):
    sandbox = await node.sandbox()
    for attempt, refusal in {
        "mknod /tmp/disk b 254 0": "Operation not permitted",
        "mount -t tmpfs none /mnt": "permission denied",
        "mount -o remount,rw /usr": "permission denied",
        "echo 1 > /proc/sys/kernel/panic": "Read-only",
        "touch /usr/bin/mine": "Read-only",
        "mkdir /sys/fs/cgroup/pids/x || mkdir /sys/fs/cgroup/x": "Read-only",
        "unshare --mount true": "Operation not permitted",
        "cat /proc/keys | wc -c": "0",
        "ls /proc/self/fd | wc -l": "4",
    }.items():
        assert refusal in await node.shell(sandbox, attempt), attempt


async def test_a_process_gains_no_privileges_if_the_pod_says_so(node):
    sandbox = await node.sandbox()
    told = {
        denied: await node.shell(
            sandbox, "grep NoNewPrivs /proc/self/status", security=Security(no_new_privs=denied)
        )
        for denied in (True, False)
    }
    assert told == {True: "NoNewPrivs:\t1\n", False: "NoNewPrivs:\t0\n"}


async def test_exit_codes_and_signals_are_reported(node):
    sandbox = await node.sandbox()
    end, _ = await node.run(sandbox, "sh", "-c", "exit 3")
    assert (end.exit_code, end.oom_killed) == (3, False)
    end, _ = await node.run(sandbox, "sh", "-c", "sh -c 'kill -9 $$'; exit $?")
    assert end.exit_code == 137


async def test_memory_beyond_the_limit_ends_as_oom_killed(node):
    sandbox = await node.sandbox()
    limits = Limits(memory_max_bytes=16 << 20)
    end, _ = await node.run(sandbox, "sh", "-c", "x=$(head -c 64M /dev/zero | tr '\\0' x)", limits=limits)
    assert (end.exit_code, end.oom_killed) == (137, True)


async def test_limits_are_the_cgroup_s(node):
    sandbox = await node.sandbox(memory_max_bytes=64 << 20)
    limits = Limits(cpu_weight=39, cpu_quota_us=20_000, memory_max_bytes=32 << 20, pids_max=50)
    container = await node.start(sandbox, limits=limits)
    cgroup = node.machine.cgroups.at(f"kubepods/pod{sandbox.uid}/{container.id}")
    fields = [cgroup.read(name) for name in ("cpu.weight", "cpu.max", "memory.max", "pids.max")]
    assert fields == ["39", "20000 100000", str(32 << 20), "50"]
    pod = node.machine.cgroups.at(f"kubepods/pod{sandbox.uid}")
    assert pod.read("memory.max") == str(64 << 20)


async def test_a_missing_command_is_told_as_runc_tells_it(node):
    sandbox = await node.sandbox()
    with pytest.raises(StartError, match='exec: "nosuch": executable file not found in \\$PATH'):
        await node.start(sandbox, "nosuch")
    with pytest.raises(StartError, match='exec: "/no/such": stat /no/such: no such file or directory'):
        await node.start(sandbox, "/no/such")
    with pytest.raises(StartError, match='exec: "/etc/passwd": permission denied'):
        await node.start(sandbox, "/etc/passwd")


async def test_a_container_that_cannot_start_leaves_nothing(node):
    sandbox = await node.sandbox()
    before = await _held_for(node, sandbox)
    for fields in ({"limits": Limits(memory_max_bytes=-7)}, {"mounts": (Mount("/m", "/none"),)}):
        with pytest.raises(KernelError):
            await node.start(sandbox, "true", **fields)
    with pytest.raises(StartError):
        await node.start(sandbox, "nosuch")
    while await _held_for(node, sandbox) != before:
        pass  # A cgroup is removed when the last process has left it.


async def test_a_container_started_while_its_pod_goes_does_not_end_the_machine(node):
    for _ in range(5):
        sandbox = await node.sandbox()
        starting = asyncio.create_task(node.start(sandbox, "sleep", "infinity"))
        await asyncio.sleep(0)
        await asyncio.gather(node.runtime.remove_sandbox(sandbox.uid), starting, return_exceptions=True)
    assert await node.shell(await node.sandbox(), "echo alive") == "alive\n"


async def test_an_image_of_no_registry_cannot_be_had(node):
    assert await node.runtime.pull_image("kubelab/shell:latest") == await node.runtime.pull_image(SHELL)
    with pytest.raises(ImageError, match="failed to pull image"):
        await node.runtime.pull_image("nowhere.invalid/x:1")


async def test_logs_have_the_cri_format(node):
    sandbox = await node.sandbox()
    _, log = await node.run(sandbox, "sh", "-c", "echo out; echo err >&2; printf rest")
    assert sorted(log.splitlines()) == ["stderr F err", "stdout F out", "stdout P rest"]
    _, log = await node.run(sandbox, "sh", "-c", "head -c 20000 /dev/zero | tr '\\0' x; echo")
    tags = [line.split(" ", 2)[1] for line in log.splitlines()]
    assert tags == ["P", "F"]


async def test_a_noisy_container_does_not_hold_up_the_loop(node):
    sandbox = await node.sandbox()
    noisy = await node.start(sandbox, "yes")
    assert await node.shell(sandbox, "echo heard") == "heard\n"
    await node.runtime.stop_container(noisy.id, 0.01)


async def test_env_and_cwd(node):
    sandbox = await node.sandbox()
    script = 'echo "$A $HOME $HOSTNAME $PATH $(pwd)"'
    told = await node.shell(sandbox, script, env={"A": "1"}, cwd="/srv/new")
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    assert told == f"1 /root {sandbox.uid} {path} /srv/new\n"


async def test_volumes_are_shared_in_the_pod_and_files_are_there(node):
    sandbox = await node.sandbox()
    scratch = EmptyDir("scratch")
    conf = FilesVolume("cm", "configmap", {"a.conf": VolumeFile(b"A\n"), "sub/b": VolumeFile(b"B" * 100_000)})
    host = HostPath("host", "/srv/host", "DirectoryOrCreate")
    await node.runtime.set_up_volumes(sandbox.uid, (scratch, conf, host))
    await node.machine.write_file("/srv/host/file", b"of the machine\n")
    shared, files, srv = (volume_path(sandbox.uid, volume) for volume in (scratch, conf, host))
    await node.shell(sandbox, "echo hello > /data/x", mounts=(Mount("/data", shared),))
    mounts = (Mount("/other", shared), Mount("/etc/app", files, read_only=True), Mount("/mnt/host", srv))
    script = "cat /other/x /mnt/host/file /etc/app/a.conf; wc -c < /etc/app/sub/b; touch /etc/app/x"
    told = await node.shell(sandbox, script, mounts=mounts)
    assert told.startswith("hello\nof the machine\nA\n100000\n")
    assert "Read-only" in told


async def test_stopping_is_polite_first(node):
    sandbox = await node.sandbox()
    async with node.runtime.exits() as exits:
        polite = await node.named(sandbox, "trap 'exit 5' TERM; echo up; while :; do sleep 0.01; done")
        await node.logged(polite, "up")
        await node.runtime.stop_container(polite.id, 30)
        assert (await anext(end async for end in exits if end.id == polite.id)).exit_code == 5
        stubborn = await node.start(sandbox, "sleep", "infinity")
        await node.runtime.stop_container(stubborn.id, 0.01)
        assert (await anext(end async for end in exits if end.id == stubborn.id)).exit_code == 137
    await node.runtime.stop_container(stubborn.id, 1)


async def test_the_built_in_image_s_own_command_stays_and_ends_on_sigterm(node):
    sandbox = await node.sandbox()
    container = await node.start(sandbox)
    while len(scan([container.pid])) < 2:
        await asyncio.sleep(0.001)
    async with node.runtime.exits() as exits:
        await node.runtime.stop_container(container.id, 30)
        assert (await anext(end async for end in exits if end.id == container.id)).exit_code == 0


async def test_removing_a_sandbox_takes_everything_back(node):
    sandbox = await node.sandbox()
    container = await node.start(sandbox)
    await node.runtime.remove_sandbox(sandbox.uid)
    await node.runtime.remove_sandbox(sandbox.uid)
    assert not os.path.exists(f"/proc/{sandbox.pid}")
    assert not os.path.exists(f"/proc/{container.pid}")
    pod = node.machine.cgroups.at(f"kubepods/pod{sandbox.uid}")
    assert not any(os.path.exists(directory) for directory in pod.directories)
    with pytest.raises(StartError):
        await node.start(sandbox)


async def _held_for(node: Node, sandbox: Sandbox) -> tuple[set[str], set[str]]:
    """Return the shim's descriptors and what is in the pod's cgroup, once all requests before are done."""
    await node.machine.write_file("/tmp/done", b"")
    pod = node.machine.cgroups.at(f"kubepods/pod{sandbox.uid}").directories[0]
    return set(os.listdir(f"/proc/{node.machine.pid}/fd")), set(os.listdir(pod))


async def test_a_pod_that_cannot_be_removed_keeps_no_other(node):
    stuck, other = await node.sandbox(), await node.sandbox()
    for _ in range(3):
        await node.start(other, "sleep", "infinity")
    shutil.rmtree(f"/proc/{node.machine.pid}/root/run/kubelab/pods/{stuck.uid}")
    await node.runtime.remove_all()
    assert node.runtime.pids(other.uid) == ()
    assert node.runtime.pids(stuck.uid) != ()


async def test_a_bug_in_the_rotation_of_logs_ends_who_runs_pods(ground, tmp_path):
    machine, network = await ground.minion()
    images = ImageStore.open(tmp_path / "images")
    with pytest.raises(UnheardOfError):
        async with start_pods(machine.shim, network, images) as runtime:
            node = Node(machine, runtime, tmp_path)
            flood = f"head -c {log_rotation.BYTES_MAX} /dev/zero | tr '\\0' x"
            await node.start(await node.sandbox(), "sh", "-c", flood, log_path=Unmovable(tmp_path / "log"))
            await forever()


class Unmovable(type(Path())):
    def with_name(self, name):
        raise UnheardOfError


class UnheardOfError(Exception):
    pass
