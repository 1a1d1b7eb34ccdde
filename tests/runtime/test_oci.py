"""`kubelab oci` follows the life that the OCI runtime specification gives a container, by runc's commands."""

import json
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from host_mounts import host_mounts
from oci_bundle import Runtime, bundle_at

from kubelab.cluster.linux import cgroups
from kubelab.cluster.runtime.oci.foreground import receive_terminal

pytestmark = pytest.mark.root

# Their cgroups are named after them, on a host that other workers share.
ONE = f"one-{os.getpid()}"


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    made = Runtime(tmp_path / "state")
    mounts_before = host_mounts()
    yield made
    made.remove_all()
    assert list(made.root.iterdir()) == []
    assert host_mounts() == mounts_before
    left = [d for id_ in made.ids for d in cgroups.detect().at(f"kubelab-oci-{id_}").directories]
    assert not [directory for directory in left if Path(directory).exists()]


def ends(runtime: Runtime, id_: str) -> None:
    try:
        fd = os.pidfd_open(runtime.state(id_)["pid"] or -1)
    except OSError:  # It had ended before (EINVAL), or has while we asked (ESRCH).
        return
    assert select.select([fd], [], [], 20)[0]
    os.close(fd)


def until(holds: Callable[[], bool]) -> None:
    """Wait for what a container does by itself; the test's own time-out ends it otherwise."""
    while not holds():
        time.sleep(0.002)


def test_a_container_is_created_started_entered_killed_and_deleted(runtime, tmp_path):
    bundle = bundle_at(tmp_path / "b", "sh", "-c", "echo $$ began; exec sleep 100")
    runtime.create(bundle, ONE)
    created = runtime.state(ONE)
    assert (created["status"], created["id"], created["bundle"]) == ("created", ONE, str(bundle.path))
    assert (bundle.path / "out").read_text() == ""

    runtime("start", ONE)
    assert runtime.state(ONE)["status"] == "running"
    until(lambda: (bundle.path / "out").read_text() == "1 began\n")
    inside = runtime(
        "exec", "--user", "web", "--env", "A=b", "--cwd", "/tmp", ONE, "sh", "-c", "id; echo $A; pwd"
    )
    assert inside.stdout == "uid=33(web) gid=33(web) groups=33(web),4(adm)\nb\n/tmp\n"
    assert runtime("exec", ONE, "sh", "-c", "exit 7", check=False).returncode == 7
    assert created["pid"] in json.loads(runtime("ps", "--format", "json", ONE).stdout)

    runtime("pause", ONE)
    assert runtime.state(ONE)["status"] == "paused"
    runtime("resume", ONE)
    runtime("update", "--pids-limit", "20", ONE)
    stats = json.loads(runtime("events", "--stats", ONE).stdout)
    assert stats["data"]["pids"]["limit"] == 20

    assert "running" in runtime("delete", ONE, check=False).stderr
    runtime("kill", ONE, "KILL")
    ends(runtime, ONE)
    assert runtime.state(ONE)["status"] == "stopped"
    assert runtime("kill", ONE, "TERM", check=False).returncode == 1
    runtime("delete", ONE)
    assert "does not exist" in runtime("state", ONE, check=False).stderr
    runtime.ids.remove(ONE)
    assert (bundle.path / "out").read_text() == "1 began\n"


def test_run_returns_the_commands_own_code_and_leaves_nothing(runtime, tmp_path):
    bundle = bundle_at(tmp_path / "b", "sh", "-c", "kill -9 $$")
    # Nobody kills the first process of a pid namespace from inside: only a child can be.
    bundle.document["process"]["args"] = ["sh", "-c", "sh -c 'kill -9 $$'; exit $?"]
    bundle.write()
    assert runtime("run", "-b", str(bundle.path), ONE, check=False).returncode == 137
    assert runtime("list", "-q").stdout.strip() == ""


