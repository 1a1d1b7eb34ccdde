"""An ordinary user has the whole lab without sudo: cluster, pods, shells; from any of his terminals."""

import json
import os
import select
import shlex
import signal
import socket
import sys
from pathlib import Path

import pytest
from lab_program import RunningLab, kubelab, running, until
from ordinary_user import ID, processes_of_user

from kubelab.cluster.linux.namespaces import namespace_id

sys.path.append(str(Path(__file__).parent.parent / "escape"))  # For what its tests have in common.
from outside import Outside, through

pytestmark = pytest.mark.root

MACHINE = "minion-1"


def on_machine(lab: RunningLab, script: str) -> list[str]:
    return lab.run("shell", MACHINE, "sh", "-c", script).splitlines()


def test_it_is_his_and_he_is_root_in_it_alone(lab: RunningLab) -> None:
    status = Path(f"/proc/{lab.process.pid}/status").read_text().splitlines()
    assert f"Uid:\t{ID}\t{ID}\t{ID}\t{ID}" in status
    assert namespace_id(lab.process.pid, "user") != namespace_id("self", "user")
    assert {path.stat().st_uid for path in lab.place.rglob("*")} == {ID}
    assert on_machine(lab, "id -u") == ["0"]


def test_kubectl_reaches_it_from_another_terminal(lab: RunningLab) -> None:
    (node,) = lab.json("get", "nodes")["items"]
    assert {"type": "Ready", "status": "True"}.items() <= {
        key: condition[key] for condition in node["status"]["conditions"] for key in ("type", "status")
    }.items()
    assert "minion-1" in lab.run("status")


def test_a_pod_runs_in_namespaces_and_a_network_of_its_own(lab: RunningLab) -> None:
    script = "id -u; hostname; tr '\\0' ' ' </proc/1/cmdline | cut -c -7; sleep 1000"
    lab.kubectl("run", "own", "--image=kubelab/shell", "--restart=Never", "--", "sh", "-c", script)
    lab.kubectl("wait", "--for=condition=Ready", "pod/own", "--timeout=40s")
    until(lambda: lab.kubectl("logs", "own").splitlines() == ["0", "own", "sh -c i"])
    ip = lab.json("get", "pod", "own")["status"]["podIP"]
    assert "1 received" in " ".join(on_machine(lab, f"ping -c 1 -W 5 {ip}"))
    lab.kubectl("delete", "pod", "own", "--now")


def test_a_pod_that_should_be_killed_last_is_killed_no_earlier_than_the_lab(lab: RunningLab) -> None:
    own = Path(f"/proc/{lab.process.pid}/oom_score_adj").read_text().strip()
    container = {
        "name": "last",
        "image": "kubelab/shell",
        "resources": {"limits": {"cpu": "1", "memory": "64Mi"}},
    }
    container["command"] = ["sh", "-c", "cat /proc/self/oom_score_adj; exec sleep 1000"]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "last"},
        "spec": {"containers": [container]},
    }
    lab.kubectl("apply", "-f", "-", stdin=json.dumps(pod))
    lab.kubectl("wait", "--for=condition=Ready", "pod/last", "--timeout=40s")
    assert lab.json("get", "pod", "last")["status"]["qosClass"] == "Guaranteed"
    until(lambda: lab.kubectl("logs", "last").strip() == own)
    lab.kubectl("delete", "pod", "last", "--now")


def test_machines_have_cables_firewalls_and_namespaces(lab: RunningLab) -> None:
    script = (
        "ping -c 1 -W 5 -q master-1 | grep -c '1 received'; "
        "nft add table inet own && nft list tables; nft delete table inet own; "
        "unshare --pid --fork --mount-proc sh -c 'echo $$ $(ls /proc | grep -c ^1$)'; "
        "unshare --user --map-root-user --net id -u"
    )
    assert on_machine(lab, script) == ["1", "table inet own", "1 1", "0"]


def test_its_root_adds_replaces_and_deletes_without_harm_to_the_host(lab: RunningLab) -> None:
    script = "echo own > /etc/passwd && touch /usr/bin/own && rm /usr/bin/head && ls /usr/bin/own; which head"
    assert lab.run("shell", MACHINE, "sh", "-c", script, code=1).splitlines() == ["/usr/bin/own"]
    assert not Path("/usr/bin/own").exists()
    assert Path("/usr/bin/head").exists()
    assert "root:" in Path("/etc/passwd").read_text()


