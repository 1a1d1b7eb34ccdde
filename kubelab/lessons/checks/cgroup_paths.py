"""In which cgroups of the machine a process is: the paths of /proc/<pid>/cgroup, below the machine's own.

Source: cgroups(7) on /proc/<pid>/cgroup. With cgroup v1 a process may be in another cgroup in each
hierarchy. The machine's init was put into a cgroup directly below the machine's own, which is the root of its
cgroup namespace, so its line tells where that is.
"""

from collections.abc import Mapping

from kubelab.lessons.observation import MachineState, Process

V2 = ""
"""Stands for the controllers of the v2 hierarchy, whose line names none."""


class CgroupPaths:
    """The paths of a machine's processes."""

    def __init__(self, state: MachineState) -> None:
        init = next((process for process in state.processes if process.pid == 1), None)
        self._bases = {name: _above(path) for name, path in _parse(init.cgroup).items()} if init else {}

    def of(self, process: Process) -> Mapping[str, str]:
        """Return the path below the machine's own cgroup, by controller; a zombie is in none any more."""
        if process.is_zombie:
            return {}
        return {
            name: _below(path, self._bases.get(name, "")) for name, path in _parse(process.cgroup).items()
        }


def path_for(controller: str, paths: Mapping[str, str]) -> str | None:
    """Return the path in the hierarchy of *controller*: one of v1, else the one of v2."""
    return paths.get(controller, paths.get(V2))


def _parse(text: str) -> dict[str, str]:
    lines = (line.split(":", 2) for line in text.splitlines() if line.count(":") >= 2)
    return {
        controller: path.strip("/")
        for _, controllers, path in lines
        for controller in controllers.split(",")
        if not controller.startswith("name=")
    }


def _above(path: str) -> str:
    return path.rpartition("/")[0]


def _below(path: str, base: str) -> str:
    return path.removeprefix(base).strip("/") if f"{path}/".startswith(f"{base}/") else path
