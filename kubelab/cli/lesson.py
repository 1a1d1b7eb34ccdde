"""`kubelab lesson list | lint | test`: for learners, and for authors, whose other tools `authoring` has."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kubelab.cli import authoring
from kubelab.language import LANGUAGES, Language, Text

if TYPE_CHECKING:
    from kubelab.lessons.format import Lesson


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


_PATHS = click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))


@lesson.command(
    help=str(Text(es="Revisa las lecciones sin ejecutarlas.", en="Look lessons over without running them."))
)
@_PATHS
def lint(paths: Sequence[Path]) -> int:
    from kubelab.lessons.lint import lint

    problems = lint(paths)
    for problem in problems:
        click.echo(str(problem), err=True)
    if not problems:
        click.echo(Text(es="Sin problemas.", en="No problems."))
    return 1 if problems else 0


@lesson.command(
    help=str(
        Text(
            es="Demuestra las lecciones en un laboratorio real: aún no, errores, soluciones, limpieza.",
            en="Prove lessons on a real lab: not yet, wrong attempts, solutions, clean-up.",
        )
    )
)
@_PATHS
@click.option(
    "--lang",
    "language",
    type=click.Choice(LANGUAGES),
    help=str(Text(es="Solo en este idioma.", en="Only in this language.")),
)
def test(paths: Sequence[Path], language: Language | None) -> int:
    from kubelab.cli.interrupt import interruptible

    outcome = interruptible(_prove(paths, (language,) if language else LANGUAGES))
    return 0 if outcome and all(outcome) else 1


async def _prove(paths: Sequence[Path], languages: Sequence[Language]) -> list[bool]:
    """Prove each lesson in each language, in a lab beside the one that may be running."""
    from kubelab.cli.kubectl import kubectl_path
    from kubelab.cluster.lab.config import LabConfig
    from kubelab.cluster.lab.directory import LabDirectory
    from kubelab.cluster.lab.lab import start_lab
    from kubelab.lessons.proof import prove

    outcome: list[bool] = []
    with tempfile.TemporaryDirectory(prefix="kubelab-proof-") as place:
        config = LabConfig(directory=LabDirectory(Path(place)), programs={"kubectl": kubectl_path()})
        async with start_lab(config) as lab:
            await lab.ready()
            for lesson_ in _chosen(paths):
                for language in languages:
                    proof = await prove(lesson_, language, lab)
                    outcome.append(proof.passed)
                    click.echo(f"{'✓' if proof.passed else '✗'} {proof}")
    passed = sum(outcome)
    click.echo(f"{passed} passed, {len(outcome) - passed} failed")
    return outcome


def _chosen(paths: Sequence[Path]) -> "Sequence[Lesson]":
    from kubelab.lessons.catalog import Catalog, load_lesson
    from kubelab.lessons.lint import find_lessons

    if not paths:
        return tuple(Catalog.load().lessons())
    return tuple(load_lesson(found) for path in paths for found in find_lessons(path))


for command in (authoring.new, authoring.preview, authoring.translate, authoring.reference):
    lesson.add_command(command)
