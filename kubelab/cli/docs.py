"""`kubelab docs TOPIC`: pages that are drawn from the program itself."""

import click

from kubelab.language import Text, preferred


@click.group(
    help=str(
        Text(es="Páginas que el programa dibuja de sí mismo.", en="Pages that the program draws of itself.")
    )
)
def docs() -> None:
    pass


@docs.command(
    help=str(
        Text(
            es="Los papeles de un miembro de Raft y cómo pasa de uno a otro, en Markdown con un diagrama.",
            en="The roles of a Raft member and how it goes from one to another, in Markdown with a diagram.",
        )
    )
)
def raft() -> None:
    from kubelab.cluster.raft.diagram import document

    click.echo(document(preferred()), nl=False)
