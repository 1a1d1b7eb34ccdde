"""Real members of etcd as processes: kept alive, with data that stays; on machines they die with these."""

import asyncio
import os
import select
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio
from ground import Ground, ground_at
from real_etcd import loopback_specs

from kubelab.cluster.apiserver.pki import Authority
from kubelab.cluster.errors import LabError
from kubelab.cluster.linux.namespaces import namespace_id
from kubelab.cluster.machine.namespaced import NamespacedMachine
from kubelab.cluster.store import etcd_process
from kubelab.cluster.store.etcd_process import Certificates, EtcdMember, EtcdSpec, run_member
from kubelab.cluster.store.etcd_process_place import LoopbackPlace, MachinePlace


async def test_a_member_that_is_killed_comes_back_with_its_data(tmp_path: Path) -> None:
    (spec,) = loopback_specs(tmp_path)
    async with run_member(spec, LoopbackPlace()) as member:
        await member.ready()
        first, files = member.pid, sorted(path.name for path in (spec.data / "member").iterdir())
        member.hold_down()
        await member.gone()
        member.release()
        await member.ready()
        assert member.pid not in (0, first)
        assert member.restarts == 1
        assert sorted(path.name for path in (spec.data / "member").iterdir()) == files
        last = member.pid
    assert not Path(f"/proc/{last}").exists()


async def test_one_that_can_never_start_says_where_to_look(tmp_path: Path) -> None:
    (spec,) = loopback_specs(tmp_path)
    taken = socket.create_server((spec.address, spec.client_port))
    with taken, pytest.raises(LabError, match=str(spec.log)):
        async with run_member(spec, LoopbackPlace()) as member:
            await member.ready()
    assert "address already in use" in spec.log.read_text()


def test_without_the_program_one_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(etcd_process, "PROGRAM", "no-such-etcd")
    with pytest.raises(LabError, match="apt-get install etcd-server"):
        etcd_process.find_etcd()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def ground(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ground]:
    async with ground_at(tmp_path_factory.mktemp("lab") / "journal") as made:
        yield made


def _on_machines(machines: list[NamespacedMachine], place: Path) -> list[EtcdSpec]:
    authority = Authority.create(place / "pki", datetime.now(UTC))
    peers = {machine.name: f"https://{machine.name}:2380" for machine in machines}
    specs = []
    for machine in machines:
        pair = authority.store_member(machine.name, [machine.address])
        certificates = Certificates(authority.certificate_path, pair.certificate, pair.key)
        data, log = place / machine.name, place / f"{machine.name}.log"
        spec = EtcdSpec(machine.name, str(machine.address), data, log, peers, certificates)
        specs.append(replace(spec, host=machine.name, heartbeat_ms=20, election_ms=200))
    return specs


@pytest.mark.root
@pytest.mark.asyncio(loop_scope="module")
async def test_on_machines_they_find_each_other_over_tls_and_die_with_them(
    ground: Ground, tmp_path: Path
) -> None:
    hosts = {f"master-{each + 1}": ground.network.plan.machine("master", each).ip for each in range(3)}
    machines = [await ground.machine("master", hosts=hosts) for _ in hosts]
    specs = _on_machines(machines, tmp_path)
    async with AsyncExitStack() as stack:
        members: list[EtcdMember] = []
        for machine, spec in zip(machines, specs, strict=True):
            members.append(await stack.enter_async_context(run_member(spec, MachinePlace(machine))))
        for member in members:
            await member.ready()
        first, machine = members[0], machines[0]
        for namespace in ("net", "pid", "mnt", "cgroup"):
            assert namespace_id(first.pid, namespace) == namespace_id(machine.pid, namespace)
        groups = [Path(f"/proc/{pid}/cgroup").read_text() for pid in (first.pid, machine.pid)]
        assert groups[0] == groups[1]
        pid, loopback = first.pid, machine.socket()
        with loopback:
            await asyncio.get_running_loop().sock_connect(loopback, ("127.0.0.1", 2379))
        await machine.end_programs()
        assert first.pid == pid
        first.kill(signal.SIGKILL)
        await first.gone()
        await first.ready()
        pidfd = os.pidfd_open(first.pid)
        machine.kill()
        await first.gone()
        await asyncio.to_thread(select.select, [pidfd], [], [])
        os.close(pidfd)
    assert (tmp_path / "master-1" / "member" / "wal").is_dir()
