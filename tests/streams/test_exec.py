"""exec, cp, attach, run and debug by the genuine kubectl, over WebSockets and over SPDY."""

import hashlib
import os
import uuid
from pathlib import Path

import pexpect
import pytest
from sleeping import is_running, unlikely_seconds
from stream_lab import TIMEOUT_S, Kubectl, until

pytestmark = pytest.mark.root
MEGABYTES_10 = os.urandom(1024) * 10 * 1024


def test_output_errors_and_exit_code_come_apart(kubectl: Kubectl) -> None:
    done = kubectl.ended("exec", "shell", "--", "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (done.returncode, done.stdout) == (3, b"out\n")
    assert done.stderr == b"err\ncommand terminated with exit code 3\n"


def test_input_ends_where_the_client_ends_it(kubectl: Kubectl) -> None:
    assert kubectl.run("exec", "-i", "shell", "--", "cat", stdin=b"one\ntwo") == b"one\ntwo"


def test_much_goes_through_both_ways_unchanged(kubectl: Kubectl) -> None:
    assert kubectl.run("exec", "-i", "shell", "--", "cat", stdin=MEGABYTES_10) == MEGABYTES_10


def test_input_that_nobody_reads_does_not_hold_up_the_end(any_kubectl: Kubectl) -> None:
    assert any_kubectl.run("exec", "-i", "shell", "--", "echo", "done", stdin=MEGABYTES_10) == b"done\n"


def test_a_file_is_copied_there_and_back(any_kubectl: Kubectl, tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(MEGABYTES_10)
    any_kubectl.run("cp", str(tmp_path / "there"), "shell:/tmp/copied")
    any_kubectl.run("cp", "shell:/tmp/copied", str(tmp_path / "back"))
    assert hashlib.sha256((tmp_path / "back").read_bytes()).digest() == (
        hashlib.sha256(MEGABYTES_10).digest()
    )


def test_a_command_that_cannot_be_executed(any_kubectl: Kubectl) -> None:
    assert any_kubectl.refused("exec", "shell", "--", "nonsense") == (
        "error: Internal error occurred: error executing command in container: failed to exec in container: "
        "failed to start exec: OCI runtime exec failed: exec failed: unable to start container process: "
        'exec: "nonsense": executable file not found in $PATH: unknown'
    )


def test_a_container_that_has_ended_takes_no_commands(any_kubectl: Kubectl) -> None:
    any_kubectl.run("run", "ended", "--image=kubelab/shell", "--", "true")
    # Ended for good: for a while nobody starts it again.
    reason = "{.status.containerStatuses[0].state.waiting.reason}"
    any_kubectl.run("wait", "pod/ended", f"--for=jsonpath={reason}=CrashLoopBackOff", "--timeout=40s")
    why = any_kubectl.refused("exec", "ended", "--", "true")
    any_kubectl.run("delete", "pod", "ended", "--wait=false")
    assert why == 'error: unable to upgrade connection: container not found ("ended")'


def test_a_terminal_has_the_clients_size_and_its_interrupt(kubectl: Kubectl) -> None:
    shell = kubectl.at_terminal("exec", "-it", "shell", "--", "sh")
    shell.sendline("until stty size | grep '33 101'; do sleep 0.02; done; tty")
    shell.expect("33 101\r\n/dev/pts/0")
    shell.setwinsize(40, 120)
    shell.sendline("until stty size | grep '40 120'; do sleep 0.02; done")
    shell.expect("40 120\r\n")
    seconds = unlikely_seconds()
    shell.sendline(f"sleep {seconds}")
    until(lambda: is_running(f"sleep {seconds}"))  # It is in the foreground then.
    shell.sendcontrol("c")
    shell.sendline("echo awa''ke; exit 7")
    shell.expect("awake\r\n")
    shell.expect(pexpect.EOF)
    shell.close()
    assert shell.exitstatus == 7


@pytest.mark.parametrize("options", ["-it", "-i"])
def test_a_command_does_not_outlive_a_killed_client(any_kubectl: Kubectl, options: str) -> None:
    seconds = unlikely_seconds()
    client = any_kubectl.at_terminal("exec", options, "shell", "--", "sleep", seconds)
    until(lambda: is_running(f"sleep {seconds}"))
    client.kill(9)
    client.close(force=True)
    until(lambda: not is_running(f"sleep {seconds}"))


def test_a_command_ends_with_its_pod(any_kubectl: Kubectl) -> None:
    any_kubectl.run("run", "passing", "--image=kubelab/shell", "--", "sleep", "infinity")
    any_kubectl.run("wait", "--for=condition=Ready", "pod/passing", "--timeout=40s")
    client = any_kubectl.start("exec", "passing", "--", "sh", "-c", "echo here; sleep infinity")
    assert client.stdout
    assert client.stdout.readline() == b"here\n"
    any_kubectl.run("delete", "pod", "passing", "--force", "--grace-period=0")
    said, _ = client.communicate(timeout=TIMEOUT_S)
    assert (client.returncode, said) == (137, b"command terminated with exit code 137\n")


def test_attached_one_hears_and_speaks(any_kubectl: Kubectl) -> None:
    client = any_kubectl.start("attach", "-i", "listener")
    assert client.stdin
    assert client.stdout
    word = uuid.uuid4().hex.encode()
    client.stdin.write(word + b"\n")
    heard = b""
    while b"heard " + word not in heard or b"and " + word not in heard:
        chunk = client.stdout.read(4096)
        assert chunk, heard
        heard += chunk
    client.kill()
    client.communicate()
    assert any_kubectl.run("logs", "listener", "--tail=2").split(b"\n")[0].endswith(word)


def test_a_pod_is_run_talked_to_and_removed(any_kubectl: Kubectl) -> None:
    shell = any_kubectl.at_terminal(
        "run", "-it", "--rm", "guest", "--image=kubelab/shell", "--restart=Never", "--", "sh"
    )
    shell.expect("try pressing enter")
    shell.sendline("echo h''ere; exit")
    shell.expect("here\r\n")
    shell.expect('pod "guest" deleted')
    shell.expect(pexpect.EOF)
    shell.close()
    assert shell.exitstatus == 0


def test_a_debugger_sees_the_processes_of_its_target(any_kubectl: Kubectl) -> None:
    shell = any_kubectl.at_terminal(
        "debug", "-it", "web", "--image=kubelab/shell", "--target=main", "-c", "doctor", "--", "sh"
    )
    shell.expect("try pressing enter")
    shell.sendline("cat /proc/1/comm; exit 2")
    shell.expect("python3\r\n")
    shell.expect(pexpect.EOF)
    shell.close()
    code = "{.status.ephemeralContainerStatuses[0].state.terminated.exitCode}"
    any_kubectl.run("wait", "pod/web", f"--for=jsonpath={code}=2", "--timeout=40s")


def test_a_debugger_of_a_node_sees_its_processes(any_kubectl: Kubectl) -> None:
    shell = any_kubectl.at_terminal("debug", "-it", "node/minion-1", "--image=kubelab/shell", "--", "sh")
    shell.expect("try pressing enter")
    shell.sendline("hostname; cat /proc/1/comm; ls -d /host/etc/kubernetes; exit")
    shell.expect("minion-1\r\nkubelab-init\r\n/host/etc/kubernetes")
    shell.expect(pexpect.EOF)
    shell.close()


def test_which_container_is_meant_must_be_said(any_kubectl: Kubectl) -> None:
    assert any_kubectl.refused("exec", "web", "-c", "other", "--", "true").startswith(
        "error: container other is not valid for pod web out of: main, beside"
    )


def test_a_killed_client_is_noticed_even_if_nobody_reads_its_input(any_kubectl: Kubectl) -> None:
    seconds = f"8{uuid.uuid4().int % 10**8}"
    client = any_kubectl.start("exec", "-i", "shell", "--", "sleep", seconds)
    assert client.stdin
    until(lambda: is_running(f"sleep {seconds}"))
    os.set_blocking(client.stdin.fileno(), False)
    until(lambda: client.stdin.write(MEGABYTES_10) is None)
    client.kill()
    client.communicate()
    until(lambda: not is_running(f"sleep {seconds}"))
