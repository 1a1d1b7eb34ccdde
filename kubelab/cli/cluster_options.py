"""The options that say what cluster a lab has, alike for `kubelab`, `kubelab --plain` and `kubelab up`."""

from collections.abc import Callable
from typing import Any

import click

from kubelab.language import Text

QUOTA_MIB_MAX = 8192  # What etcd recommends at most; it does not start with one that it cannot count.
NAMES = ("minions", "masters", "store", "store_quota", "fresh")

_OPTIONS = (
    click.option(
        "--minions",
        type=click.IntRange(1, 8),
        default=2,
        show_default=True,
        help=str(Text(es="Cuántos minions tiene el clúster.", en="How many minions the cluster has.")),
    ),
    click.option(
        "--masters",
        type=int,
        help=str(
            Text(
                es="Cuántos masters: 1, 3 o 5 (si no, los que tenía; 1 en uno nuevo). A un clúster que ya "
                "existe se le añaden, o se le quitan los últimos.",
                en="How many masters: 1, 3 or 5 (else as many as it had; 1 for a new one). A cluster that is "
                "there already gets more, or loses the last ones.",
            )
        ),
    ),
    click.option(
        "--store",
        metavar="raft|etcd|URL,…",
        help=str(
            Text(
                es="Dónde guarda el clúster su estado: el almacén propio (raft), un etcd de verdad en los "
                "masters (etcd) o uno que ya existe (https://…).",
                en="Where the cluster keeps its state: the lab's own store (raft), a real etcd on the "
                "masters (etcd) or one that is there already (https://…).",
            )
        ),
    ),
    click.option(
        "--store-quota",
        metavar="MIB",
        type=click.IntRange(1, QUOTA_MIB_MAX),
        help=str(
            Text(
                es="Cuánto guarda el almacén como mucho, en MiB (2048 si no); lleno, da la alarma NOSPACE y "
                "no toma nada nuevo.",
                en="How much the store keeps at most, in MiB (else 2048); when full it raises the alarm "
                "NOSPACE and takes nothing new.",
            )
        ),
    ),
    click.option(
        "--fresh",
        is_flag=True,
        help=str(
            Text(
                es="Empieza de nuevo: olvida lo que el clúster de aquí guardó.",
                en="Begin anew: forget what the cluster of this place has kept.",
            )
        ),
    ),
)


def cluster_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give *command* the options, in this order."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
