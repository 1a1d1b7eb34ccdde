"""`kubelab status`: what runs in the lab right now, as a table or as JSON."""

from collections.abc import Iterator

import click
import msgspec

from kubelab.cli.store import human
from kubelab.cli.table import table
from kubelab.cluster.lab.control import ControlClient
from kubelab.cluster.lab.directory import LabDirectory
from kubelab.cluster.lab.snapshot import LabSnapshot, RaftView, StoreView
from kubelab.language import Text


@click.command(
    help=str(Text(es="Máquinas, nodos y pods del laboratorio.", en="Machines, nodes and pods of the lab."))
)
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.option(
    "--raft",
    is_flag=True,
    help=str(
        Text(
            es="El almacén: papel, mandato, voto, registro y a quién oye cada miembro.",
            en="The store: role, term, vote, log and whom each member hears.",
        )
    ),
)
def status(output: str, *, raft: bool) -> None:
    directory = LabDirectory.default()
    with ControlClient.connect(directory.control) as client:
        snapshot = client.status()
    if output == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(snapshot.store if raft else snapshot), indent=2))
    elif raft:
        click.echo("\n".join(render_raft(snapshot)))
    else:
        click.echo("\n".join(render(snapshot, f"KUBECONFIG={directory.kubeconfig}")))


def render(snapshot: LabSnapshot, footer: str) -> Iterator[str]:
    nodes = {node.name: node.status for node in snapshot.nodes}
    yield from table(
        ("MACHINE", "ROLE", "ADDRESS", "NODE", "PROCESSES"),
        [
            (
                machine.name,
                machine.role,
                machine.address,
                nodes.get(machine.name, "-"),
                str(len(machine.processes)),
            )
            for machine in snapshot.machines
        ],
    )
    yield ""
    if snapshot.pods:
        yield from table(
            ("NAMESPACE", "POD", "READY", "STATUS", "RESTARTS", "NODE", "IP", "PIDS"),
            [
                (
                    *(pod.namespace, pod.name, pod.ready, pod.status, str(pod.restarts)),
                    *(pod.node or "-", pod.ip or "-", ",".join(map(str, pod.host_pids)) or "-"),
                )
                for pod in snapshot.pods
            ],
        )
    else:
        yield str(Text(es="Todavía no hay pods.", en="There are no pods yet."))
    yield ""
    yield from _leaders(snapshot)
    yield footer


def _leaders(snapshot: LabSnapshot) -> Iterator[str]:
    """Tell who leads, where there are several masters to choose from."""
    if sum(machine.role == "master" for machine in snapshot.machines) < 2:
        return
    leaders = [(leader.component, leader.holder or "-") for leader in snapshot.leaders]
    if snapshot.store:
        leaders.insert(0, ("etcd", snapshot.store.leader or "-"))
    yield from table(("COMPONENT", "LEADER"), leaders)
    yield ""


def render_raft(snapshot: LabSnapshot) -> Iterator[str]:
    """Show each member as it sees itself, and the end of the leader's log, or of the longest."""
    store = snapshot.store
    if store is None or not store.names or (store.engine == "raft" and not store.members):
        yield str(_NO_RAFT)
        return
    engine = "" if store.engine == "raft" else f"{store.engine}: "
    told = _RAFT.format(members=len(store.names), alive=len(store.members), quorum=_yes(store.quorum))
    yield f"{engine}{told}"
    yield ""
    yield from _raft_members(store) if store.engine == "raft" else _etcd_members(store)


def _etcd_members(store: StoreView) -> Iterator[str]:
    """Show what a real etcd tells, which is no vote and no log, in the columns of `etcdctl endpoint status`;
    those who do not answer too."""
    told = {each.name: each for each in store.members}
    rows = [_etcd_member(name, told.get(name), store) for name in store.names]
    yield from table(("MEMBER", "ROLE", "TERM", "LEADER", "INDEX", "APPLIED", "DB SIZE", "HEARS"), rows)


def _etcd_member(name: str, member: RaftView | None, store: StoreView) -> tuple[str, ...]:
    if member is None:
        silent = _SILENT if name in store.stopped else _DEAD
        return name, str(silent), "-", "-", "-", "-", "-", "-"
    return (
        *(name, member.role, str(member.term), member.leader or "-", str(member.commit)),
        *(str(member.applied), human(member.db_size_bytes), ",".join(member.heard) or "-"),
    )


def _raft_members(store: StoreView) -> Iterator[str]:
    yield from table(
        ("MEMBER", "ROLE", "TERM", "VOTE", "LEADER", "COMMIT", "APPLIED", "LAST", "HEARS"),
        [
            (
                *(each.name, each.role, str(each.term), each.vote or "-", each.leader or "-"),
                *(str(each.commit), str(each.applied), str(each.last_index), ",".join(each.heard) or "-"),
            )
            for each in store.members
        ],
    )
    yield ""
    longest = max(store.members, key=lambda each: (each.name == store.leader, each.last_index))
    rows = [(str(entry.index), str(entry.term), entry.words) for entry in longest.tail]
    yield from table(("INDEX", "TERM", longest.name), rows)


def _yes(value: bool) -> Text:
    return Text(es="sí", en="yes") if value else Text(es="no", en="no")


_RAFT = Text(
    es="{members} miembros, {alive} vivos, quorum: {quorum}",
    en="{members} members, {alive} alive, quorum: {quorum}",
)
_SILENT = Text(es="no contesta", en="no answer")
_DEAD = Text(es="muerto", en="dead")
_NO_RAFT = Text(
    es="Ningún miembro del almacén contesta: mira `kubelab fault list`, o espera a que el laboratorio "
    "esté en marcha.",
    en="No member of the store answers: look at `kubelab fault list`, or wait until the lab runs.",
)
