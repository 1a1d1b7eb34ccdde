"""`kubelab bench`: measure the lab on this machine, and print or keep the figures."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kubelab.language import Text

if TYPE_CHECKING:
    from kubelab.cli.measurements import Measure


def _options(command: Callable[..., int]) -> Callable[..., int]:
    """Add what every measurement can be told."""
    runs = click.option(
        "--runs",
        type=click.IntRange(1, 100),
        default=3,
        show_default=True,
        help=str(Text(es="Cuántas veces se mide todo.", en="How often everything is measured.")),
    )
    json_path = click.option(
        "--json",
        "json_path",
        type=click.Path(dir_okay=False, path_type=Path),
        help=str(Text(es="Guarda las cifras en este archivo.", en="Keep the figures in this file.")),
    )
    return runs(json_path(command))


@click.group(
    invoke_without_command=True,
    help=str(
        Text(
            es="Mide el laboratorio en esta máquina: arranque, un pod, 30 pods, reposo.",
            en="Measure the lab on this machine: start, one pod, 30 pods, idling.",
        )
    ),
)
@_options
@click.pass_context
def bench(context: click.Context, runs: int, json_path: Path | None) -> int:
    if context.invoked_subcommand is not None:
        return 0
    from kubelab.cli.measurements import measure

    return _run(measure, runs, json_path)


@bench.command(
    help=str(
        Text(
            es="Mide las lecciones: lo que cuesta observar una máquina y cuánto tarda un paso en marcarse.",
            en="Measure the lessons: what observing a machine costs, and how soon a step ticks.",
        )
    )
)
@_options
def lessons(runs: int, json_path: Path | None) -> int:
    from kubelab.cli.observing import measure

    return _run(measure, runs, json_path)


@bench.command(
    short_help=str(
        Text(
            es="Contenedores y pods, junto a crun, runc y Docker swarm.",
            en="Containers and pods, beside crun, runc and Docker swarm.",
        )
    )
)
@_options
def runtime(runs: int, json_path: Path | None) -> int:
    from kubelab.cli.containers import measure

    return _run(measure, runs, json_path)


@bench.command(
    help=str(
        Text(
            es="Mide el API server por HTTPS: crear, leer, listar 1000, watches; con 1 y 8 clientes.",
            en="Measure the API server over HTTPS: create, get, list 1,000, watches; with 1 and 8 clients.",
        )
    )
)
@click.option(
    "--peer",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help=str(
        Text(
            es="El kubeconfig de otro API server (certificado de cliente) que se mide igual, al lado.",
            en="The kubeconfig (client certificate) of another API server, measured alike and beside.",
        )
    ),
)
@_options
def api(runs: int, json_path: Path | None, peer: Path | None) -> int:
    from kubelab.cli.api_requests import measure

    return _run(lambda place, times: measure(place, times, peer), runs, json_path)


@bench.command(
    help=str(
        Text(
            es="Mide el almacén, en el proceso y por gRPC, junto a un etcd de verdad: escrituras duraderas, "
            "lecturas, watches, una lista de 10000, el relevo de un líder; con 1 y 3 miembros.",
            en="Measure the store, in process and by gRPC, beside a real etcd: durable writes, reads, "
            "watches, a list of 10,000, the failover of a leader; with 1 and 3 members.",
        )
    )
)
@_options
def store(runs: int, json_path: Path | None) -> int:
    from kubelab.cli.store_requests import measure

    return _run(measure, runs, json_path)


def _run(measure: "Measure", runs: int, json_path: Path | None) -> int:
    import msgspec

    from kubelab.cli.interrupt import interruptible
    from kubelab.cli.measurements import render
    from kubelab.cli.rootless import become_root

    become_root()

    with tempfile.TemporaryDirectory(prefix="kubelab-bench-") as place:
        figures = interruptible(measure(Path(place), runs))
    if figures is None:
        return 130
    for line in render(figures):
        click.echo(line)
    if json_path:
        rows = [{**msgspec.to_builtins(figure), "ratio": figure.ratio} for figure in figures]
        json_path.write_bytes(msgspec.json.format(msgspec.json.encode(rows), indent=2) + b"\n")
    return 0