def test_a_command_that_is_not_there_is_told_in_the_words_that_callers_look_for(runtime, tmp_path):
    bundle = bundle_at(tmp_path / "b", "nosuch")
    log = tmp_path / "log"
    done = runtime("--log", str(log), "--log-format", "json", "run", "-b", str(bundle.path), ONE, check=False)
    assert done.returncode == 255
    message = json.loads(log.read_text())
    assert message["level"] == "error"
    assert 'exec: "nosuch": executable file not found in $PATH' in message["msg"]


def test_hooks_are_called_in_their_order_and_namespaces(runtime, tmp_path):
    bundle = bundle_at(tmp_path / "b", "true")
    (tmp_path / "seen").touch()
    names = ("prestart", "createRuntime", "createContainer", "poststart", "poststop")
    script = f'echo "$0 $(cat | tr -d " " | grep -o \'"pid":[0-9]*\')" >> {tmp_path}/seen'
    bundle.document["hooks"] = {n: [{"path": "/bin/sh", "args": [n, "-c", script]}] for n in names}
    for name in names:
        bundle.document["hooks"][name][0]["args"] = ["sh", "-c", script.replace("$0", name)]
    bundle.write()
    runtime.create(bundle, ONE)
    pid = runtime.state(ONE)["pid"]
    runtime("start", ONE)
    ends(runtime, ONE)
    runtime("delete", ONE)
    runtime.ids.remove(ONE)
    assert (tmp_path / "seen").read_text().splitlines() == [
        f'prestart "pid":{pid}',
        f'createRuntime "pid":{pid}',
        'createContainer "pid":1',
        f'poststart "pid":{pid}',
        'poststop "pid":0',
    ]


def test_a_failed_hook_leaves_no_container(runtime, tmp_path):
    bundle = bundle_at(tmp_path / "b", "true")
    bundle.document["hooks"] = {"createRuntime": [{"path": "/bin/false"}]}
    bundle.write()
    done = runtime("create", "-b", str(bundle.path), ONE, check=False)
    assert done.returncode == 1
    assert "createRuntime" in done.stderr
    assert runtime("list", "-q").stdout.strip() == ""


def test_the_terminal_is_sent_over_the_console_socket(runtime, tmp_path):
    bundle = bundle_at(tmp_path / "b", "sh", "-c", "tty; stty size; read x", terminal=True)
    bundle.document["process"]["consoleSize"] = {"height": 31, "width": 77}
    bundle.write()
    path = str(tmp_path / "console")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        runtime.ids.append(ONE)
        runtime("create", "-b", str(bundle.path), "--console-socket", path, ONE)
        peer, _ = server.accept()
        with peer:
            master = receive_terminal(peer)
    runtime("start", ONE)
    written = b""
    while written.count(b"\n") < 2:
        written += os.read(master, 1000)
    assert written.decode().split() == ["/dev/pts/0", "31", "77"]
    os.write(master, b"\n")
    ends(runtime, ONE)
    os.close(master)


@pytest.mark.parametrize("id_", ["", "..", "a/b", "a b"])
def test_ids_that_lead_elsewhere_are_refused(runtime, tmp_path, id_):
    bundle = bundle_at(tmp_path / "b", "true")
    assert runtime("create", "-b", str(bundle.path), id_, check=False).returncode == 1
    runtime.root.mkdir(exist_ok=True)


def test_an_id_is_one_containers_only(runtime, tmp_path):
    bundle = bundle_at(tmp_path / "b", "sleep", "100")
    runtime.create(bundle, ONE)
    again = runtime("create", "-b", str(bundle.path), ONE, check=False)
    assert again.returncode == 1
    assert runtime.state(ONE)["status"] == "created"
    assert runtime("start", "two", check=False).returncode == 1


def test_features_name_what_there_is(runtime):
    features = json.loads(runtime("features").stdout)
    assert "time" in features["linux"]["namespaces"]
    assert "SCMP_ACT_NOTIFY" not in features["linux"]["seccomp"]["actions"]
    runtime.root.mkdir()


def test_signals_are_passed_on_to_a_container_in_the_foreground(runtime, tmp_path):
    bundle = bundle_at(
        tmp_path / "b", "sh", "-c", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.1; done"
    )
    command = [*runtime.command, "run", "-b", str(bundle.path), ONE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 9
