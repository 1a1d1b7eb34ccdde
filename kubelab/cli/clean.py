"""`kubelab clean`: take back whatever a lab that was killed has left on this machine."""

import asyncio

import click

from kubelab.cluster.lab.directory import LabDirectory
from kubelab.language import Text


@click.command(
    help=str(
        Text(
            es="Retira lo que un laboratorio interrumpido dejó en esta máquina.",
            en="Take back what an interrupted lab left on this machine.",
        )
    )
)
def clean() -> None:
    from kubelab.cluster.lab.sweep import sweep

    directory = LabDirectory.default()
    with directory.held():
        taken_back = asyncio.run(sweep(directory))
    if not taken_back:
        click.echo(Text(es="No había nada que limpiar.", en="There was nothing to clean."))
    for line in taken_back:
        click.echo(f"✓ {line}")
