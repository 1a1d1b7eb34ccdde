"""`kubelab progress [show | export | import]`: what you have done, here or taken to another machine.

Times are of the journal, in UTC.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from kubelab.cli.table import table
from kubelab.language import Text

if TYPE_CHECKING:
    from kubelab.lessons.catalog import Catalog
    from kubelab.lessons.progress import Progress
    from kubelab.lessons.view import LessonEntry


@click.group(
    invoke_without_command=True,
    help=str(
        Text(
            es="Tu progreso: míralo, o llévalo a otra parte.",
            en="Your progress: see it, or take it elsewhere.",
        )
    ),
)
@click.pass_context
def progress(context: click.Context) -> None:
    if context.invoked_subcommand is None:
        context.invoke(show)


@progress.command(
    help=str(
        Text(
            es="Lo hecho de cada lección, y cuándo toca repasarla.",
            en="What is done of each lesson, and when to review it.",
        )
    )
)
def show() -> None:
    from kubelab.lessons.catalog import Catalog
    from kubelab.lessons.progress import Progress

    catalog = Catalog.load()
    with Progress.open() as recorded:
        rows = list(_rows(catalog, recorded))
        due = catalog.to_review(recorded)
    for line in table([str(name) for name in _COLUMNS], rows):
        click.echo(line)
    if due:
        click.echo(f"\n{_DUE.format(lessons=', '.join(due))}")


def _rows(catalog: "Catalog", recorded: "Progress") -> Iterator[tuple[str, ...]]:
    for track in catalog.entries(recorded, {}):
        yield from (_row(entry, recorded) for entry in track.lessons)


def _row(entry: "LessonEntry", recorded: "Progress") -> tuple[str, ...]:
    attempt, journal = recorded.lesson(entry.id), recorded.journal(entry.id)
    steps = attempt.steps.values() if attempt else ()
    completed = (one.at for one in recorded.completions(entry.id))
    last = journal[-1].at if journal else max(completed, default="")  # What was imported has no journal.
    return (
        entry.id,
        f"{entry.steps_passed}/{entry.steps}",
        str(sum(step.hints_shown for step in steps)),
        str(sum(step.skipped for step in steps)),
        str(_YES if entry.tested_out else _NO),
        last[: len("2026-01-31")] or str(_NEVER),
        _review(entry.review_in_days),
    )


def _review(in_days: int | None) -> str:
    if in_days is None:
        return "-"
    if in_days <= 0:
        return str(_NOW)
    return str((_TOMORROW if in_days == 1 else _IN_DAYS).format(days=in_days))


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


_COLUMNS = (
    Text(es="LECCIÓN", en="LESSON"),
    Text(es="PASOS", en="STEPS"),
    Text(es="PISTAS", en="HINTS"),
    Text(es="SALTADOS", en="SKIPPED"),
    Text(es="EXAMEN", en="TESTED OUT"),
    Text(es="ÚLTIMA VEZ", en="LAST TIME"),
    Text(es="REPASO", en="REVIEW"),
)
_YES, _NO = Text(es="sí", en="yes"), Text(es="no", en="no")
_DUE = Text(es="Conviene repasar ahora: {lessons}", en="Worth doing again now: {lessons}")
_NEVER, _NOW, _TOMORROW = (
    Text(es="nunca", en="never"),
    Text(es="ahora", en="now"),
    Text(es="mañana", en="tomorrow"),
)
_IN_DAYS = Text(es="en {days} días", en="in {days} days")
_IMPORTED = Text(
    es="Leídas {lessons} lecciones; pasos superados que no tenías: {gained}.",
    en="Read {lessons} lessons; passed steps that you did not have: {gained}.",
)
_UNWRITABLE = Text(
    es="No se puede escribir {file} ({why}): indica otro archivo.",
    en="{file} cannot be written ({why}): name another file.",
)
