"""`kubelab lesson test`: prove lessons on labs of their own, one or several side by side."""

import asyncio
import functools
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kubelab.cluster.errors import LabError
from kubelab.language import LANGUAGES, Language, Text

if TYPE_CHECKING:
    from kubelab.lessons.catalog import Catalog
    from kubelab.lessons.format import Backend, Lesson
    from kubelab.lessons.lab import LabPort
    from kubelab.lessons.proof import Proof

Outcome = list["tuple[Lesson, Proof]"]


@click.command(
    help=str(
        Text(
            es="Demuestra lecciones (rutas o ids; sin ellas, todas) en un laboratorio real: aún no, errores, "
            "soluciones, limpieza.",
            en="Prove lessons (paths or ids; without any, all) on a real lab: not yet, wrong attempts, "
            "solutions, clean-up.",
        )
    )
)
@click.argument("lessons", nargs=-1, metavar="[LESSON]...")
@click.option(
    "--lang",
    "language",
    type=click.Choice(LANGUAGES),
    help=str(Text(es="Solo en este idioma.", en="Only in this language.")),
)
@click.option(
    "--backend",
    type=click.Choice(("netns", "kubernetes")),
    default="netns",
    show_default=True,
    help=str(
        Text(
            es="Dónde: en laboratorios propios, o en el clúster de KUBECONFIG, que recibe lo que las "
            "lecciones crean y borran.",
            en="Where: on labs of its own, or on KUBECONFIG's cluster, which gets what the lessons make and "
            "delete.",
        )
    ),
)
@click.option(
    "--limit",
    "limit_s",
    type=click.FloatRange(1),
    default=30,
    show_default=True,
    metavar="SECONDS",
    help=str(
        Text(
            es="Cuánto puede tardar una lección: más, en una máquina lenta u ocupada.",
            en="How long a lesson may take: more, on a machine that is slow or busy.",
        )
    ),
)
@click.option(
    "--jobs",
    type=click.IntRange(1, 16),
    default=1,
    show_default=True,
    help=str(Text(es="Cuántos laboratorios a la vez.", en="How many labs side by side.")),
)
@click.option(
    "--junit",
    "report",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help=str(
        Text(
            es="Escribe también en FILE, como JUnit XML: un caso por lección, idioma y paso.",
            en="Write to FILE, too, as JUnit XML: a case per lesson, language and step.",
        )
    ),
)
def test(
    lessons: Sequence[str],
    language: Language | None,
    backend: "Backend",
    limit_s: float,
    jobs: int,
    report: Path | None,
) -> int:
    from kubelab.cli.interrupt import interruptible
    from kubelab.cli.log import log_to_file
    from kubelab.cli.rootless import become_root
    from kubelab.lessons.junit import junit

    if report is not None:
        _write(report, "")  # Better to know now than after all the proofs.
    languages = (language,) if language else LANGUAGES
    become_root()
    log_to_file()
    chosen = _possible(_on(backend, _chosen(lessons)))
    wanted = [(lesson, language) for lesson in chosen for language in languages]
    if backend == "kubernetes" and jobs > 1:
        raise LabError(_ONE_CLUSTER)
    outcome = interruptible(_prove_all(wanted, jobs, _Terms(backend, limit_s)))
    if outcome is None:
        return 130
    if report is not None:
        _write(report, junit(outcome))
    passed = sum(proof.passed for _, proof in outcome)
    click.echo(f"{passed} passed, {len(outcome) - passed} failed")
    return 0 if outcome and passed == len(outcome) else 1


def _on(backend: "Backend", lessons: "Sequence[Lesson]") -> "list[Lesson]":
    """Return those that run on *backend*, and tell of the others."""
    for lesson in lessons:
        if backend not in lesson.structure.backends:
            click.echo(str(_ELSEWHERE.format(lesson=lesson.id, backend=backend)), err=True)
    found = [lesson for lesson in lessons if backend in lesson.structure.backends]
    if not found:
        raise LabError(_NONE_ON.format(backend=backend))
    return found


