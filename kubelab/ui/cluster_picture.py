"""The cluster as a picture: machines as boxes, in them their pods, in those their processes. Pure."""

from collections.abc import Mapping

from kubelab.cluster.lab.snapshot import (
    EventView,
    LabSnapshot,
    MachineView,
    NodeView,
    PodView,
    ProcessView,
    RequestView,
)
from kubelab.language import Language
from kubelab.ui import words
from kubelab.ui.picture import Line, Span, Tone, beside, box, fitted, spread

BOX_COLUMNS_MIN = 34
BOX_ROWS_MIN = 4
REQUESTS_A_ROW_IN = 4  # Of so many rows one shows a request, the last ones first to stay.
WIDE_COLUMNS = 100  # From here on boxes read better than a list even in several rows.

_SIGNS: dict[str, Span] = {
    "Running": ("●", "good"),
    "Completed": ("✓", "good"),
    "Succeeded": ("✓", "good"),
    "Pending": ("◌", "busy"),
    "ContainerCreating": ("◌", "busy"),
    "Terminating": ("◌", "busy"),
}
_FAILED: Span = "✗", "bad"


def cluster_picture(snapshot: LabSnapshot, width: int, height: int, language: Language) -> list[Line]:
    """Return *snapshot* drawn as boxes if *width* has room for them, as a list if not."""
    if not snapshot.machines and not snapshot.nodes:
        return [((words.NOTHING_YET.in_(language), "muted"),)]
    places = _places(snapshot)
    per_row = max(1, min(len(places), width // BOX_COLUMNS_MIN))
    bands = -(-len(places) // per_row)
    footer = _footer(snapshot, width, height // REQUESTS_A_ROW_IN, language)
    rows = (height - len(footer)) // bands
    if (per_row == len(places) or width >= WIDE_COLUMNS) and rows >= BOX_ROWS_MIN:
        return _boxes(snapshot, places, width, rows, per_row, language) + footer
    return _list(snapshot, places, width, language) + footer


def _places(snapshot: LabSnapshot) -> list[str]:
    """Return the names of machines and nodes, masters first, scratch machines left out."""
    masters = [machine.name for machine in snapshot.machines if machine.role == "master"]
    others = {machine.name for machine in snapshot.machines if machine.role == "minion"}
    others |= {node.name for node in snapshot.nodes} - set(masters)
    return masters + sorted(others)


def _boxes(
    snapshot: LabSnapshot, places: list[str], width: int, rows: int, per_row: int, language: Language
) -> list[Line]:
    lines: list[Line] = []
    for start in range(0, len(places), per_row):
        band = places[start : start + per_row]
        widths = [width // per_row + (i < width % per_row) for i in range(per_row)]
        lines += beside(
            _box(snapshot, place, columns, rows, language)
            for place, columns in zip(band, widths, strict=False)
        )
    return lines


def _box(snapshot: LabSnapshot, place: str, columns: int, rows: int, language: Language) -> list[Line]:
    body = _body(snapshot, place, columns - 4, language, rows - 2)
    return box(_title(snapshot, place, language), body, columns, rows)


def _list(snapshot: LabSnapshot, places: list[str], width: int, language: Language) -> list[Line]:
    lines: list[Line] = []
    for place in places:
        body = _body(snapshot, place, width - 2, language)
        if _machine(snapshot, place) and _is_master(snapshot, place) and len(body) == 1:
            lines.append(fitted((*_title(snapshot, place, language), ("  ", "plain"), *body[0]), width))
            continue
        lines.append(fitted(_title(snapshot, place, language), width))
        lines += [fitted((("  ", "plain"), *line), width) for line in body]
    return lines


def _title(snapshot: LabSnapshot, place: str, language: Language) -> Line:
    node, machine = _node(snapshot, place), _machine(snapshot, place)
    address = machine.address if machine else node.address if node else ""
    status: Line = ()
    if node:
        sign: Span = ("✓ ", "good") if node.ready else ("✗ ", "bad")
        status = (sign, (node.status, sign[1]), (" · ", "muted"))
    elif machine and machine.role == "master":
        status = ((words.CONTROL_PLANE.in_(language), "mark"), (" · ", "muted"))
    return ((place, "strong"), (" · ", "muted"), *status, (address, "muted"))


def _body(
    snapshot: LabSnapshot, place: str, width: int, language: Language, rows: int | None = None
) -> list[Line]:
    """Return what runs on *place*; pods without their processes if *rows* are too few for both."""
    lines: list[Line] = []
    if _is_master(snapshot, place):
        lines.append(((words.REVISION.format(n=snapshot.revision).in_(language), "muted"),))
    machine = _machine(snapshot, place)
    processes = {process.host_pid: process for process in machine.processes} if machine else {}
    pods = [_pod(pod, processes, width, language) for pod in snapshot.pods if pod.node == place]
    if rows is not None and len(lines) + sum(map(len, pods)) > rows:
        pods = [pod[:1] for pod in pods]
    if not pods and not _is_master(snapshot, place):
        lines.append(((words.NO_PODS.in_(language), "muted"),))
    return [*lines, *(line for pod in pods for line in pod)]


def _pod(pod: PodView, processes: Mapping[int, ProcessView], width: int, language: Language) -> list[Line]:
    lines = [spread(_pod_name(pod, language), ((pod.ip, "muted"),), width)]
    own = [processes[pid] for pid in pod.host_pids if pid in processes]
    if own:
        spans: list[Span] = [("  └ ", "muted")]
        for i, process in enumerate(own):
            spans += [(" · ", "muted")] if i else []
            spans += [(_program(process), "plain"), (f" {_pids(process)}", "muted")]
        lines.append(tuple(spans))
    return lines


def _pod_name(pod: PodView, language: Language) -> Line:
    sign = _SIGNS.get(pod.status, _FAILED)
    restarts = f" ↻ {words.RESTARTS.format(n=pod.restarts).in_(language)}" if pod.restarts else ""
    return (
        (f"{sign[0]} ", sign[1]),
        (words.pod_name(pod), "strong"),
        (f" {pod.status}", sign[1]),
        (f" {pod.ready}", "plain"),
        (restarts, "busy"),
    )


def _program(process: ProcessView) -> str:
    return process.command.split(" ", 1)[0].rsplit("/", 1)[-1]


def _pids(process: ProcessView) -> str:
    outside, *inside = process.pids or (process.host_pid,)
    return f"{outside}→{inside[-1]}" if inside else str(outside)


def _footer(snapshot: LabSnapshot, width: int, requests: int, language: Language) -> list[Line]:
    waiting = [pod for pod in snapshot.pods if not pod.node]
    lines = [
        fitted((*_pod_name(pod, language), (f" — {words.WAITS_FOR_A_NODE.in_(language)}", "muted")), width)
        for pod in waiting[:2]
    ]
    lines += [fitted(_request(each, language), width) for each in snapshot.requests[-max(1, requests) :]]
    return lines + [fitted(_event(event, language), width) for event in snapshot.events[-1:]]


def _request(request: RequestView, language: Language) -> Line:
    sign: Span = ("✓ ", "good") if request.code < 400 else ("✗ ", "bad")
    where = f" -n {request.namespace}" if request.namespace else ""
    return (
        (f"{words.REQUEST.in_(language)} ", "muted"),
        sign,
        (str(request.code), sign[1]),
        (f" {request.verb} ", "mark"),
        (request.target, "plain"),
        (f"{where} · {request.user} · {request.time} · {request.duration_ms:.1f} ms", "muted"),
    )


def _event(event: EventView, language: Language) -> Line:
    tone: Tone = "bad" if event.type == "Warning" else "mark"
    times = f" ×{event.count}" if event.count > 1 else ""
    about = f" {event.about}{times}: "
    return (
        (f"{words.EVENT.in_(language)} ", "muted"),
        (event.reason, tone),
        (about, "plain"),
        (event.message, "muted"),
    )


def _is_master(snapshot: LabSnapshot, name: str) -> bool:
    machine = _machine(snapshot, name)
    return machine is not None and machine.role == "master"


def _machine(snapshot: LabSnapshot, name: str) -> MachineView | None:
    return next((machine for machine in snapshot.machines if machine.name == name), None)


def _node(snapshot: LabSnapshot, name: str) -> NodeView | None:
    return next((node for node in snapshot.nodes if node.name == name), None)
