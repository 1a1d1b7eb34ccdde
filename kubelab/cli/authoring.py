"""`kubelab lesson new | preview | translate | reference`: for those who write lessons; none needs a lab."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kubelab.language import LANGUAGES, Language, Text, preferred

if TYPE_CHECKING:
    from kubelab.lessons.format import Lesson


@click.command(
    help=str(
        Text(
            es="La referencia del formato de las lecciones, en inglés.",
            en="The reference of the lesson format, for authors.",
        )
    )
)
def reference() -> None:
    from kubelab.lessons.reference import reference

    click.echo(reference(), nl=False)


@click.command(
    help=str(
        Text(
            es="Empieza la lección TRACK/NN-SLUG (en KUBELAB_LESSONS o el árbol de kubelab) y la anota en su "
            "track. Nunca sobrescribe nada.",
            en="Begin lesson TRACK/NN-SLUG (in KUBELAB_LESSONS or kubelab's checkout) and enter it in its "
            "track. Nothing is ever overwritten.",
        )
    )
)
@click.argument("lesson_id", metavar="TRACK/NN-SLUG")
def new(lesson_id: str) -> None:
    from kubelab.lessons.skeleton import create, writable_tracks

    for path in create(writable_tracks(), lesson_id):
        click.echo(path)
    click.echo(_NEXT.format(lesson=lesson_id))


_LESSON = click.argument("lesson_", metavar="LESSON")


@click.command(
    help=str(
        Text(
            es="Muestra el texto, las pistas, los mensajes y las comprobaciones de LESSON (ruta o id).",
            en="Show the text, hints, messages and checks of LESSON (a path or an id).",
        )
    )
)
@_LESSON
@click.option(
    "--lang",
    "language",
    type=click.Choice(LANGUAGES),
    help=str(Text(es="En este idioma.", en="In this language.")),
)
@click.option("--step", help=str(Text(es="Solo este paso.", en="Only this step.")))
def preview(lesson_: str, language: Language | None, step: str | None) -> None:
    from kubelab.lessons.preview import preview

    text = "\n".join(preview(_found(lesson_), language or preferred(), step))
    click.echo(text)


@click.command(
    help=str(
        Text(
            es="Dice qué falta o está anticuado en la traducción de LESSON (ruta o id).",
            en="Say what is missing or stale in the translation of LESSON (a path or an id).",
        )
    )
)
@_LESSON
@click.option(
    "--accept",
    is_flag=True,
    help=str(
        Text(
            es="La traducción está revisada: anota de qué texto es.",
            en="The translation has been revised: record which text it is of.",
        )
    ),
)
def translate(lesson_: str, accept: bool) -> int:
    from kubelab.lessons.translation import accept_translation, problems

    directory = _directory(lesson_)
    found = accept_translation(directory) if accept else problems(directory)
    for problem in found:
        click.echo(str(problem), err=True)
    if not found:
        click.echo(Text(es="La traducción está al día.", en="The translation is up to date."))
    return 1 if found else 0


def _directory(lesson: str) -> Path:
    """Return where the lesson is: *lesson* is a path, or an id in the catalog."""
    from kubelab.lessons.catalog import Catalog
    from kubelab.lessons.track_files import authored

    there = authored(lesson)
    if there and (there / "es.md").is_file():
        return there
    return Path(Catalog.load().lesson(lesson).source.path)


def _found(lesson: str) -> "Lesson":
    from kubelab.lessons.catalog import load_lesson

    return load_lesson(_directory(lesson))


_NEXT = Text(
    es="Ahora escribe: `kubelab lesson preview {lesson}`, `lint` y `test` dicen cómo va.",
    en="Now write: `kubelab lesson preview {lesson}`, `lint` and `test` tell how it goes.",
)