def _possible(lessons: "Sequence[Lesson]") -> "list[Lesson]":
    """Return those that a rootless lab can do, and tell of the others. As root all are to be proved."""
    from kubelab.cluster.linux import user_namespace
    from kubelab.cluster.linux.probe import missing
    from kubelab.lessons.catalog import lacking

    if not user_namespace.is_nested():
        return list(lessons)
    lacks = missing()
    for lesson in lessons:
        if reason := lacking(lesson, lacks):
            click.echo(str(_NOT_HERE.format(lesson=lesson.id, reason=reason)), err=True)
    return [lesson for lesson in lessons if not lacking(lesson, lacks)]


@dataclass(frozen=True, slots=True)
class _Terms:
    """Where lessons are proved, and how long each may take."""

    backend: "Backend"
    limit_s: float


async def _prove_all(wanted: Sequence[tuple["Lesson", Language]], jobs: int, terms: _Terms) -> Outcome:
    """Prove everything; whichever lab is free takes the next one that fits it. A cluster of others is one
    lab."""
    waiting = _Waiting(wanted, terms.backend)
    outcome: Outcome = []
    with _StatusLine.shown(len(wanted)) as status:
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(jobs, len(wanted))):
                    group.create_task(_work(waiting, outcome, status, terms))
        except* LabError as errors:
            raise errors.exceptions[0] from None  # What keeps one lab from starting keeps them all.
    return sorted(outcome, key=lambda done: wanted.index((done[0], done[1].language)))


class _Waiting:
    """What is still to be proved, by how many masters its lab must have, which are the same all its life."""

    def __init__(self, wanted: Sequence[tuple["Lesson", Language]], backend: "Backend") -> None:
        self._of: dict[int, list[tuple[Lesson, Language]]] = {}
        for lesson, language in reversed(wanted):
            masters = 0 if backend == "kubernetes" else max(1, lesson.masters)
            self._of.setdefault(masters, []).append((lesson, language))

    def masters(self) -> int | None:
        """Return how many masters most of what waits needs; None: nothing waits."""
        return max(self._of, key=lambda masters: len(self._of[masters]), default=None)

    def take(self, masters: int) -> "Iterator[tuple[Lesson, Language]]":
        """Yield one after the other until nothing waits that needs so many, whoever else takes some."""
        while masters in self._of:
            one = self._of[masters].pop()
            if not self._of[masters]:
                del self._of[masters]
            yield one


async def _work(waiting: _Waiting, outcome: Outcome, status: "_StatusLine", terms: _Terms) -> None:
    """Take what waits, in labs beside all others': in places of their own."""
    from kubelab.lessons.patience import Patience
    from kubelab.lessons.proof import prove

    patience = Patience.of(terms.limit_s)
    worker = object()
    while (masters := waiting.masters()) is not None:
        status.begin(worker, str(_STARTING))
        async with _lab(terms.backend, masters) as lab:
            await lab.ready()
            for lesson, language in waiting.take(masters):
                title = f"{lesson.id} [{language}]"
                status.begin(worker, title)
                watch = status.follower(worker, title)
                proof = await prove(lesson, language, lab, patience.with_elections(lesson.masters), watch)
                outcome.append((lesson, proof))
                status.done(worker, f"{'✓' if proof.passed else '✗'} {proof}")


