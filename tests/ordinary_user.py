"""Run a program as an ordinary user who exists for it alone: root calls `[*as_user(home), program, ...]`.

In a mount namespace of its own /etc knows him, with ids granted by subuid(5), and the way to the project and
to python is open to him, wherever they lie. His ids are nobody else's, and nothing of this stays.
"""

import os
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

from kubelab.cluster.linux import syscalls
from kubelab.cluster.linux.mounts import bind, make_private
from kubelab.cluster.linux.processes import start_ticks_of

# Each worker's user is another one.
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
NAME, ID = "learner", 54321 + _WORKER
GRANTED = 65536
FIRST_GRANTED = 1_654_321 + _WORKER * GRANTED
PROJECT = Path(__file__).parent.parent
_LINES = {
    "/etc/passwd": f"{NAME}:x:{ID}:{ID}::/:/bin/sh",
    "/etc/group": f"{NAME}:x:{ID}:",
    "/etc/subuid": f"{NAME}:{FIRST_GRANTED}:{GRANTED}",
    "/etc/subgid": f"{NAME}:{FIRST_GRANTED}:{GRANTED}",
}
_SEARCHED_BY_ALL = 0o001


def as_user(home: Path) -> tuple[str, ...]:
    """Return the words before a command that is to run as the user, at home in *home*, which becomes his."""
    home.mkdir(mode=0o700, exist_ok=True)
    os.chown(home, ID, ID)
    return (sys.executable, str(Path(__file__)), str(home))


def processes_of_user() -> list[int]:
    """Return those that live, in whatever namespaces."""
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit() and _is_his(path)]


def _is_his(path: Path) -> bool:
    try:
        uid = path.stat().st_uid
    except FileNotFoundError:
        return False
    his = uid == ID or FIRST_GRANTED <= uid < FIRST_GRANTED + GRANTED
    return his and start_ticks_of(int(path.name)) is not None


def main(home: str, *command: str) -> None:
    syscalls.unshare(syscalls.CLONE_NEWNS)
    make_private()
    for path, line in _LINES.items():
        _add_line(Path(path), line, Path(home))
    _open_ways({PROJECT, Path(sys.prefix), Path(sys.base_prefix), Path(sysconfig.get_path("stdlib"))})
    os.setgroups([])
    os.setresgid(ID, ID, ID)
    os.setresuid(ID, ID, ID)
    os.environ["HOME"] = home
    os.execvp(command[0], command)


def _add_line(path: Path, line: str, home: Path) -> None:
    if not path.exists():
        return
    own = home / f".{path.name}"
    own.write_text(f"{path.read_text()}{line}\n")
    bind(str(own), str(path))


def _open_ways(needed: Iterable[Path]) -> None:
    """Put a directory that everybody may pass in the place of each that is closed, with what is needed in
    it."""
    closed: dict[Path, dict[Path, int]] = {}
    for path in needed:
        if obstacle := next((d for d in reversed(path.parents) if _is_closed(d)), None):
            closed.setdefault(obstacle, {})[path] = os.open(path, os.O_PATH)
    for obstacle, paths in closed.items():
        syscalls.mount("way", str(obstacle), "tmpfs", data="mode=0755")
        for path, fd in paths.items():
            path.mkdir(parents=True, exist_ok=True)
            bind(f"/proc/self/fd/{fd}", str(path))
            os.close(fd)


def _is_closed(directory: Path) -> bool:
    return not directory.stat().st_mode & _SEARCHED_BY_ALL


if __name__ == "__main__":
    main(*sys.argv[1:])
