"""A lab that this user, kernel or place does not allow says so in one sentence, and leaves nothing."""

import subprocess
from pathlib import Path

import pytest
from lab_program import TIMEOUT_S, command, environment

pytestmark = pytest.mark.root

NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all")
KERNEL = (
    "The kernel does not let the lab come up ({}: Operation not permitted (EPERM)): `kubelab doctor` says"
)


def refused(place: Path, prefix: tuple[str, ...], *arguments: str) -> str:
    done = subprocess.run(
        [*prefix, *command(*arguments)],
        env=environment(place),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 1, done.stdout
    assert done.stdout.count("\n") == 1, done.stdout
    return done.stdout.removeprefix("kubelab: ")


@pytest.mark.parametrize(
    ("capability", "operation"),
    [
        ("sys_admin", "unshare CLONE_NEWNET"),
        ("net_admin", "set link 1"),
        ("mknod", "mknod /tmp/root/dev/null"),
    ],
)
def test_without_a_capability(tmp_path: Path, capability: str, operation: str) -> None:
    place = tmp_path / "lab"
    without = ("setpriv", f"--bounding-set=-{capability}", f"--inh-caps=-{capability}")
    assert refused(place, without, "up", "--quiet").startswith(KERNEL.format(operation))
    assert sorted(left.name for left in place.iterdir()) == ["lock", "masters"]


def test_without_root_and_user_namespaces(tmp_path: Path) -> None:
    """The first user namespace may have one below it: an ordinary user's, who may then make none."""
    within = "echo 1 > /proc/sys/user/max_user_namespaces && exec unshare --map-user=1000 --map-group=1000 "
    no_more = ("unshare", "--map-root-user", "sh", "-c", within + '"$@"', "sh")
    said = refused(tmp_path / "lab", no_more, "up")
    assert said.startswith("This machine does not let an ordinary user have a lab (")
    assert "No space left on device (ENOSPC)): `kubelab doctor` gives the command that mends it" in said


def test_a_place_that_is_somebody_else_s(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    said = refused(tmp_path, NOBODY, "clean")
    assert said.startswith(f"The lab cannot use {tmp_path} (Permission denied): use sudo, or name another")


def test_a_place_where_nothing_can_be_made() -> None:
    assert refused(Path("/proc/lab"), (), "up").startswith("The lab cannot use /proc/lab (")


def test_a_place_whose_name_is_too_long_for_its_socket(tmp_path: Path) -> None:
    assert "is too long for a Unix socket" in refused(tmp_path / ("long" * 25), (), "up")


@pytest.mark.parametrize("arguments", [["status"], ["shell", "minion-1"], ["kubectl", "get", "pods"]])
def test_a_lab_that_is_somebody_else_s(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "lab").mkdir(mode=0o700)
    (tmp_path / "lab" / "lock").touch(mode=0o600)
    tmp_path.chmod(0o755)
    assert "Permission denied" in refused(tmp_path / "lab", NOBODY, *arguments)
