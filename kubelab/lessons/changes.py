"""What is otherwise in one observation than in an earlier one, so that learners see cause and effect. Pure.

Each thing is known by a name that lasts (a process by pid and start time, a mount by its namespace and point,
an object by its kind, name and uid) and has facts that may change. What changes all the time by itself
(events, heartbeats, a process that merely runs) is no change, nor are the mounts that a new namespace is born
with.
"""

import itertools
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from kubelab.cluster.objects import EVENTS, LEASES, Object, Resource, key_of, uid_of
from kubelab.cluster.store.state import StoreState
from kubelab.language import Text
from kubelab.lessons.change import About, Change, Sign
from kubelab.lessons.observation import (
    MachineState,
    Mount,
    Network,
    Observation,
    Process,
    ResourceState,
    Unseen,
)

ALIKE_SHOWN = 8  # Of one kind, at one place: a container brings thirty mounts.
FACTS_SHOWN = 4  # Of one thing; an object may change in more places at once than anybody reads.
TEXT_LENGTH_MAX = 60


@dataclass(frozen=True, slots=True)
class _Thing:
    """`what` names it; `facts` are those that may change, by name."""

    about: About
    place: str
    what: Text
    facts: Mapping[str, str] = field(default_factory=dict)


Things = dict[Hashable, _Thing]


def changes(before: Observation, now: Observation) -> tuple[Change, ...]:
    """Return what is new, gone or other in *now*, by place and kind. A place that was not seen both times is
    left out; of many alike the first are shown, and how many more there are."""
    earlier, later = dict(_things(before, now)), dict(_things(now, before))
    earlier |= {key: later.get(key, thing) for key, thing in _inherited(before, now).items()}
    found = [
        *(Change(Sign.GONE, t.about, t.place, t.what) for key, t in earlier.items() if key not in later),
        *(Change(Sign.NEW, t.about, t.place, t.what) for key, t in later.items() if key not in earlier),
        *(
            Change(Sign.OTHER, t.about, t.place, _difference(earlier[key], t))
            for key, t in later.items()
            if key in earlier and t.facts != earlier[key].facts
        ),
    ]
    order = list(About)
    found.sort(key=lambda change: (change.place, order.index(change.about)))
    groups = itertools.groupby(found, key=lambda change: (change.place, change.about, change.sign))
    return tuple(shown for _, group in groups for shown in _shortened(list(group)))


def _shortened(group: list[Change]) -> Iterator[Change]:
    shown = group if len(group) <= ALIKE_SHOWN else group[: ALIKE_SHOWN - 1]
    yield from shown
    if more := len(group) - len(shown):
        yield replace(group[-1], what=Text(f"y {more} más", f"and {more} more"))


def _inherited(before: Observation, now: Observation) -> Things:
    """Return what every new mount namespace was born with: the machine's own mounts as they were."""
    things: Things = {}
    for name, state in now.machines.items():
        earlier = before.machines.get(name)
        if isinstance(state, MachineState) and isinstance(earlier, MachineState):
            own = earlier.mounts.get(earlier.namespaces.get("mnt", 0), ())
            for inode in state.mounts.keys() - earlier.mounts.keys():
                if not isinstance(own, Unseen) and _root(own) == _root(state.mounts[inode]):
                    things |= dict(_mounts(name, inode, own, _where("mnt", inode, state)))
    return things


def _root(mounts: tuple[Mount, ...] | Unseen) -> object:
    """Return what tells whether two namespaces are copies: a container has a root of its own."""
    if isinstance(mounts, Unseen):
        return None
    return [(mount.device, mount.root) for mount in mounts if mount.point == "/"]


