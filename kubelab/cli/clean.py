"""`kubelab clean`: take back what a lab that was killed has left on this machine, and what it put aside."""

import asyncio

import click

from kubelab.cluster.lab.directory import LabDirectory
from kubelab.language import Text


@click.command(
    help=str(
        Text(
            es="Retira lo que un laboratorio interrumpido dejó en esta máquina, y los almacenes que una "
            "restauración apartó (.before). Lo que el clúster guarda (objetos, claves) se queda, salvo con "
            "--all.",
            en="Take back what an interrupted lab left on this machine, and the stores that a restoration "
            "put aside (.before). What the cluster keeps (objects, keys) stays, unless --all is given.",
        )
    )
)
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help=str(Text(es="También lo que el clúster guarda.", en="What the cluster keeps, too.")),
)
def clean(*, everything: bool) -> None:
    from kubelab.cluster.lab.aside import forget_aside
    from kubelab.cluster.lab.sweep import forget, sweep

    directory = LabDirectory.default()
    with directory.held():
        taken_back = list(asyncio.run(sweep(directory)))
        taken_back += [f"directory {path}" for path in forget_aside(directory)]
        if everything and forget(directory):
            taken_back.append(f"directory {directory.masters}")
    if not taken_back:
        click.echo(Text(es="No había nada que limpiar.", en="There was nothing to clean."))
    for line in taken_back:
        click.echo(f"✓ {line}")
    if directory.masters.exists():
        click.echo(_STAYS.format(path=directory.masters))


_STAYS = Text(
    es="Lo que el clúster guarda sigue en {path}: `kubelab clean --all` lo borra.",
    en="What the cluster keeps is still in {path}: `kubelab clean --all` removes it.",
)
