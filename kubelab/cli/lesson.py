"""`kubelab lesson list | lint`: for learners and authors; `authoring` and `prove` have the rest."""

from collections.abc import Sequence
from pathlib import Path

import click

from kubelab.cli import authoring, prove
from kubelab.language import Text


@click.group(
    help=str(Text(es="Las lecciones: lista, revisión y prueba.", en="Lessons: list, lint and prove them."))
)
def lesson() -> None:
    pass


@lesson.command(
    "list", help=str(Text(es="Las lecciones y tu progreso.", en="The lessons and your progress."))
)
def list_lessons() -> None:
    from kubelab.lessons.catalog import Catalog
    from kubelab.lessons.progress import Progress

    with Progress.open() as progress:
        for track in Catalog.load().entries(progress, {}):
            click.echo(f"{track.title}")
            for entry in track.lessons:
                done = f"{entry.steps_passed}/{entry.steps}"
                click.echo(f"  {entry.id:28} {done:>5}  {entry.minutes:>3} min  {entry.title}")


@lesson.command(
    help=str(
        Text(
            es="Revisa lecciones o tracks (rutas o ids; sin ellos, todo) sin ejecutarlos.",
            en="Look lessons or tracks over (paths or ids; without any, all) without running them.",
        )
    )
)
@click.argument("names", nargs=-1, metavar="[LESSON|TRACK]...")
def lint(names: Sequence[str]) -> int:
    from kubelab.lessons.lint import lint

    problems = lint([_place(name) for name in names])
    for problem in problems:
        click.echo(str(problem), err=True)
    if not problems:
        click.echo(Text(es="Sin problemas.", en="No problems."))
    return 1 if problems else 0


def _place(name: str) -> Path:
    from kubelab.lessons.catalog import Catalog
    from kubelab.lessons.track_files import authored

    return authored(name) or Catalog.load().directory(name)


for command in (prove.test, authoring.new, authoring.preview, authoring.translate, authoring.reference):
    lesson.add_command(command)