def _difference(before: _Thing, now: _Thing) -> Text:
    names = [name for name in {**before.facts, **now.facts} if before.facts.get(name) != now.facts.get(name)]
    parts = [
        f"{name}: {_short(before.facts.get(name, '–'))} → {_short(now.facts.get(name, '–'))}"
        for name in names[:FACTS_SHOWN]
    ]
    rest = ["…"] if len(names) > FACTS_SHOWN else []
    listed = ", ".join(parts + rest)
    return Text(f"{now.what.es}: {listed}", f"{now.what.en}: {listed}")


def _short(text: str) -> str:
    return text if len(text) <= TEXT_LENGTH_MAX else f"{text[: TEXT_LENGTH_MAX - 1]}…"


def _things(observation: Observation, other: Observation) -> Iterator[tuple[Hashable, _Thing]]:
    """Yield what is in *observation*, as far as *other* could see the same."""
    for name, state in observation.machines.items():
        if isinstance(state, MachineState) and isinstance(other.machines.get(name), MachineState):
            yield from _on_machine(state)
    for resource, seen in observation.resources.items():
        comparable = isinstance(other.resources.get(resource), ResourceState)
        if resource not in (EVENTS, LEASES) and isinstance(seen, ResourceState) and comparable:
            yield from (_object(resource, obj) for obj in seen.objects)
    if observation.store and other.store:
        yield "store", _store(observation.store)


def _on_machine(state: MachineState) -> Iterator[tuple[Hashable, _Thing]]:
    place = state.name
    for process in state.processes:
        if not _is_learners_shell(process):
            yield (place, "process", process.identity), _process(place, process)
    yield from _namespaces(state)
    for path, cgroup in state.cgroups.items():
        yield (place, "cgroup", path), _Thing(About.CGROUP, place, _same(path or "/"), dict(cgroup.limits))
    for inode, mounts in state.mounts.items():
        if not isinstance(mounts, Unseen):
            yield from _mounts(place, inode, mounts, _where("mnt", inode, state))
    for inode, network in state.networks.items():
        if not isinstance(network, Unseen):
            yield from _network(place, inode, network, _where("net", inode, state))


def _is_learners_shell(process: Process) -> bool:
    """A shell that the lesson opened is no change; one that the learner starts in it has another parent."""
    return process.parent_pid == 1 and process.argv == ("bash", "-i")


def _process(place: str, process: Process) -> _Thing:
    command = _short(" ".join(process.argv).strip() or f"[{process.comm}]")
    facts = {"cgroup": process.cgroup.strip(), "uid": str(process.uid)} | {
        kind: str(inode) for kind, inode in process.namespaces.items()
    }
    if process.is_zombie:
        facts = {"zombie": "✓"}
    return _Thing(About.PROCESS, place, _same(f"{process.pid} {command}"), facts)


def _namespaces(state: MachineState) -> Iterator[tuple[Hashable, _Thing]]:
    """Yield the namespaces that are not the machine's own, each with its first process."""
    for process in state.processes:
        for kind, inode in process.namespaces.items():
            if inode != state.namespaces.get(kind):
                key = state.name, "namespace", kind, inode
                yield key, _Thing(About.NAMESPACE, state.name, _same(f"{kind}:[{inode}] ({process.comm})"))


def _where(kind: str, inode: int, state: MachineState) -> Text:
    """Return whose namespace it is, in parentheses; nothing for the machine's own."""
    if inode == state.namespaces.get(kind):
        return Text("", "")
    inside = (process for process in state.processes if process.namespaces.get(kind) == inode)
    first = next(inside, None)
    whose = f"PID {first.pid}" if first else f"{kind}:[{inode}]"
    return Text(f" (en {kind} de {whose})", f" (in {whose}'s {kind})")


def _mounts(
    place: str, inode: int, mounts: Iterable[Mount], where: Text
) -> Iterator[tuple[Hashable, _Thing]]:
    """A namespace that is new is a copy of another's mounts: those that it was born with are no change, and
    are therefore known by their point alone."""
    for mount in mounts:
        title = f"{mount.point} ({mount.type})"
        what = Text(f"{title}{where.es}", f"{title}{where.en}")
        facts = {
            "options": ",".join(mount.options),
            "propagation": " ".join(mount.propagation).translate(_NO_DIGITS),
        }
        yield (
            (place, "mount", inode, mount.point, mount.device, mount.root),
            _Thing(About.MOUNT, place, what, facts),
        )


