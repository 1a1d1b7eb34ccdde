"""The cluster as a picture: machines as boxes, in them their pods, in those their processes. Pure.

Several masters are one box, or two lines of the list: what runs on them is the same.
"""

from collections.abc import Mapping

from kubelab.cluster.lab.snapshot import (
    EventView,
    LabSnapshot,
    LeaderView,
    MachineView,
    NodeView,
    PodView,
    ProcessView,
    RequestView,
    StoreView,
)
from kubelab.language import Language
from kubelab.ui import words
from kubelab.ui.picture import Line, Span, Tone, beside, box, fitted, spread, width_of

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
_INDENT: Span = " ", "plain"
_MASTERS = ""  # The place that several masters share.


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
    masters = _masters(snapshot)
    others = {machine.name for machine in snapshot.machines if machine.role == "minion"}
    others |= {node.name for node in snapshot.nodes} - set(masters)
    return ([_MASTERS] if len(masters) > 1 else masters) + sorted(others)


def _masters(snapshot: LabSnapshot) -> list[str]:
    """Return the names of all masters, those without power included."""
    names = {machine.name for machine in snapshot.machines if machine.role == "master"}
    members = set(snapshot.store.names if snapshot.store else ())
    if names and names.isdisjoint(members):  # An etcd elsewhere, whose members are no masters.
        return sorted(names)
    return sorted(names | members)


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
        if place == _MASTERS:
            lines += [fitted(_title(snapshot, place, language), width), *_masters_in_rows(snapshot, width)]
            continue
        body = _body(snapshot, place, width - 2, language)
        if _machine(snapshot, place) and _is_master(snapshot, place) and len(body) == 1:
            lines.append(fitted((*_title(snapshot, place, language), ("  ", "plain"), *body[0]), width))
            continue
        lines.append(fitted(_title(snapshot, place, language), width))
        lines += [fitted((("  ", "plain"), *line), width) for line in body]
    return lines


def _title(snapshot: LabSnapshot, place: str, language: Language) -> Line:
    if place == _MASTERS:
        revision = words.REVISION.format(n=snapshot.revision).in_(language)
        return ((words.CONTROL_PLANE.in_(language), "strong"), (f" · {revision}", "muted"))
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
    if place == _MASTERS:
        masters = [_master(snapshot, name, language) for name in _masters(snapshot)]
        return masters + [_leader(each) for each in snapshot.leaders]
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


def _master(snapshot: LabSnapshot, name: str, language: Language) -> Line:
    machine = _machine(snapshot, name)
    where = machine.address if machine else words.NO_POWER.in_(language)
    return (*_master_name(snapshot, name), (f" {where}", "muted"))


def _leader(leader: LeaderView) -> Line:
    """Tell which master's component works: the one that holds the Lease."""
    component = leader.component.removeprefix("kube-")
    return ((f"{component} → ", "muted"), (leader.holder or "–", "mark"))


def _master_name(snapshot: LabSnapshot, name: str) -> Line:
    sign, tone = _sign_of_master(snapshot, name)
    return ((f"{sign} ", tone), (name, "strong"))


def _sign_of_master(snapshot: LabSnapshot, name: str) -> Span:
    """Return the sign of the store's member there; a store may tell nothing of its members."""
    store = snapshot.store or StoreView((), "", 0, True)
    if _machine(snapshot, name) is None:
        return _FAILED
    if store.leader == name:
        return "★", "good"
    if name in store.stopped:
        return "‖", "busy"
    is_member = name in store.names  # Of an etcd elsewhere none is.
    is_dead = is_member and store.members and all(member.name != name for member in store.members)
    return _FAILED if is_dead else ("○", "plain")


def _masters_in_rows(snapshot: LabSnapshot, width: int) -> list[Line]:
    """Return the masters' names, as many in a row as have room."""
    names = [((" ", "plain"), *_master_name(snapshot, name), (" ", "plain")) for name in _masters(snapshot)]
    per_row = max(1, (width - 1) // max(map(width_of, names)))
    rows = [names[start : start + per_row] for start in range(0, len(names), per_row)]
    return [fitted((_INDENT, *(span for name in row for span in name)), width) for row in rows]


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
