"""Requests that the API server hands on to who really answers them: a pod's program, a node's kubelet."""

import pytest
from stream_lab import Kubectl

pytestmark = pytest.mark.root
SERVER = ("python3", "-m", "http.server", "8000", "--directory", "/usr/share")
PODS = "/api/v1/namespaces/default/pods"


def test_a_pods_program_is_asked_by_way_of_the_server(any_kubectl: Kubectl) -> None:
    any_kubectl.run("run", "site", "--image=kubelab/shell", "--port=8000", "--", *SERVER)
    any_kubectl.run("wait", "--for=condition=Ready", "pod/site", "--timeout=40s")
    listening = "until (: < /dev/tcp/127.0.0.1/8000) 2>/dev/null; do :; done"
    any_kubectl.run("exec", "site", "--", "bash", "-c", listening)
    assert b"Directory listing for /" in any_kubectl.run("get", "--raw", f"{PODS}/site/proxy/")
    assert "not find" in any_kubectl.refused("get", "--raw", f"{PODS}/http:site:8000/proxy/no%20such")
    told = any_kubectl.refused("get", "--raw", f"{PODS}/site:8001/proxy/")
    assert "error trying to reach service: dial tcp" in told
    assert "connect: connection refused" in told
    any_kubectl.run("delete", "pod", "site", "--now", "--wait=false")


def test_a_kubelet_tells_what_its_pods_use(any_kubectl: Kubectl) -> None:
    told = any_kubectl.run("get", "--raw", "/api/v1/nodes/minion-1/proxy/metrics/resource").decode()
    series = 'container_memory_working_set_bytes{container="main",namespace="default",pod="shell"}'
    (line,) = [each for each in told.splitlines() if each.startswith(series)]
    assert float(line.split()[1]) > 0
    assert "node_cpu_usage_seconds_total" in told