_NO_DIGITS = str.maketrans("", "", ":0123456789")


def _network(place: str, inode: int, network: Network, where: Text) -> Iterator[tuple[Hashable, _Thing]]:
    def thing(about: About, title: str, facts: Mapping[str, str]) -> _Thing:
        return _Thing(about, place, Text(f"{title}{where.es}", f"{title}{where.en}"), facts)

    for link in network.links:
        facts = {"up": _yes(link.up), "carrier": _yes(link.carrier), "mtu": str(link.mtu_bytes)}
        facts |= {"master": link.master or "–", "name": link.name}
        title = f"{link.name} ({link.kind})" if link.kind else link.name
        yield (place, "link", inode, link.index), thing(About.LINK, title, facts)
    for address in network.addresses:
        title = f"{address.address} dev {address.link}"
        yield (place, "address", inode, title), thing(About.ADDRESS, title, {})
    for route in network.routes:
        via = f" via {route.gateway}" if route.gateway else ""
        title = f"{route.destination}{via} dev {route.link}"
        yield (place, "route", inode, title), thing(About.ROUTE, title, {})
    for rule in network.rules if not isinstance(network.rules, Unseen) else ():
        title = f"{rule.family} {rule.table} {rule.chain}: {rule.text}"
        yield (place, "rule", inode, title), thing(About.RULE, title, {})


def _yes(value: bool) -> str:
    return "✓" if value else "✗"


def _object(resource: Resource, obj: Object) -> tuple[Hashable, _Thing]:
    """An object is another one when its uid is: it was deleted and made again."""
    key = key_of(obj)
    name = f"{resource.kind.lower()}/{key.name}" + (
        f" -n {key.namespace}" if _elsewhere(key.namespace) else ""
    )
    thing = _Thing(About.OBJECT, "", _same(name), _facts(resource, obj))
    return (resource, key, uid_of(obj)), thing


def _store(store: StoreState) -> _Thing:
    """Who leads, in which term, and who belongs to it; the revision grows with every write anywhere."""
    facts = {
        "leader": store.leader or "–",
        "term": str(store.term or "–"),
        "members": ", ".join(store.members),
        "alive": ", ".join(store.members if store.alive is None else store.alive),
    }
    return _Thing(About.STORE, "", Text("el almacén", "the store"), facts)


def _elsewhere(namespace: str) -> bool:
    return namespace not in ("", "default")


def _facts(resource: Resource, obj: Object) -> dict[str, str]:
    """Return what people follow of an object, from its labels, spec and status: the leaves, without what is
    written over and over again."""
    facts: dict[str, str] = {}
    parts = {"labels": obj["metadata"].get("labels"), "spec": obj.get("spec"), "status": obj.get("status")}
    parts |= {"data": obj.get("data")}
    for name, part in parts.items():
        _leaves(f".{name}", part, facts)
    if "deletionTimestamp" in obj["metadata"]:
        facts["deletionTimestamp"] = obj["metadata"]["deletionTimestamp"]
    return facts


_RESTLESS = (
    "lastHeartbeatTime",
    "lastTransitionTime",
    "lastUpdateTime",
    "lastProbeTime",
    "observedGeneration",
)


def _leaves(path: str, value: object, facts: dict[str, str]) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key not in _RESTLESS:
                _leaves(f"{path}.{key}", inner, facts)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            named = inner.get("name") or inner.get("type") if isinstance(inner, dict) else None
            _leaves(f"{path}[{named or index}]", inner, facts)
    elif value is not None:
        facts[path] = str(value)


def _same(text: str) -> Text:
    return Text(text, text)
