"""`kubelab oci`: a runtime for other people's tools, with runc's command line.

Listed here for the help alone: the program hands over before any of this is imported, see `__main__`.
"""

import click

from kubelab.language import Text


@click.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    help=str(
        Text(
            es="Un runtime de contenedores OCI, con la línea de órdenes de runc: podman --runtime lo usa.",
            en="An OCI container runtime with runc's command line, for podman --runtime and the like.",
        )
    ),
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def oci(arguments: tuple[str, ...]) -> int:
    from kubelab.cluster.runtime.oci.__main__ import run

    return run(arguments)
