"""Whatever the lab made is taken back from its journal, after SIGKILL too, and nothing else is touched."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from host_mounts import host_mounts

from kubelab.cluster.errors import KernelError, LabError
from kubelab.cluster.linux import cgroups, syscalls
from kubelab.cluster.linux.journal import Journal, owner_of, remains, undo
from kubelab.cluster.linux.namespaces import call_in_thread
from kubelab.cluster.linux.netlink import Netlink, add_bridge, delete_link, set_link
from kubelab.cluster.linux.processes import ProcessInfo, command_of, scan, start_ticks_of

DRIVER = """
import asyncio, sys
from pathlib import Path
from kubelab.cluster.images.store import ImageStore
from kubelab.cluster.linux.journal import Journal
from kubelab.cluster.machine.namespaced import MachineSpec, start_cgroups, start_machine
from kubelab.cluster.machine.network import start_network
from kubelab.cluster.runtime.cri import ContainerSpec, SandboxSpec
from kubelab.cluster.runtime.pods import start_pods

async def main(path):
    with Journal.open(path) as journal:
        async with start_network(journal) as network, start_cgroups(journal) as tree:
            plan = network.plan
            spec = MachineSpec("minion-1", "minion", plan.machine("minion", 0), plan.pod_network(0))
            async with start_machine(spec, network, tree, journal) as machine:
                images = ImageStore.open(path.parent / "images")
                async with start_pods(machine.shim, spec.pods, images) as runtime:
                    await runtime.run_sandbox(SandboxSpec("u", "default", "pod", "pod"))
                    spec = ContainerSpec("c", "kubelab/shell", (), {}, path.with_name("log"))
                    await runtime.start_container("u", spec)
                    await machine.spawn(["unshare", "--pid", "--fork", "sleep", "infinity"])
                    print(machine.pid, flush=True)
                    await asyncio.sleep(3600)

asyncio.run(main(Path(sys.argv[1])))
"""


@pytest.mark.root
def test_after_sigkill_of_the_lab_nothing_is_left(tmp_path):
    path = tmp_path / "journal"
    mounts_before = host_mounts()
    with subprocess.Popen([sys.executable, "-c", DRIVER, str(path)], stdout=subprocess.PIPE) as lab:
        try:
            init = int(lab.stdout.readline())
            processes = _all_of(init)
            assert owner_of(path).alive
        finally:
            lab.kill()
    assert not owner_of(path).alive
    token = json.loads(path.read_text().splitlines()[0])["token"]
    undo(path)
    assert [pid for pid, start_ticks in processes if start_ticks_of(pid) == start_ticks] == []
    assert not any(map(os.path.exists, cgroups.detect().at(f"kubelab-{token}").directories))
    with Netlink() as netlink:
        assert [link.name for link in netlink.links() if token in link.alias] == []
    assert host_mounts() == mounts_before
    assert not path.exists()
    undo(path)


def _all_of(init: int) -> list[tuple[int, int]]:
    """Return pid and start time of the machine's processes, once the last, inside of `unshare`, runs."""
    while True:
        found = scan([init])
        if any(info.command == "sleep infinity" for info in found if _below_unshare(info)):
            return [(info.pid, info.start_ticks) for info in found]
        time.sleep(0.001)


def _below_unshare(info: ProcessInfo) -> bool:
    return "unshare" in command_of(info.parent_pid)


@pytest.fixture
def journal(tmp_path):
    with Journal.open(tmp_path / "journal") as journal:
        yield journal


def test_a_second_lab_may_not_write_into_the_same_journal(journal):
    with pytest.raises(LabError, match="journal of another lab"):
        Journal.open(journal.path)


def test_directories_and_files_go_in_reverse_order(journal, tmp_path):
    journal.directory(tmp_path / "state")
    (tmp_path / "state").mkdir()
    journal.file(tmp_path / "state" / "socket")
    (tmp_path / "state" / "socket").touch()
    journal.file(tmp_path / "never-made")
    undo(journal.path)
    assert list(tmp_path.iterdir()) == []


def test_a_line_cut_off_by_the_kill_is_passed_over(journal, tmp_path):
    with journal.path.open("ab") as file:
        file.write(b'{"kind": "dir')
    undo(journal.path)
    assert not journal.path.exists()