@asynccontextmanager
async def _lab(backend: "Backend", masters: int) -> "AsyncIterator[LabPort]":
    from kubelab.cli.equipment import equipped
    from kubelab.cluster.client import kubeconfig
    from kubelab.cluster.lab.config import LabConfig
    from kubelab.cluster.lab.directory import LabDirectory
    from kubelab.cluster.lab.existing import attach
    from kubelab.cluster.lab.lab import start_lab

    with tempfile.TemporaryDirectory(prefix="kubelab-proof-") as place:
        directory = LabDirectory(Path(place))
        if backend == "kubernetes":
            config = equipped(LabConfig(directory=directory))
            path = os.environ.get("KUBECONFIG") or Path.home() / ".kube/config"
            async with attach(kubeconfig.read(Path(path)), config) as cluster:
                yield cluster
        else:
            async with start_lab(equipped(LabConfig(directory=directory, masters=masters))) as lab:
                yield lab


class _StatusLine:
    """What is being proved, for whoever waits: on a terminal one line that changes, elsewhere a line each.

    It goes to stderr; the results go to stdout.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._finished = 0
        self._doing: dict[object, str] = {}
        self._live = sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"

    @classmethod
    @contextmanager
    def shown(cls, total: int) -> Iterator["_StatusLine"]:
        status = cls(total)
        try:
            yield status
        finally:
            status._erase()

    def begin(self, worker: object, title: str) -> None:
        self.tell(worker, title)
        if not self._live:
            click.echo(f"… {title}", err=True)

    def tell(self, worker: object, doing: str) -> None:
        self._doing[worker] = doing.strip()
        self._draw()

    def follower(self, worker: object, title: str) -> Callable[[str], None]:
        """Return what to call with each step of *title*."""
        return lambda step: self.tell(worker, f"{title} {step}")

    def done(self, worker: object, line: str) -> None:
        self._finished += 1
        self._doing.pop(worker, None)
        self._erase()
        click.echo(line)
        self._draw()

    def _draw(self) -> None:
        if self._live:
            line = f"{self._finished}/{self._total}  {' · '.join(self._doing.values())}"
            width = shutil.get_terminal_size().columns - 1
            click.echo(f"\r\x1b[K{line[:width]}", err=True, nl=False)

    def _erase(self) -> None:
        if self._live:
            click.echo("\r\x1b[K", err=True, nl=False)


def _chosen(lessons: Sequence[str]) -> "Sequence[Lesson]":
    """Return the lessons at these paths, or with these ids; all if there is none."""
    from kubelab.lessons.catalog import Catalog

    catalog = functools.cache(Catalog.load)  # A second or so, and only ids need it.
    if not lessons:
        return tuple(catalog().lessons())
    return tuple(found for name in lessons for found in _lessons_at(name, catalog))


def _lessons_at(name: str, catalog: Callable[[], "Catalog"]) -> "list[Lesson]":
    from kubelab.lessons.catalog import load_lesson
    from kubelab.lessons.lint import find_lessons

    if not Path(name).exists():
        return [catalog().lesson(name)]
    found = [load_lesson(path) for path in find_lessons(Path(name))]
    if not found:
        raise LabError(_NONE.format(path=name))
    return found


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise LabError(_UNWRITABLE.format(file=file, why=error.strerror)) from error


_STARTING = Text(es="arrancando el laboratorio", en="starting the lab")
_ELSEWHERE = Text(
    es="– {lesson}: no funciona sobre {backend} (su `backends` no lo dice).",
    en="– {lesson}: does not run on {backend} (its `backends` does not say so).",
)
_NOT_HERE = Text(es="– {lesson}: aquí no: {reason}", en="– {lesson}: not here: {reason}")
_NONE_ON = Text(
    es="Ninguna de estas lecciones funciona sobre {backend}.", en="None of these lessons runs on {backend}."
)
_ONE_CLUSTER = Text(
    es="Un clúster ajeno es un solo laboratorio: sobre kubernetes, usa --jobs 1.",
    en="A cluster of others is one lab: on kubernetes, use --jobs 1.",
)
_NONE = Text(es="No hay lecciones en {path}.", en="There are no lessons in {path}.")
_UNWRITABLE = Text(
    es="No se puede escribir {file} ({why}): indica otro archivo.",
    en="{file} cannot be written ({why}): name another file.",
)
