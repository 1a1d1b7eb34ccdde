"""What systemd delegates to a user can be limited in, if the lab is alone there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kubelab.cluster.linux.delegation import has_only_v2, is_delegated, own_cgroup, scope_words
from kubelab.cluster.linux.mounts import MountEntry, parse_mountinfo

ONLY_V2 = "31 23 0:28 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"
HYBRID = (
    "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755",
    "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw",
)


def table(*lines: str) -> tuple[MountEntry, ...]:
    return parse_mountinfo(lines)


def scope(path: Path, *, processes: str, controllers: str = "cpu memory pids") -> Path:
    (path / "cgroup.procs").write_text(processes)
    (path / "cgroup.controllers").write_text(controllers)
    (path / "cgroup.subtree_control").write_text("")
    return path


def test_only_the_second_version_is_delegated() -> None:
    assert has_only_v2(table(ONLY_V2))
    assert not has_only_v2(table(*HYBRID))


def test_ones_own_cgroup_is_the_line_of_v2() -> None:
    membership = "1:name=systemd:/a\n0::/user.slice/run-1.scope\n"
    found = own_cgroup(membership)
    assert found == (Path("/sys/fs/cgroup/user.slice/run-1.scope") if has_only_v2() else None)
    assert own_cgroup("4:memory:/a\n") is None


@pytest.mark.parametrize(
    ("processes", "controllers", "delegated"),
    [
        ("{own}\n", "cpu memory pids", True),
        ("{own}\n1\n", "cpu memory pids", False),
        ("{own}\n", "", False),
        ("{own}\n", "hugetlb rdma", False),
    ],
)
def test_it_must_have_controllers_and_nobody_else_in_it(
    tmp_path: Path, processes: str, controllers: str, delegated: bool
) -> None:
    members = processes.format(own=os.getpid())
    assert is_delegated(scope(tmp_path, processes=members, controllers=controllers)) is delegated


def test_where_ones_systemd_is_only_systemd_run_is_told() -> None:
    told = "import os, sys; print(*sys.argv[1:4], os.environ.get('XDG_RUNTIME_DIR'))"
    words = scope_words(sys.executable, "/run/user/7")
    at = words.index(sys.executable) + 1
    within = subprocess.run([*words[:at], "-c", told, *words[at:]], capture_output=True, text=True).stdout
    after = subprocess.run([*words[words.index("--") + 1 :], "env"], capture_output=True, text=True).stdout
    assert within == "--user --scope --quiet /run/user/7\n"
    assert "XDG_RUNTIME_DIR" not in after
    assert scope_words("systemd-run") == ("systemd-run", *words[at : words.index("--") + 1])


def test_a_cgroup_without_its_files_is_nobody_s(tmp_path: Path) -> None:
    assert not is_delegated(tmp_path)
