"""What a pod may ask for beyond the usual: other namespaces, users, less or more rights, names, devices."""

from pathlib import Path

import pytest

from kubelab.cluster.linux.namespaces import namespaces_of
from kubelab.cluster.linux.processes import command_of
from kubelab.cluster.runtime.cri import Device, Dns, HostAlias, Mount, Rlimit, Security

pytestmark = [pytest.mark.root, pytest.mark.asyncio(loop_scope="module")]

UP = "echo up; sleep infinity"
HOSTS = "cat /etc/hosts"


def ids_of(pid: int) -> list[str]:
    text = Path(f"/proc/{pid}/status").read_text()
    return next(line.split()[1:] for line in text.splitlines() if line.startswith("Uid:"))


async def test_containers_may_share_their_processes_and_pause_reaps_for_them(node):
    pod = await node.pod(share_process_namespace=True)
    first = await node.named(pod, UP)
    await node.logged(first, "up")
    # What was started is waited for, and what has ended until pause has reaped it.
    waits = "until pgrep -x sleep; do :; done >/dev/null", "while ps -e -o stat= | grep -q Z; do :; done"
    look = "cat /proc/1/comm; pgrep -x sleep | wc -l; sh -c 'true & exec true'"
    script = f"{waits[0]}; {look}; {waits[1]}; ps -e -o stat="
    told = await node.shell(pod, script)
    assert told.splitlines()[:2] == ["pause", "1"]
    assert "Z" not in told
    assert namespaces_of(first.pid).pid == namespaces_of(pod.pid).pid


async def test_what_a_container_left_running_in_a_shared_namespace_ends_with_it(node):
    pod = await node.pod(share_process_namespace=True)
    await node.shell(pod, "setsid sleep 4711 >/dev/null 2>&1 & echo started")
    assert await node.shell(pod, "pgrep -f 'sleep 471[1]' || echo none") == "none\n"


async def test_a_pod_may_be_in_its_machine_s_namespaces(node):
    address = node.machine.address
    pod = await node.pod(host_network=True, host_pid=True, host_ipc=True, node_address=address)
    assert pod.address == address
    container = await node.named(pod, UP)
    there, own = namespaces_of(node.machine.pid), namespaces_of(container.pid)
    assert (own.net, own.uts, own.ipc, own.pid) == (there.net, there.uts, there.ipc, there.pid)
    assert own.mnt != there.mnt
    told = await node.shell(pod, "hostname; cat /proc/1/comm; grep -c . /etc/hosts")
    assert told.splitlines()[:2] == [node.machine.name, "kubelab-init"]
    await node.runtime.remove_sandbox(pod.uid)
    assert not Path(f"/proc/{container.pid}").exists()


async def test_a_pod_may_have_users_of_its_own(node):
    pod = await node.pod(host_users=False)
    script = "id -u; head -1 /proc/self/uid_map; touch /x && stat -c %u /x; hostname; ip -o link | wc -l"
    told = (await node.shell(pod, script)).split()
    assert told[:2] == ["0", "0"]
    outside = int(told[2])
    assert outside >= 65536
    assert told[3:] == ["65536", "0", pod.uid, "2"]
    container = await node.named(pod, UP)
    await node.logged(container, "up")
    assert set(ids_of(container.pid)) == {str(outside)}
    assert (await node.shell(pod, "ping -c1 -W2 127.0.0.1 >/dev/null && echo pong")) == "pong\n"
    other = await node.pod(host_users=False)
    assert int((await node.shell(other, "head -1 /proc/self/uid_map")).split()[1]) != outside


async def test_who_runs_is_the_pod_s_to_say(node):
    pod = await node.pod()
    security = Security(user=1234, group=2345, groups=(3456,), drop_capabilities=("ALL",))
    told = await node.shell(pod, "id -u; id -g; id -G; grep CapEff /proc/self/status", security=security)
    assert told.split() == ["1234", "2345", "2345", "3456", "CapEff:", "0000000000000000"]


