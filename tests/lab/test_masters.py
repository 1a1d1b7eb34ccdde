"""Three masters: whichever dies, the cluster goes on, and kubectl is not told; what was written stays.

They have been a cluster before, and one has lost its disk since.
"""

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
from earlier_life import KEPT, earlier_life

from kubelab.cli.equipment import equipped
from kubelab.cli.kubectl import kubectl_path
from kubelab.cluster.client.election import NAMESPACE, host_of
from kubelab.cluster.client.informer import Informer
from kubelab.cluster.clock import SystemClock
from kubelab.cluster.lab.component import Component, ComponentName
from kubelab.cluster.lab.config import LabConfig
from kubelab.cluster.lab.lab import Lab, start_lab
from kubelab.cluster.linux.processes import scan
from kubelab.cluster.objects import ENDPOINTS, LEASES, NODES, Object
from kubelab.cluster.store.state import StoreState

pytestmark = [pytest.mark.root, pytest.mark.asyncio(loop_scope="module")]

MASTERS = ("master-1", "master-2", "master-3")
LOST = "master-2"
PATIENCE_S = 40  # For a busy machine; an election takes 0.2 s otherwise.


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    directory = earlier_life(tmp_path_factory.mktemp("lab") / "lab", len(MASTERS))
    shutil.rmtree(directory.masters / LOST / "member")
    before = {each.pid for each in scan([os.getpid()])}  # Other tests' own, which outlive these.
    async with start_lab(equipped(LabConfig(directory=directory, minions=1))) as lab:
        await lab.ready()
        yield lab
    assert sorted(left.name for left in directory.path.iterdir()) == ["lock", "masters"]
    assert {each.pid for each in scan([os.getpid()])} <= before


async def until(holds: Callable[[], Awaitable[bool]] | Callable[[], bool]) -> None:
    clock, end_s = SystemClock(), time.monotonic() + PATIENCE_S
    while not (answer if isinstance(answer := holds(), bool) else await answer):
        assert time.monotonic() < end_s
        await clock.sleep(0.02)  # Of these things no event tells.


def component(lab: Lab, machine: str, name: ComponentName) -> Component:
    return next(each for each in lab.components if (each.machine, each.name) == (machine, name))


async def kubectl(lab: Lab, *arguments: str) -> str:
    """Run the genuine kubectl on this host."""
    process = await asyncio.create_subprocess_exec(
        kubectl_path(),
        "--kubeconfig",
        lab.directory.kubeconfig,
        "--request-timeout=40s",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    return said.decode()


async def on_machine(lab: Lab, machine: str, argv: Sequence[str]) -> int:
    environment = {"KUBECONFIG": lab.kubeconfig_on_machine, "HOME": "/root"}  # kubectl keeps a cache there.
    return await (await lab.machines[machine].spawn(argv, env=environment)).wait()


async def leader_of(lab: Lab, name: str) -> str:
    spec = (await lab.api.get(LEASES, NAMESPACE, name))["spec"]
    return host_of(spec["holderIdentity"])


async def all_alive(lab: Lab) -> None:
    await until(lambda: state_of(lab).alive == MASTERS and state_of(lab).leader is not None)


def state_of(lab: Lab) -> StoreState:
    state = lab.store()
    assert state is not None
    return state


async def test_every_master_has_its_programs_and_the_store_its_members(lab):
    names = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]
    for master in MASTERS:
        assert [each.name for each in lab.components if each.machine == master] == names
    await until(lambda: {each.state for each in lab.components} == {"running"})

    def is_whole() -> bool:
        state = state_of(lab)
        told = (state.members, state.alive, state.quorum, state.elects)
        return told == (MASTERS, MASTERS, True, True) and state.leader in MASTERS

    await until(is_whole)  # On a busy machine one may begin a new election at any time.


async def test_a_master_whose_disk_was_lost_has_got_everything_from_the_others(lab):
    kept = await lab.stored(b"/registry/configmaps/default/kept", LOST)
    assert kept is not None
    assert msgspec.json.decode(kept.value) == KEPT


async def test_the_service_kubernetes_stands_for_all_masters(lab):
    addresses = {str(lab.machines[name].address) for name in MASTERS}
    async with Informer(lab.api, ENDPOINTS, clock=SystemClock(), namespace="default") as every:
        await until(lambda: {ip for each in every.objects() for ip in addresses_in(each)} == addresses)


def addresses_in(endpoints: Object) -> list[str]:
    return [each["ip"] for subset in endpoints.get("subsets", ()) for each in subset["addresses"]]


async def test_what_one_server_has_written_another_reads(lab):
    await kubectl(lab, "create", "configmap", "written")
    for master in MASTERS:
        assert await on_machine(lab, master, ["kubectl", "get", "configmap", "written"]) == 0


