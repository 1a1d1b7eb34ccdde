"""`kubelab up`: the lab without the app, until Ctrl+C."""

import asyncio
import time
from typing import TYPE_CHECKING

import click

from kubelab.cli.cluster_options import cluster_options
from kubelab.language import Text

if TYPE_CHECKING:
    from kubelab.cluster.lab.config import LabConfig
    from kubelab.cluster.lab.lab import Lab


@click.command(
    help=str(
        Text(
            es="Levanta el laboratorio sin la aplicación y espera hasta Ctrl+C.",
            en="Bring the lab up without the app, and wait until Ctrl+C.",
        )
    )
)
@cluster_options
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    help=str(
        Text(
            es="Puerto del API server en 127.0.0.1 (0: uno libre).",
            en="Port of the API server on 127.0.0.1 (0: a free one).",
        )
    ),
)
@click.option(
    "--quiet",
    is_flag=True,
    help=str(Text(es="Imprime solo la ruta del kubeconfig.", en="Print only the kubeconfig's path.")),
)
def up(
    minions: int,
    masters: int | None,
    store: str | None,
    store_quota: int | None,
    port: int,
    *,
    fresh: bool,
    quiet: bool,
) -> None:
    from kubelab.cli.equipment import equipped
    from kubelab.cli.interrupt import interruptible
    from kubelab.cli.log import log_to_file
    from kubelab.cli.rootless import become_root
    from kubelab.cluster.lab.config import LabConfig, store_choice

    config = LabConfig(
        minions=minions,
        port=port,
        masters=masters,
        store=store_choice(store),
        store_quota_mib=store_quota,
        fresh=fresh,
    )
    become_root(quiet=quiet)
    log_to_file()
    interruptible(_up(equipped(config), quiet=quiet))


async def _up(config: "LabConfig", *, quiet: bool) -> None:
    from kubelab.cluster.lab.lab import start_lab

    begin = time.perf_counter()
    async with start_lab(config) as lab:
        async for phase in lab.phases():
            if phase.done and not quiet:
                click.echo(f"✓ {phase.name}")
        await lab.ready()
        if quiet:
            click.echo(lab.directory.kubeconfig)
        else:
            _greet(lab, time.perf_counter() - begin)
        await asyncio.get_running_loop().create_future()


def _greet(lab: "Lab", elapsed_s: float) -> None:
    click.echo(_GREETING.format(seconds=f"{elapsed_s:.1f}", kubeconfig=lab.directory.kubeconfig))


_GREETING = Text(
    es="El laboratorio está listo ({seconds} s).\n\n"
    "  export KUBECONFIG={kubeconfig}\n\n"
    "Desde otro terminal: `kubelab status`, `kubelab shell minion-1`, `kubelab kubectl get nodes`.\n"
    "Ctrl+C lo retira todo.",
    en="The lab is up ({seconds} s).\n\n"
    "  export KUBECONFIG={kubeconfig}\n\n"
    "From another terminal: `kubelab status`, `kubelab shell minion-1`, `kubelab kubectl get nodes`.\n"
    "Ctrl+C takes it all down.",
)
