"""Namespaces of the running kernel: listed as lsns lists them, compared, entered; clocks with offsets."""

import json
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux import syscalls
from kubelab.cluster.linux.namespace_table import list_namespaces
from kubelab.cluster.linux.namespaces import (
    NAMESPACE_TYPES,
    call_in_namespaces,
    call_in_thread,
    namespaces_of,
)
from kubelab.cluster.linux.time_namespace import NS_PER_S, TimeOffsets, offsets_of, parse, set_offsets
from kubelab.cluster.linux.user_namespace import IdMaps, IdRange, maps_of, may_set_groups

SHELL = "hostname elsewhere; echo up; exec sleep 1000"
FLAGS = ("--user", "--map-root-user", "--pid", "--mount", "--uts", "--ipc", "--net", "--time", "--cgroup")


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[int]:
    """The pid of a process that is alone in namespaces of its own."""
    command = ["unshare", *FLAGS, "--fork", "--kill-child", "--boottime", "86400", "sh", "-c", SHELL]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"up\n"
        try:
            (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            yield int(child)
        finally:
            process.kill()


def lsns(columns: str) -> list[dict[str, object]]:
    """It gives up when a process ends that it is just looking at, of which a busy machine has many."""
    while True:
        done = subprocess.run(["lsns", "--json", "--output", columns], capture_output=True, text=True)
        if done.returncode == 0:
            return json.loads(done.stdout)["namespaces"]


@pytest.mark.root
def test_they_are_listed_as_lsns_lists_them(elsewhere: int) -> None:
    ids = {namespaces_of(elsewhere).of(type_) for type_ in NAMESPACE_TYPES}
    theirs = {
        (row["ns"], row["type"], row["nprocs"], row["pid"], row["pns"], row["ons"])
        for row in lsns("NS,TYPE,NPROCS,PID,PNS,ONS")
        if row["ns"] in ids
    }
    ours = {
        (n.id, n.type, n.processes, n.pid, n.parent, n.user_namespace)
        for n in list_namespaces()
        if n.id in ids
    }
    assert len(ours) == len(NAMESPACE_TYPES)
    assert ours == theirs


@pytest.mark.root
def test_what_is_above_and_who_owns_it_is_told(elsewhere: int) -> None:
    there, here = namespaces_of(elsewhere), namespaces_of()
    found = {n.id: n for n in list_namespaces(("user", "pid", "net"))}
    user = found[there.user]
    assert (user.parent, user.user_namespace, user.owner_uid) == (here.user, here.user, os.geteuid())
    assert found[there.pid].parent == here.pid
    assert found[there.net].user_namespace == there.user
    assert found[here.user].parent == 0


@pytest.mark.root
def test_a_user_namespace_s_ids_are_read(elsewhere: int) -> None:
    """unshare maps root alone, and forbids setgroups for it."""
    only_root = (IdRange(0, os.geteuid(), 1),)
    assert maps_of(elsewhere) == IdMaps(only_root, (IdRange(0, os.getegid(), 1),))
    assert not may_set_groups(elsewhere)
    assert may_set_groups()


@pytest.mark.root
def test_two_processes_are_compared(elsewhere: int) -> None:
    there, here = namespaces_of(elsewhere), namespaces_of()
    assert set(here.differing(there)) == set(NAMESPACE_TYPES)
    assert here.differing(here) == ()


@pytest.mark.root
def test_a_thread_enters_and_we_stay_where_we_are(elsewhere: int) -> None:
    before = namespaces_of("thread-self"), socket.gethostname(), Path.cwd()
    pidfd = os.pidfd_open(elsewhere)
    try:
        types = ("uts", "mnt", "net", "ipc", "cgroup")
        entered = call_in_namespaces(pidfd, types, lambda: namespaces_of("thread-self"))
        assert call_in_namespaces(pidfd, ["uts"], socket.gethostname) == "elsewhere"
        with pytest.raises(KernelError, match="setns CLONE_NEWTIME"):
            call_in_namespaces(pidfd, ["time"], lambda: None)
    finally:
        os.close(pidfd)
    assert set(entered.differing(namespaces_of(elsewhere))) == {"user", "pid", "time"}
    assert (namespaces_of("thread-self"), socket.gethostname(), Path.cwd()) == before


@pytest.mark.root
def test_clocks_are_set_for_who_comes_and_read(elsewhere: int) -> None:
    assert offsets_of(elsewhere) == TimeOffsets(boottime_ns=86400 * NS_PER_S)
    assert offsets_of() == TimeOffsets()
    with pytest.raises(KernelError, match="EACCES"):
        set_offsets(TimeOffsets(), elsewhere)
    wanted = TimeOffsets(monotonic_ns=1_500_000_000, boottime_ns=-1)

    def make() -> TimeOffsets:
        syscalls.unshare(syscalls.CLONE_NEWTIME)
        set_offsets(wanted, threading.get_native_id())
        return offsets_of(threading.get_native_id())

    assert call_in_thread(make) == wanted
    assert offsets_of() == TimeOffsets()


@given(st.integers(-(10**18), 10**18), st.integers(-(10**18), 10**18))
def test_offsets_come_back_from_their_text(monotonic_ns: int, boottime_ns: int) -> None:
    offsets = TimeOffsets(monotonic_ns, boottime_ns)
    assert parse(offsets.to_text()) == offsets


def test_who_has_ended_has_no_clocks() -> None:
    with pytest.raises(KernelError, match="ENOENT"):
        offsets_of(0)