POWERS = {
    "the host's passwords": "cut -d: -f2 /etc/shadow | sort -u | grep -v '^[*]$'",
    "a disk": "mknod /root/disk b 254 0",
    "the kernel's memory": "mknod /root/mem c 1 1",
    "sysrq": "echo h > /proc/sysrq-trigger",
    "sysrq by a fresh /proc": "mount -t proc proc /mnt && echo h > /mnt/sysrq-trigger",
    "a sysctl": "mount -t proc proc /mnt && echo 1 > /mnt/sys/kernel/sysrq",
    "power states": "mount -t sysfs sysfs /mnt && echo mem > /mnt/power/state",
    "an uevent": "mount -t sysfs sysfs /mnt && echo add > /mnt/class/mem/null/uevent",
    "efivarfs": "mount -t efivarfs efivarfs /mnt",
    "debugfs": "mount -t debugfs debugfs /mnt",
    "devtmpfs": "mount -t devtmpfs devtmpfs /mnt && echo > /mnt/kmsg",
    "a program of the host": "mount -o remount,rw $KUBECTL && : > $KUBECTL",
    "the kernel's log": "dmesg -C",
    "modules": "modprobe dummy_hcd || insmod /dev/null",
    "the clock": "date -s @0",
    "the lab's process": "nsenter --target 1 --pid --mount ps -e | grep -v kubelab-init | grep kubelab",
    "the user's home": "ls -d /home/* /proc/1/root/home/* /proc/1/cwd/home/*",
}


def test_its_root_has_no_power_over_the_host(lab: RunningLab) -> None:
    attempts = (f"unshare --mount sh -c {shlex.quote(attempt)}" for attempt in POWERS.values())
    script = "".join(f"{attempt} >/dev/null 2>&1 && echo done || echo refused\n" for attempt in attempts)
    outcome = on_machine(lab, f"export KUBECTL=/usr/local/bin/kubectl\n{script}")
    assert dict(zip(POWERS, outcome, strict=True)) == dict.fromkeys(POWERS, "refused")


def test_doctor_says_what_there_is_not(home: Path, user: tuple[str, ...]) -> None:
    said = kubelab(home / "none", "doctor", prefix=user).stdout
    assert said.startswith("The lab runs rootless, as your user")
    assert f"✓ root                 rootless: user {ID} is root of a user namespace of its own" in said
    assert "✗ host-root " in said
    assert "✓ overlay              tried: works" in said


def test_doctor_finds_that_a_masked_proc_keeps_machines_from_theirs(
    home: Path, user: tuple[str, ...]
) -> None:
    """As containers of other engines have it: mount_namespaces(7) on what a user may not see all of."""
    mask = ("unshare", "--mount", "sh", "-c", 'mount --bind /dev/null /proc/kallsyms && exec "$@"', "sh")
    said = kubelab(home / "none", "doctor", prefix=(*mask, *user)).stdout
    assert "✗ namespace.pid        tried: the kernel refuses it: mount proc: Operation not permitted" in said
    assert "→ the container that you are in masks parts of /proc" in said


def test_killed_it_leaves_nothing_that_runs_and_clean_takes_the_rest(
    home: Path, user: tuple[str, ...]
) -> None:
    place = home / "killed"
    others = set(processes_of_user())
    with running(place, "--minions", "1", prefix=user) as killed:
        until(lambda: len(set(processes_of_user()) - others) == 3)  # Once all have come that are to stay.
        processes = [os.pidfd_open(pid) for pid in set(processes_of_user()) - others]
        killed.end(signal.SIGKILL)
        for pidfd in processes:
            select.select([pidfd], [], [])
            os.close(pidfd)
    said = kubelab(place, "clean", prefix=user).stdout
    assert f"✓ file {place}/admin.conf" in said
    assert sorted(left.name for left in place.iterdir()) == ["lock", "masters"]


def test_nothing_comes_through_from_a_container_of_his(lab: RunningLab, tmp_path: Path) -> None:
    """The attempts of tests/escape, on what is out of his pod: a file, a process and a socket of root's."""
    (canary := tmp_path / "canary").write_text("untouched")
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind(f"\0{canary}")
        abstract.listen()
        outside = Outside(canary, {"HOST_PORT": str(server.getsockname()[1]), "HOST_ADDRESSES": "192.0.2.2"})
        env = [f"--env={name}={value}" for name, value in outside.environment.items()]
        image = ("--image=kubelab/shell", "--restart=Never", "--command")
        lab.kubectl("run", "escape", *image, *env, "--", *outside.arguments)
        succeeded = "--for=jsonpath={.status.phase}=Succeeded"
        lab.kubectl("wait", succeeded, "pod/escape", "--timeout=40s")
    assert through(lab.kubectl("logs", "escape")) == {}
    lab.kubectl("delete", "pod", "escape", "--now")
