"""Hooks and termination messages of real containers, beside the same lab."""

import json

import pytest
from stream_lab import TIMEOUT_S, Kubectl

pytestmark = pytest.mark.root
LAST_WORDS = """
apiVersion: v1
kind: Pod
metadata: {name: last-words}
spec:
  restartPolicy: Never
  containers:
  - name: writes
    image: kubelab/shell
    securityContext: {runAsUser: 1000}
    command: [sh, -c, 'echo -n "no disk" > /dev/termination-log; exit 3']
  - name: elsewhere
    image: kubelab/shell
    terminationMessagePath: /tmp/why
    command: [sh, -c, 'head -c 9000 /dev/zero | tr "\\\\0" x > /tmp/why']
  - name: logs
    image: kubelab/shell
    terminationMessagePolicy: FallbackToLogsOnError
    command: [sh, -c, 'echo one; echo two >&2; exit 1']
  - name: silent
    image: kubelab/shell
    command: ["true"]
"""
HOOKED = """
apiVersion: v1
kind: Pod
metadata: {name: hooked}
spec:
  terminationGracePeriodSeconds: 20
  containers:
  - name: main
    image: kubelab/shell
    command: [sh, -c, 'trap "exit 0" TERM; python3 -u -m http.server 8000 --directory /tmp & wait']
    lifecycle:
      postStart: {exec: {command: [sh, -c, 'until ss -ltn | grep -q :8000; do sleep 0.02; done']}}
      preStop: {httpGet: {port: 8000, path: /farewell, httpHeaders: [{name: X-Why, value: asked}]}}
"""


def test_a_container_says_why_it_has_ended(any_kubectl: Kubectl) -> None:
    any_kubectl.run("apply", "-f", "-", stdin=LAST_WORDS.encode())
    any_kubectl.run("wait", "pod/last-words", "--for=jsonpath={.status.phase}=Failed", "--timeout=40s")
    pod = json.loads(any_kubectl.run("get", "pod", "last-words", "-o", "json"))
    ended = {each["name"]: each["state"]["terminated"] for each in pod["status"]["containerStatuses"]}
    assert (ended["writes"]["message"], ended["writes"]["exitCode"]) == ("no disk", 3)
    assert ended["elsewhere"]["message"] == "x" * 4096
    assert sorted(ended["logs"]["message"].split()) == ["one", "two"]
    assert "message" not in ended["silent"]


def test_hooks_run_in_the_container_and_from_inside_its_pod(any_kubectl: Kubectl) -> None:
    any_kubectl.run("apply", "-f", "-", stdin=HOOKED.encode())
    any_kubectl.run("wait", "--for=condition=Ready", "pod/hooked", "--timeout=40s")
    follower = any_kubectl.start("logs", "-f", "hooked")
    assert follower.stdout
    assert follower.stdout.readline().startswith(b"Serving HTTP")
    any_kubectl.run("delete", "pod", "hooked")
    said, _ = follower.communicate(timeout=TIMEOUT_S)
    assert b'"GET /farewell HTTP/1.1"' in said
