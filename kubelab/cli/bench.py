"""`kubelab bench`: measure the lab on this machine, and print or keep the figures."""

import tempfile
from pathlib import Path

import click

from kubelab.language import Text


@click.command(
    help=str(
        Text(
            es="Mide el laboratorio en esta máquina: arranque, un pod, 30 pods, reposo.",
            en="Measure the lab on this machine: start, one pod, 30 pods, idling.",
        )
    )
)
@click.option(
    "--runs",
    type=click.IntRange(1, 100),
    default=3,
    show_default=True,
    help=str(Text(es="Cuántas veces se mide todo.", en="How often everything is measured.")),
)
@click.option(
    "--json",
    "json_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help=str(Text(es="Guarda las cifras en este archivo.", en="Keep the figures in this file.")),
)
def bench(runs: int, json_path: Path | None) -> None:
    import msgspec

    from kubelab.cli.measurements import measure, render

    with tempfile.TemporaryDirectory(prefix="kubelab-bench-") as place:
        figures = measure(Path(place), runs)
    for line in render(figures):
        click.echo(line)
    if json_path:
        rows = [{**msgspec.to_builtins(figure), "ratio": figure.ratio} for figure in figures]
        json_path.write_bytes(msgspec.json.format(msgspec.json.encode(rows), indent=2) + b"\n")
