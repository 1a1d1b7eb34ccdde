"""The checks of the kernel's state on a real machine: not yet, then done in a shell there, and passed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest
from observed import check
from scratch_lab import ScratchLab

from kubelab.cluster.clock import SystemClock
from kubelab.cluster.linux import cgroups
from kubelab.cluster.machine.machine import Machine
from kubelab.lessons.checks import Check, Finding, Scope, judge
from kubelab.lessons.checks.check import NOT_LOOKED_YET, Needs
from kubelab.lessons.memory import Memory
from kubelab.lessons.observe import Observer
from kubelab.lessons.view import Verdict

pytestmark = pytest.mark.root

MAKE_JAIL = """
mkdir -p /tmp/jail/usr /tmp/jail/proc /tmp/jail/etc && mount --bind /usr /tmp/jail/usr
for link in bin lib lib64; do ln -s usr/$link /tmp/jail/$link; done
"""


class Bench:
    """A machine, what is seen of it, and commands that are run on it."""

    def __init__(self, machine: Machine, observer: Observer) -> None:
        self.machine = machine
        self._observer = observer
        self._memory = Memory()

    async def run(self, command: str) -> None:
        process = await self.machine.spawn(["bash", "-c", command])
        assert await process.wait() == 0, command

    async def start(self, command: str) -> None:
        """Start what stays."""
        await self.machine.spawn(["bash", "-c", f"exec {command}"])

    async def seen(self, yaml: str, holds: Callable[[Finding], bool]) -> Finding:
        """Return what is found of the check once it is as *holds* says."""
        wanted = check(yaml)
        finding = self._judge(wanted)
        try:
            async with asyncio.timeout(20):
                while not holds(finding):
                    self._observer.look_soon()
                    await self._observer.changed.wait()
                    self._observer.changed.clear()
                    finding = self._judge(wanted)
        except TimeoutError:
            pytest.fail(f"{yaml}: {finding}")
        return finding

    async def not_yet(self, yaml: str, observed: str = "") -> Finding:
        """Wait until it has been looked at, and *observed* is part of what was seen."""
        return await self.seen(
            yaml,
            lambda finding: (
                finding.verdict is Verdict.NOT_YET
                and finding.observed != NOT_LOOKED_YET
                and observed in finding.observed.en
            ),
        )

    async def passes(self, yaml: str) -> Finding:
        return await self.seen(yaml, lambda finding: finding.passed)

    async def cannot(self, yaml: str) -> Finding:
        return await self.seen(yaml, lambda finding: finding.verdict is Verdict.CANNOT_CHECK)

    def _judge(self, wanted: Check) -> Finding:
        scope = Scope(self.machine.name, self._memory)
        self._observer.want(wanted.questions(self._observer.observation, scope))
        return judge(wanted, self._observer.observation, scope)


@pytest.fixture
async def bench(lab: ScratchLab) -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:
        machine = await stack.enter_async_context(lab.scratch("lab"))
        observer = Observer(lab, lambda: lab.machines, SystemClock())
        await stack.enter_async_context(observer.watching(Needs(processes=True)))
        observer.begin()
        yield Bench(machine, observer)


async def test_a_chroot(bench: Bench) -> None:
    jailed = "process: {comm: sleep, chrooted: true, root: /tmp/jail, cwd: /tmp/jail}"
    await bench.start("sleep 1001")
    await bench.not_yet(jailed, "its root is /")
    await bench.run(MAKE_JAIL)
    await bench.start("chroot /tmp/jail sleep 1002")
    await bench.passes(jailed)
    await bench.passes("{mount: /usr, of: {argv: sleep 1002}, bind: true}")
    await bench.not_yet("{mount: /tmp/jail/usr, of: {argv: sleep 1002}}")


async def test_fake_root(bench: Bench) -> None:
    fake = "process: {comm: sleep, uid: 99, fake-root: true, in-new: user, uid-map: {inside: 0, outside: 99}}"
    await bench.start("sleep 1001")
    await bench.not_yet(fake)
    await bench.start("setpriv --reuid=99 unshare --user --map-root-user sleep 1002")
    await bench.passes(fake)
    await bench.passes("{namespace: user, of: {argv: sleep 1002}, differs-from: host}")


async def test_capabilities(bench: Bench) -> None:
    few = "process: {comm: sleep, has-capabilities: CHOWN, lacks-capabilities: [KILL, NET_ADMIN]}"
    await bench.start("sleep 1001")
    await bench.not_yet(few)
    await bench.start("setpriv --bounding-set=-all,+chown sleep 1002")
    await bench.passes(few)


async def test_an_ancestor(bench: Bench) -> None:
    below = "process: {comm: sleep, ancestor: {comm: unshare}, pid-depth: 2, pid: 2}"
    await bench.start("sleep 1001")
    await bench.not_yet(below)
    await bench.start("unshare --pid --fork bash -c 'sleep 1002; :'")
    await bench.passes(below)


async def test_a_mount_in_a_namespace_of_its_own(bench: Bench) -> None:
    mounted = "{mount: /mnt, of: {comm: sleep}, type: tmpfs, options: [ro, nosuid], propagation: private}"
    await bench.start("sleep 1001")
    await bench.not_yet(mounted)
    await bench.start("unshare --mount bash -c 'mount -t tmpfs -o ro,nosuid none /mnt; exec sleep 1002'")
    await bench.passes(mounted)
    await bench.passes("{mount: /mnt, absent: true}")


async def test_an_overlay(bench: Bench) -> None:
    merged = "{mount: /tmp/m, type: overlay, layers: [/tmp/b, /tmp/a], upper: /tmp/u}"
    await bench.not_yet(merged)
    await bench.run(
        "cd /tmp; mkdir a b u w m;"
        "mount -t overlay -o lowerdir=/tmp/b:/tmp/a,upperdir=/tmp/u,workdir=/tmp/w o /tmp/m"
    )
    await bench.passes(merged)
    await bench.run("mount -t tmpfs none /tmp/m")
    await bench.not_yet(merged)


async def test_files_as_a_process_and_the_machine_see_them(bench: Bench) -> None:
    await bench.run(MAKE_JAIL)
    await bench.start("chroot /tmp/jail sleep 1001")
    inside = "{file: /etc/motd, of: {comm: sleep}, content: {eq: hello}, mode: '0600', owner: 0}"
    await bench.not_yet(inside)
    await bench.run("umask 077; echo hello > /tmp/jail/etc/motd")
    await bench.passes(inside)
    await bench.run("ln -sf /etc/motd /tmp/jail/link; mkfifo /tmp/jail/pipe")
    await bench.passes("{file: /link, of: {comm: sleep}, type: link, target: /etc/motd}")
    await bench.passes("{file: /link, of: {comm: sleep}, contains: hello}")
    await bench.passes("{file: /pipe, of: {comm: sleep}, type: fifo}")
    await bench.passes("{file: /tmp/jail/etc, type: directory}")
    await bench.run("rm /tmp/jail/link; ln -s /etc/hostname /tmp/jail/link")
    await bench.not_yet("{file: /link, of: {comm: sleep}, contains: x}", "leads nowhere")


async def test_the_name_of_a_machine_and_of_who_is_in_another_uts_namespace(bench: Bench) -> None:
    await bench.start("unshare --uts sleep 1001")
    inside = "{hostname: luna, of: {comm: sleep, in-new: [uts]}}"
    await bench.not_yet(inside, "it is lab")
    await bench.run("nsenter --target $(pgrep sleep) --uts hostname luna")
    await bench.passes(inside)
    await bench.passes("hostname: lab")


async def test_a_file_is_found_though_another_proc_is_mounted_over_the_machines(bench: Bench) -> None:
    await bench.start("sleep 1001")
    seen = "{file: /root/it, of: {comm: sleep}}"
    await bench.not_yet(seen)
    await bench.run("unshare --pid --fork mount -t proc proc /proc; touch /root/it")
    await bench.passes(seen)


async def test_a_link_that_is_moved_with_its_address_and_route(bench: Bench) -> None:
    await bench.start("unshare --net sleep 1001")
    await bench.passes("process: {comm: sleep, in-new: net}")
    link = "{link: eth7, of: {comm: sleep}, kind: veth, up: true, mtu: 1400}"
    address = "{address: 10.77.0.2/24, link: eth7, of: {comm: sleep}}"
    route = "{route: default, via: 10.77.0.1, of: {comm: sleep}}"
    for yaml in (link, address, route):
        await bench.not_yet(yaml)
    await bench.run(
        "ip link add br7 type bridge; ip link add v7 type veth peer name eth7;"
        "ip link set v7 master br7 up; ip link set br7 up;"
        "pid=$(pgrep -f '^sleep 1001'); ip link set eth7 mtu 1400 netns $pid;"
        "nsenter -t $pid -n sh -c 'ip link set eth7 up; ip address add 10.77.0.2/24 dev eth7;"
        " ip route add default via 10.77.0.1'"
    )
    for yaml in (link, address, route):
        await bench.passes(yaml)
    await bench.passes("{link: v7, master: br7, carrier: true}")
    await bench.passes("{link: eth7, absent: true}")
    await bench.run("ip link set br7 down; ip link delete v7")
    await bench.passes("{link: eth7, of: {comm: sleep}, absent: true}")


async def test_a_rule_of_nftables(bench: Bench) -> None:
    masked = "{nft-rule: [ip saddr 10.77.0.0/24, masquerade], family: ip, table: kr, chain: out}"
    await bench.not_yet(masked)
    await bench.run(
        "nft 'add table ip kr; add chain ip kr out { type nat hook postrouting priority 100; };"
        "add rule ip kr out ip saddr 10.77.0.0/24 masquerade'"
    )
    await bench.passes(masked)


def directory_of(field: str) -> str:
    """Return where a learner makes the cgroup that has the field, on this kernel."""
    tree = cgroups.detect()
    file = tree.as_seen_inside().at("demo").file(field)
    assert file is not None
    return file.rpartition("/")[0]


async def test_a_limit_its_members_and_what_it_killed(bench: Bench) -> None:
    demo, limit = directory_of("memory.max"), "{cgroup: demo, field: memory.max, eq: 16M}"
    killed = "{cgroup: demo, field: memory.events.oom_kill, increased: 1}"
    await bench.not_yet("cgroup: demo")
    await bench.not_yet(killed)
    await bench.not_yet(limit, f"{demo} does not exist")
    await bench.run(f"mkdir {demo}")
    await bench.passes("cgroup: demo")
    unlimited = await bench.not_yet(limit, "memory.max is max")
    assert unlimited.look.startswith(f"cat {demo}/memory.")
    await bench.run(f"cd {demo}; echo 16M > memory.max 2>/dev/null || echo 16M > memory.limit_in_bytes")
    await bench.passes(limit)
    await bench.start(f"sh -c 'echo 0 > {demo}/cgroup.procs; exec sleep 1001'")
    await bench.passes("{cgroup: demo, members: {comm: sleep}, count: {eq: 1}}")
    await bench.passes("process: {comm: sleep, cgroup: demo}")
    await bench.passes("{cgroup: {comm: sleep}, field: memory.max, eq: 16M}")
    await bench.passes("{cgroup: demo, controllers: memory}")
    await bench.start(f"sh -c 'echo 0 > {demo}/cgroup.procs; exec tail /dev/zero'")
    await bench.passes(killed)
    await bench.passes("{cgroup: demo, field: memory.stat.anon, ge: 0}")


async def test_what_this_machines_version_does_not_know_cannot_be_checked(bench: Bench) -> None:
    demo = directory_of("memory.max")
    await bench.run(f"mkdir {demo}")
    finding = await bench.cannot("{cgroup: demo, field: memory.nonsense, eq: 1}")
    assert finding.observed.en == (
        "this machine's cgroups have no memory.nonsense: this kernel does not know it, or its controller "
        "does not reach this cgroup"
    )
    await bench.cannot("{cgroup: demo, field: rdma.max, eq: 1}")


async def test_throttling(bench: Bench) -> None:
    demo = directory_of("cpu.max")
    throttled = "{cgroup: demo, field: cpu.stat.nr_throttled, increased: 1}"
    await bench.not_yet(throttled)
    await bench.run(
        f"mkdir {demo}; cd {demo}; echo 5000 100000 > cpu.max 2>/dev/null || echo 5000 > cpu.cfs_quota_us"
    )
    await bench.passes("{cgroup: demo, field: cpu.max, eq: 5000 100000}")
    await bench.start(f"sh -c 'echo 0 > {demo}/cgroup.procs; while :; do :; done'")
    await bench.passes(throttled)


async def test_a_bounded_number_of_processes(bench: Bench) -> None:
    demo = directory_of("pids.max")
    refused = "{cgroup: demo, field: pids.events.max, increased: 1}"
    await bench.not_yet(refused)
    await bench.run(f"mkdir {demo}; echo 5 > {demo}/pids.max")
    await bench.passes("{cgroup: demo, field: pids.max, eq: 5}")
    await bench.start(
        f"bash -c 'echo 0 > {demo}/cgroup.procs; for n in 1 2 3 4 5 6; do sleep 1001 & done; wait'"
    )
    await bench.passes(refused)
    await bench.passes("{cgroup: demo, count: {ge: 2}}")


async def test_a_freezer(bench: Bench) -> None:
    demo = directory_of("cgroup.freeze")
    frozen = "{cgroup: demo, field: cgroup.events.frozen, eq: 1}"
    await bench.not_yet(frozen)
    await bench.run(f"mkdir {demo}")
    await bench.start(f"sh -c 'echo 0 > {demo}/cgroup.procs; exec sleep 1001'")
    await bench.passes("{cgroup: demo, members: {comm: sleep}}")
    await bench.run(f"echo 1 > {demo}/cgroup.freeze")
    await bench.passes(frozen)
    await bench.run(f"echo 0 > {demo}/cgroup.freeze")


async def test_a_limit_of_a_disk(bench: Bench) -> None:
    demo = directory_of("io.max")
    await bench.not_yet("{cgroup: demo, controllers: io}")
    await bench.run(f"mkdir {demo}")
    await bench.passes("{cgroup: demo, controllers: io}")
    await bench.not_yet("{cgroup: demo, field: io.max.wbps, eq: 1M}")


async def test_a_root_that_was_pivoted_to_is_no_chroot(bench: Bench) -> None:
    await bench.run(MAKE_JAIL)
    await bench.start(
        "unshare --mount bash -c 'mount --rbind /tmp/jail /tmp/jail; mount -t tmpfs x /tmp/jail/etc;"
        " cd /tmp/jail; pivot_root . proc; umount -l proc; echo hi > /etc/motd; exec sleep 1001'"
    )
    await bench.passes("process: {comm: sleep, root: /, in-new: mnt}")
    await bench.passes("{mount: /etc, of: {comm: sleep}, type: tmpfs}")
    await bench.passes("{mount: /usr, of: {comm: sleep}, bind: true}")
    await bench.passes("{mount: /tmp, of: {comm: sleep}, absent: true}")
    await bench.passes("{file: /etc/motd, of: {comm: sleep}, content: {eq: hi}}")
    await bench.passes("{file: /root, of: {comm: sleep}, absent: true}")


async def test_a_chroot_in_a_mount_namespace_of_its_own(bench: Bench) -> None:
    await bench.run(MAKE_JAIL)
    await bench.start(
        "unshare --mount bash -c 'mount -t tmpfs x /tmp/jail/etc; exec chroot /tmp/jail sleep 1001'"
    )
    await bench.passes("process: {comm: sleep, root: /tmp/jail, in-new: mnt}")
    await bench.passes("{mount: /etc, of: {comm: sleep}, type: tmpfs}")
    await bench.passes("{mount: /tmp/jail/etc, absent: true}")
