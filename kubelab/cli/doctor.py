"""`kubelab doctor`: what this machine can do for the lab, and how to mend what it cannot.

An ordinary user is told what a rootless lab of his has. The exit code is 1 if anything is missing.
"""

import importlib.metadata
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass

import click

from kubelab.cluster.errors import LabError
from kubelab.language import Text


@click.command(
    help=str(
        Text(
            es="Qué puede hacer esta máquina, y cómo remediar lo que falta.",
            en="What this machine can do, and how to mend what is missing.",
        )
    )
)
def doctor() -> int:
    from kubelab.cluster.linux.probe import probe

    mode = _enter()
    click.echo(mode.sentence)
    for line in _surroundings():
        click.echo(line)
    capabilities = probe()
    for capability in capabilities:
        click.echo(f"{'✓' if capability.available else '✗'} {capability.name:20} {capability.reason}")
        if not capability.available:
            click.echo(f"  {'→':>19} {capability.mend}")
    missing = sum(not capability.available for capability in capabilities)
    click.echo("")
    click.echo(mode.missing.format(count=missing) if missing else _COMPLETE)
    return 1 if missing else 0


@dataclass(frozen=True, slots=True)
class _Mode:
    """Whose lab it would be, and what to say where something is missing."""

    sentence: Text
    missing: Text


def _enter() -> _Mode:
    """Be where a lab of this user would be."""
    from kubelab.cli.rootless import become_root
    from kubelab.cluster.linux import user_namespace

    if os.geteuid() == 0:
        return _ROOTLESS if user_namespace.is_nested() else _AS_ROOT
    try:
        become_root(quiet=True)
    except LabError:
        return _NEITHER
    return _ROOTLESS


def _surroundings() -> Iterator[str]:
    from kubelab.cluster.lab.directory import LabDirectory
    from kubelab.cluster.linux.journal import remains

    directory = LabDirectory.default()
    yield f"kubelab {importlib.metadata.version('kubelab')}, Python {platform.python_version()}"
    yield f"Linux {platform.release()}, {os.cpu_count()} CPU"
    if (pid := directory.holder()) is not None:
        yield str(_RUNNING.format(pid=pid))
    elif left := remains(directory.journal):
        yield str(_LEFT.format(count=len(left)))
    yield ""


_RUNNING = Text(es="Un laboratorio está en marcha (pid {pid}).", en="A lab is running (pid {pid}).")
_LEFT = Text(
    es="Un laboratorio interrumpido dejó {count} cosas: `kubelab clean` las retira.",
    en="An interrupted lab left {count} things behind: `kubelab clean` takes them back.",
)
_COMPLETE = Text(es="Todo está: abre `kubelab`.", en="Everything is there: open `kubelab`.")
_MISSING = Text(
    es="Faltan {count}: las flechas dicen cómo remediarlo.",
    en="{count} missing: the arrows say how to mend it.",
)
_AS_ROOT = _Mode(Text(es="El laboratorio se ejecuta como root.", en="The lab runs as root."), _MISSING)
_ROOTLESS = _Mode(
    Text(
        es="El laboratorio se ejecuta sin root, como tu usuario; con sudo tendría todo lo que tenga root.",
        en="The lab runs rootless, as your user; with sudo it would have all that root has.",
    ),
    Text(
        es="Sin {count} de ellas: las flechas dicen cómo remediarlo. Las lecciones que las necesitan se "
        "pueden leer.",
        en="Without {count} of them: the arrows say how to mend it. Lessons that need them can be read.",
    ),
)
_NEITHER = _Mode(
    Text(
        es="Como tu usuario no hay laboratorio: hace falta namespace.user, o sudo.",
        en="As your user there is no lab: it takes namespace.user, or sudo.",
    ),
    _MISSING,
)
