"""A machine's processes as a tree, each with its pid as the host, the machine and its own namespace see it.
Pure.

Source of the numbers: NSpid in proc_pid_status(5); pid_namespaces(7).
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from kubelab.cluster.lab.snapshot import MachineView, ProcessView
from kubelab.language import Language
from kubelab.ui import words
from kubelab.ui.picture import Line, fitted

PID_COLUMNS = 9


def process_picture(machine: MachineView, width: int, language: Language) -> list[Line]:
    """Return one line per process under a heading; processes in a PID namespace of their own are marked."""
    lines = [_heading(machine, language)]
    for process, branch in _tree(machine.processes):
        lines.append(_line(process, branch, machine.pid_namespace, language))
    return [fitted(line, width) for line in lines]


def _heading(machine: MachineView, language: Language) -> Line:
    names = words.ON_HOST, words.ON_MACHINE, words.INSIDE
    columns = "".join(name.in_(language).rjust(PID_COLUMNS) for name in names)
    return ((columns + "   ", "muted"), (words.PROCESS.in_(language), "muted"))


def _line(process: ProcessView, branch: str, machine_namespace: int, language: Language) -> Line:
    outside, *inside = process.pids or (process.host_pid,)
    own = process.pid_namespace != machine_namespace
    pids = f"{process.host_pid:>{PID_COLUMNS}}{outside:>{PID_COLUMNS}}"
    inner = f"{inside[-1] if inside else '·':>{PID_COLUMNS}}   "
    line: Line = (
        (pids, "plain"),
        (inner, "mark" if own else "muted"),
        (branch, "muted"),
        ("◆ " if own else "", "mark"),
        (process.command, "strong"),
    )
    if own:
        tail = str(process.pid_namespace)[-4:]
        line += ((f"  {words.OWN_NAMESPACE.format(tail=tail).in_(language)}", "mark"),)
    return line


def _tree(processes: Sequence[ProcessView]) -> Iterator[tuple[ProcessView, str]]:
    """Yield each process with the branch that leads to it, parents before children."""
    known = {process.host_pid for process in processes}
    children: dict[int, list[ProcessView]] = defaultdict(list)
    for process in sorted(processes, key=lambda process: process.host_pid):
        children[process.parent_host_pid if process.parent_host_pid in known else 0].append(process)
    yield from _branches(children, 0, "")


def _branches(
    children: dict[int, list[ProcessView]], parent: int, indent: str
) -> Iterator[tuple[ProcessView, str]]:
    siblings = children[parent]
    for i, process in enumerate(siblings):
        last = i == len(siblings) - 1
        yield process, (indent + ("└─ " if last else "├─ ")) if parent else ""
        deeper = indent + ("   " if last else "│  ") if parent else " "
        yield from _branches(children, process.host_pid, deeper if parent else "")
