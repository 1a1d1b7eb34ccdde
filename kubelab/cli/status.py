"""`kubelab status`: what runs in the lab right now, as a table or as JSON."""

from collections.abc import Iterator

import click
import msgspec

from kubelab.cli.table import table
from kubelab.cluster.lab.control import ControlClient
from kubelab.cluster.lab.directory import LabDirectory
from kubelab.cluster.lab.snapshot import LabSnapshot
from kubelab.language import Text


@click.command(
    help=str(Text(es="Máquinas, nodos y pods del laboratorio.", en="Machines, nodes and pods of the lab."))
)
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def status(output: str) -> None:
    directory = LabDirectory.default()
    with ControlClient.connect(directory.control) as client:
        snapshot = client.status()
    if output == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(snapshot), indent=2))
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
    yield footer