def test_of_another_boot_only_files_are_taken_back(tmp_path):
    path = tmp_path / "journal"
    (tmp_path / "state").mkdir()
    entries = [
        {"kind": "header", "boot_id": "another", "token": "x", "pid": 1, "start_ticks": 0},
        {"kind": "process", "pid": os.getpid(), "start_ticks": start_ticks_of(os.getpid())},
        {"kind": "directory", "path": str(tmp_path / "state")},
    ]
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    undo(path)
    assert not (tmp_path / "state").exists()


def test_a_process_that_got_an_old_pid_is_left_alone(journal):
    with subprocess.Popen(["sleep", "infinity"]) as ours, subprocess.Popen(["sleep", "infinity"]) as other:
        journal.process(ours.pid)
        entry = {"kind": "process", "pid": other.pid, "start_ticks": start_ticks_of(other.pid) - 1}
        with journal.path.open("a") as file:
            file.write(json.dumps(entry) + "\n")
        undo(journal.path)
        assert ours.wait() == -signal.SIGKILL
        assert other.poll() is None
        other.kill()


def test_a_process_that_is_only_its_childrens_session_by_now_is_gone(journal):
    """Linux 6.1 says of such a pid that it is invalid, not that there is none."""
    script = ["sh", "-c", "sleep infinity <&- >&- & read line"]
    with subprocess.Popen(script, stdin=subprocess.PIPE, start_new_session=True) as leader:
        journal.process(leader.pid)
        leader.communicate(b"\n")
        try:
            undo(journal.path)
        finally:
            os.killpg(leader.pid, signal.SIGKILL)


@pytest.mark.root
def test_a_link_of_the_same_name_without_our_alias_is_left_alone(journal):
    def act() -> None:
        syscalls.unshare(syscalls.CLONE_NEWNET)
        with Netlink() as netlink:
            netlink.do(add_bridge("mine"), add_bridge("theirs"))
            alias = journal.link("mine")
            journal.link("theirs")
            netlink.do(set_link(netlink.index("mine"), alias=alias))
            undo(journal.path)
            assert [link.name for link in netlink.links()] == ["lo", "theirs"]
            netlink.do(delete_link(netlink.index("theirs")))

    call_in_thread(act)


@pytest.mark.root
def test_a_directory_with_a_mount_in_it_is_not_emptied(journal, tmp_path):
    state = tmp_path / "state"

    def act() -> None:
        syscalls.unshare(syscalls.CLONE_NEWNS)
        syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
        journal.directory(state)
        (state / "mounted").mkdir(parents=True)
        syscalls.mount("none", str(state / "mounted"), "tmpfs")
        (state / "mounted" / "file").touch()
        with pytest.raises(LabError, match="Device or resource busy"):
            undo(Path(journal.path))
        assert (state / "mounted" / "file").exists()

    call_in_thread(act)


@pytest.mark.root
def test_a_cgroup_goes_with_what_is_below_and_in_it(journal):
    cgroup = cgroups.detect().at(f"kubelab-{journal.token}")
    journal.cgroup(cgroup)
    below = cgroups.detect().at(f"kubelab-{journal.token}/below")
    below.create()
    with subprocess.Popen(["sleep", "infinity"]) as process:
        below.add(process.pid)
        assert process.pid in below.processes()
        undo(journal.path)
        assert process.wait() == -signal.SIGKILL
    assert not any(map(os.path.exists, cgroup.directories))


def test_a_process_that_had_ended_before_it_was_written_down_is_not_missed(tmp_path):
    path = tmp_path / "journal"
    with subprocess.Popen(["true"]) as ended:
        pass
    with Journal.open(path) as journal:
        journal.process(ended.pid)
    assert remains(path) == ()
    undo(path)


def test_a_journal_that_cannot_be_written_is_an_error_for_people(tmp_path):
    full = Path("/dev/full")
    with (
        Journal(full, os.open(full, os.O_WRONLY), "token") as journal,
        pytest.raises(KernelError, match="No space left on device"),
    ):
        journal.file(tmp_path / "file")
