"""`kubelab progress export | import`: take what you have done to another machine, or hand it in."""

from pathlib import Path
from typing import Literal

import click

from kubelab.language import Text


@click.group(help=str(Text(es="Tu progreso: llévalo a otra parte.", en="Your progress: take it elsewhere.")))
def progress() -> None:
    pass


@progress.command(
    help=str(
        Text(
            es="Escribe tu progreso en FILE (sin él, o con -, en la salida).",
            en="Write your progress to FILE (without it, or with -, to the output).",
        )
    )
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["csv", "json"]),
    help=str(
        Text(
            es="Formato; si no, el de la extensión de FILE, o json.",
            en="Format; otherwise that of FILE's extension, or json.",
        )
    ),
)
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path), default=Path("-"))
def export(file: Path, format_: Literal["csv", "json"] | None) -> None:
    from kubelab.lessons.progress import Progress
    from kubelab.lessons.transfer import export

    with Progress.open() as recorded:
        text = export(recorded.export(), format_ or ("csv" if file.suffix == ".csv" else "json"))
    if str(file) == "-":
        click.echo(text, nl=False)
    else:
        _write(file, text)


@progress.command(
    "import",
    help=str(
        Text(
            es="Suma a tu progreso el de FILE (csv o json); nunca se pierde un paso superado.",
            en="Add the progress in FILE (csv or json) to yours; a passed step is never lost.",
        )
    ),
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def import_(file: Path) -> None:
    from kubelab.lessons.catalog import read_text
    from kubelab.lessons.progress import Progress
    from kubelab.lessons.transfer import parse

    records = parse(read_text(file), str(file))
    with Progress.open() as recorded:
        gained = recorded.merge(records)
    click.echo(_IMPORTED.format(lessons=len(records), gained=gained))


def _write(file: Path, text: str) -> None:
    from kubelab.cluster.errors import LabError

    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise LabError(_UNWRITABLE.format(file=file, why=error.strerror)) from error


_IMPORTED = Text(
    es="Leídas {lessons} lecciones; pasos superados que no tenías: {gained}.",
    en="Read {lessons} lessons; passed steps that you did not have: {gained}.",
)
_UNWRITABLE = Text(
    es="No se puede escribir {file} ({why}): indica otro archivo.",
    en="{file} cannot be written ({why}): name another file.",
)