@pytest.mark.parametrize("name", MASTERS)
async def test_kubectl_goes_on_when_a_master_loses_its_power(lab, name):
    await all_alive(lab)
    await lab.power_off(name)
    assert name not in lab.machines
    await until(lambda: state_of(lab).leader not in (None, name))
    await kubectl(lab, "create", "configmap", f"without-{name}")
    assert await on_machine(lab, "minion-1", ["kubectl", "get", "configmap", f"without-{name}"]) == 0
    state = state_of(lab)
    assert state.alive == tuple(each for each in MASTERS if each != name)
    assert state.quorum
    await lab.power_on(name)
    await all_alive(lab)
    assert await on_machine(lab, name, ["kubectl", "get", "configmap", f"without-{name}"]) == 0


async def test_kubectl_goes_on_when_the_servers_die_one_after_another(lab):
    for name in MASTERS:
        server = component(lab, name, "kube-apiserver")
        await server.kill()
        assert server.state == "dead"
        await kubectl(lab, "get", "--raw", "/readyz")
        await server.start()
        assert server.state == "running"


async def test_kubectl_goes_on_when_a_server_stands_still(lab):
    server = component(lab, "master-1", "kube-apiserver")
    await server.stop()
    try:
        await kubectl(lab, "get", "nodes")
        await lab.api.list(NODES)
    finally:
        await server.resume()
    assert await on_machine(lab, "master-1", ["kubectl", "get", "nodes"]) == 0


async def test_a_server_ends_with_its_member_and_comes_back_with_it(lab):
    member, server = (component(lab, "master-2", name) for name in ("etcd", "kube-apiserver"))
    await member.kill()
    await until(lambda: server.state == "dead")
    await kubectl(lab, "get", "nodes")
    await member.start()
    await until(lambda: server.state == "running")
    await all_alive(lab)


async def test_a_store_without_quorum_writes_nothing_and_then_goes_on(lab):
    members = [component(lab, name, "etcd") for name in MASTERS[:2]]
    for member in members:
        await member.kill()
    assert not state_of(lab).quorum
    for member in members:
        await member.start()
    await all_alive(lab)
    await kubectl(lab, "create", "configmap", "after-all")


async def test_another_master_schedules_when_the_leader_says_goodbye(lab):
    before = await leader_of(lab, "kube-scheduler")
    scheduler = component(lab, before, "kube-scheduler")
    await scheduler.end()

    async def is_other() -> bool:
        return await leader_of(lab, "kube-scheduler") not in ("", before)

    await until(is_other)
    await scheduler.start()


async def test_a_killed_leader_that_is_started_again_leads_at_once(lab):
    name = "kube-controller-manager"
    leader = await leader_of(lab, name)
    before = (await lab.api.get(LEASES, NAMESPACE, name))["spec"]["holderIdentity"]
    manager = component(lab, leader, name)
    await manager.kill()
    await manager.start()

    async def is_new() -> bool:
        return (await lab.api.get(LEASES, NAMESPACE, name))["spec"]["holderIdentity"] != before

    await until(is_new)
    assert await leader_of(lab, name) == leader


async def test_a_killed_kubelet_leaves_its_pods_running(lab):
    kubelet = component(lab, "minion-1", "kubelet")
    await kubectl(lab, "run", "stays", "--image=kubelab/shell", "--", "sleep", "1000")
    await kubectl(lab, "wait", "--for=condition=Ready", "pod/stays", "--timeout=40s")
    await until(lambda: bool(pids_of(lab, "stays")))
    pids = pids_of(lab, "stays")
    await kubelet.kill()
    assert all(Path(f"/proc/{pid}").exists() for pid in pids)
    await kubelet.start()


def pids_of(lab: Lab, name: str) -> tuple[int, ...]:
    return next((pod.host_pids for pod in lab.snapshot().pods if pod.name == name), ())


async def test_etcdctl_on_a_master_knows_whom_to_ask(lab):
    process = await lab.machines["master-2"].spawn(["env"], stdout=(told := os.memfd_create("told")))
    assert await process.wait() == 0
    with os.fdopen(told, "rb") as memory:
        memory.seek(0)
        named = dict(line.split("=", 1) for line in memory.read().decode().splitlines())
    assert "ETCDCTL_ENDPOINTS" not in named
    for variable in ("ETCDCTL_CACERT", "ETCDCTL_CERT", "ETCDCTL_KEY"):
        assert await on_machine(lab, "master-2", ["test", "-s", named[variable]]) == 0
    health = ["etcdctl", "--command-timeout", "40s", "endpoint", "health", "--cluster"]
    assert await on_machine(lab, "master-2", health) == 0


async def test_a_snapshot_shows_each_member_as_it_sees_itself(lab):
    await all_alive(lab)

    def agree() -> bool:
        store = lab.snapshot().store
        assert store is not None
        roles = sorted(member.role for member in store.members)
        hear = all(member.heard for member in store.members)
        return (
            hear
            and roles == ["follower", "follower", "leader"]
            and {m.leader for m in store.members} == {store.leader}
        )

    await until(agree)
    store = lab.snapshot().store
    assert store is not None
    leader = next(member for member in store.members if member.name == store.leader)
    assert {name for name, _ in leader.match} == set(MASTERS) - {leader.name}
    assert any("/registry/" in entry.words for entry in leader.tail)
    components = {leader.component for leader in lab.snapshot().leaders}
    assert components == {"kube-controller-manager", "kube-scheduler"}