async def test_capabilities_are_added_and_dropped(node):
    pod = await node.pod()
    security = Security(add_capabilities=("NET_ADMIN",), drop_capabilities=("CHOWN",))
    script = "ip link set lo mtu 1400 && echo set; chown 1 /tmp 2>&1"
    assert (await node.shell(pod, script, security=security)).startswith("set\nchown: changing")


async def test_the_default_profile_refuses_what_an_unconfined_container_may_call(node):
    pod = await node.pod()
    script = "grep Seccomp: /proc/self/status"
    assert await node.shell(pod, script) == "Seccomp:\t2\n"
    keyctl = "python3 -c 'import ctypes; c = ctypes.CDLL(None); print(c.syscall(250, 0, -3, 0))'"
    assert await node.shell(pod, keyctl) == "-1\n"


async def test_a_root_may_be_read_only(node):
    told = await node.shell(await node.pod(), "touch /x", security=Security(read_only_root=True))
    assert "Read-only file system" in told


async def test_names_are_those_that_the_pod_has(node):
    pod = await node.pod(
        domain="db.shop.svc.cluster.local",
        host_aliases=(HostAlias("10.9.8.7", ("far", "far.example")),),
        dns=Dns(("10.96.0.10",), ("shop.svc.cluster.local",), ("ndots:5",)),
    )
    told = await node.shell(pod, "cat /etc/resolv.conf; getent hosts far.example; cat /etc/hosts; hostname")
    assert "nameserver 10.96.0.10\n" in told
    assert "search shop.svc.cluster.local\n" in told
    assert f"{pod.address}\t{pod.uid}.db.shop.svc.cluster.local\t{pod.uid}\n" in told
    assert "10.9.8.7        far far.example" in told or "10.9.8.7        far" in told


async def test_what_a_volume_covers_is_not_written_through_it(node):
    """A kubelet does not manage the hosts file of who mounts one of his own."""
    pod, known = await node.pod(), Mount("/etc/hosts", "/etc/hosts")
    before = await node.shell(await node.pod(host_network=True, node_address=node.machine.address), HOSTS)
    assert await node.shell(pod, HOSTS, mounts=(known,)) == before
    assert await node.shell(pod, "cat /machine/hosts", mounts=(Mount("/machine", "/etc"), known)) == before
    told = await node.shell(pod, f"{HOSTS}; cat /etc/hostname", mounts=(Mount("/etc", "/etc"),))
    assert told == f"{before}{node.machine.name}\n"
    assert await node.shell(pod, HOSTS) != before


async def test_a_pod_s_sysctls_are_its_network_s(node):
    pod = await node.pod(sysctls={"net.ipv4.ip_local_port_range": "40000 40100"})
    path = "/proc/sys/net/ipv4/ip_local_port_range"
    assert (await node.shell(pod, f"cat {path}")).split() == ["40000", "40100"]
    assert (await node.shell(await node.pod(), f"cat {path}")).split() != ["40000", "40100"]
    serve = "python3 -c 'import socket; socket.create_server((\"\", 80)); print(1)'"
    assert await node.shell(pod, serve, security=Security(user=1000)) == "1\n"


async def test_limits_of_resources_and_the_oom_score_are_set(node):
    rlimits = (Rlimit("RLIMIT_NOFILE", 100, 200),)
    script = "ulimit -Sn; ulimit -Hn; cat /proc/self/oom_score_adj"
    told = await node.shell(await node.pod(), script, rlimits=rlimits, oom_score_adj=500)
    assert told.split() == ["100", "200", "500"]


async def test_a_device_of_the_machine_s_may_be_shown(node):
    devices = (Device("/dev/zero", "/dev/nothing"),)
    told = await node.shell(await node.pod(), "head -c 3 /dev/nothing | wc -c", devices=devices)
    assert told == "3\n"


async def test_pause_is_alone_in_a_pod_with_no_containers(node):
    pod = await node.pod()
    assert command_of(pod.pid) == "/pause"
