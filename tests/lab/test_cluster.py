"""A real cluster by the genuine kubectl: pods are processes with addresses, limits, logs and a death."""

import os
import re
import signal
import textwrap
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab_program import RunningLab, until

from kubelab.cluster.linux.namespaces import namespace_id
from kubelab.cluster.linux.processes import nspids_of

pytestmark = pytest.mark.root

POD = textwrap.dedent("""
    apiVersion: v1
    kind: Pod
    metadata: {name: "@", labels: {app: "@"}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: server
        image: kubelab/shell
        command: [python3, -m, http.server, "8080"]
        resources: {limits: {memory: 64Mi, cpu: 500m}}
      - name: talker
        image: kubelab/shell
        command: [sh, -c, "echo hello from $HOSTNAME; exec sleep 1000"]
""")
FETCH = "import urllib.request as u; print(u.build_opener(u.ProxyHandler({{}})).open('{url}').read())"
EAT = 'python3, -c, "x = bytearray(200 * 1024 * 1024)"'


def applied(lab: RunningLab, name: str) -> list[int]:
    """Apply the pod, wait until it is ready, and return its pids on the host, pause first."""
    assert lab.kubectl("apply", "-f", "-", stdin=POD.replace("@", name)) == f"pod/{name} created\n"
    lab.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=40s")
    until(lambda: len(pids_of(lab, name)) == 3)
    return pids_of(lab, name)


def pids_of(lab: RunningLab, name: str) -> list[int]:
    """Return what the lab shows, which follows the cluster as everybody else does."""
    shown = re.findall(rf"^default +{name} .* ([\d,]+)$", lab.run("status"), re.MULTILINE)
    return [int(pid) for pids in shown for pid in pids.split(",")]


def test_a_master_and_two_minions_come_up_ready(lab: RunningLab) -> None:
    nodes = lab.kubectl("get", "nodes", "--no-headers").splitlines()
    assert [line.split()[:2] for line in nodes] == [["minion-1", "Ready"], ["minion-2", "Ready"]]


def test_a_pod_is_a_pause_process_and_containers_that_share_its_network(lab: RunningLab) -> None:
    pause, server, talker = applied(lab, "shared")
    for kind in ("net", "ipc", "uts"):
        assert namespace_id(pause, kind) == namespace_id(server, kind) == namespace_id(talker, kind)
    for kind in ("pid", "mnt", "cgroup"):
        assert len({namespace_id(pid, kind) for pid in (pause, server, talker)}) == 3
    assert nspids_of(server)[-1] == nspids_of(talker)[-1] == 1
    assert Path(f"/proc/{pause}/cmdline").read_text().startswith("/pause")


def test_its_limits_are_those_of_its_cgroup(lab: RunningLab) -> None:
    _, server, _ = applied(lab, "limited")
    limits = [*cgroup_values(server, "memory.max", "memory.limit_in_bytes")]
    assert limits == [str(64 * 1024 * 1024)]


def cgroup_values(pid: int, v2_field: str, v1_field: str) -> Iterator[str]:
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for root, field in ((f"/sys/fs/cgroup/{controllers}", v1_field), ("/sys/fs/cgroup", v2_field)):
            file = Path(root + path) / field
            if file.exists():
                yield file.read_text().strip()


def test_its_address_answers_from_another_machine_and_from_the_host(lab: RunningLab) -> None:
    applied(lab, "web")
    pod = lab.json("get", "pod", "web")
    other = "minion-2" if pod["spec"]["nodeName"] == "minion-1" else "minion-1"
    url = f"http://{pod['status']['podIP']}:8080/etc/hostname"
    fetch = FETCH.format(url=url)
    for machine in (other, "master-1"):  # The container is ready before the server in it.
        until(lambda machine=machine: fetched(lab, machine, fetch) == "b'web\\n'\n")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    assert opener.open(url, timeout=20).read() == b"web\n"


def fetched(lab: RunningLab, machine: str, fetch: str) -> str:
    return lab.run("shell", machine, "python3", "-c", fetch, code=None)


def test_logs_come_from_the_kubelet(lab: RunningLab) -> None:
    applied(lab, "chatty")
    until(lambda: lab.kubectl("logs", "chatty", "-c", "talker") == "hello from chatty\n")


def test_a_killed_container_is_started_again(lab: RunningLab) -> None:
    _, _, talker = applied(lab, "mortal")
    os.kill(talker, signal.SIGKILL)
    lab.kubectl(
        "wait", "--for=jsonpath={.status.containerStatuses[1].restartCount}=1", "pod/mortal", "--timeout=40s"
    )
    lab.kubectl("wait", "--for=condition=Ready", "pod/mortal", "--timeout=40s")
    ended = lab.json("get", "pod", "mortal")["status"]["containerStatuses"][1]["lastState"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (137, "Error")


def test_a_deleted_pod_leaves_no_process(lab: RunningLab) -> None:
    pids = applied(lab, "gone")
    lab.kubectl("delete", "pod", "gone", "--timeout=40s")
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []  # As upstream: the object goes last.


def test_a_container_beyond_its_memory_limit_is_oom_killed(lab: RunningLab) -> None:
    eater = POD.replace("@", "eat").replace('python3, -m, http.server, "8080"', EAT)
    lab.kubectl("apply", "-f", "-", stdin=eater.replace("spec:", "spec:\n  restartPolicy: Never", 1))
    reason = "{.status.containerStatuses[0].state.terminated.reason}"
    lab.kubectl("wait", f"--for=jsonpath={reason}=OOMKilled", "pod/eat", "--timeout=40s")
    ended = lab.json("get", "pod", "eat")["status"]["containerStatuses"][0]["state"]["terminated"]
    assert ended["exitCode"] == 137


def test_an_image_that_cannot_be_had_ends_in_err_image_pull(lab: RunningLab) -> None:
    lab.kubectl("run", "wrong", "--image=no.such.registry/nothing:1")
    reason = "{.status.containerStatuses[0].state.waiting.reason}"
    lab.kubectl("wait", f"--for=jsonpath={reason}=ErrImagePull", "pod/wrong", "--timeout=40s")
    until(lambda: "Failed to pull image" in lab.kubectl("describe", "pod", "wrong"))


def test_a_deployment_scales_heals_and_goes(lab: RunningLab) -> None:
    lab.kubectl("create", "deployment", "many", "--image=kubelab/shell", "--replicas=3")
    lab.kubectl("wait", "--for=condition=Available", "deployment/many", "--timeout=40s")
    lab.kubectl("scale", "deployment/many", "--replicas=5")
    lab.kubectl("wait", "--for=jsonpath={.status.readyReplicas}=5", "deployment/many", "--timeout=40s")
    victim = lab.kubectl("get", "pods", "-l", "app=many", "-o", "name").split()[0]
    lab.kubectl("delete", victim, "--now", "--timeout=40s")
    lab.kubectl("wait", "--for=jsonpath={.status.readyReplicas}=5", "deployment/many", "--timeout=40s")
    assert victim not in lab.kubectl("get", "pods", "-l", "app=many", "-o", "name")
    lab.kubectl("delete", "deployment", "many", "--cascade=foreground", "--timeout=40s")
    assert "No resources found" in lab.kubectl("get", "replicasets,pods", "-l", "app=many")


def test_the_machines_have_the_same_kubectl_and_may_use_it(lab: RunningLab) -> None:
    assert "minion-2" in lab.run("shell", "minion-1", "kubectl", "get", "nodes")
