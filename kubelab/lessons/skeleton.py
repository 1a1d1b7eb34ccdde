"""Begin a lesson: one small step in both languages that lints clean and proves itself, to be written over.

Nothing that is there is overwritten; of track.yaml, one line is added and the rest stays as it is written.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

import yaml

from kubelab.cluster.errors import LabError
from kubelab.language import Text
from kubelab.lessons.catalog import read_text, tracks_path
from kubelab.lessons.parse import parse_track, text_hash

_ID = re.compile(r"(?P<track>[a-z][a-z0-9-]*)/(?P<lesson>[0-9]{2}-[a-z][a-z0-9-]*)")


def writable_tracks(environment: Mapping[str, str] = os.environ) -> Path:
    """Return where a new lesson belongs. Raises LabError where it could only go into an installation."""
    path = tracks_path(environment)
    if "KUBELAB_LESSONS" not in environment and "site-packages" in path.parts:
        raise LabError(_NO_PLACE)
    return path


def create(tracks: Path, lesson_id: str) -> tuple[Path, ...]:
    """Write lesson *lesson_id* below *tracks*, and its track if there is none yet; return what was written.

    Raises:
        LabError: the id is none, the lesson is there, or the place cannot be written.
    """
    match = _ID.fullmatch(lesson_id)
    if match is None:
        raise LabError(_BAD_ID.format(id=lesson_id))
    track, directory = tracks / match["track"], tracks / lesson_id
    if directory.exists():
        raise LabError(_THERE.format(path=directory))
    registered = _registered(track, match["lesson"])
    try:
        directory.mkdir(parents=True)
        written = [_write(directory / name, text) for name, text in files(match["lesson"]).items()]
        (track / "track.yaml").write_text(registered, encoding="utf-8")
    except OSError as error:
        raise LabError(_UNWRITABLE.format(path=error.filename, why=error.strerror)) from error
    return (*written, track / "track.yaml")


def files(name: str) -> dict[str, str]:
    """Return the lesson's files. Pure."""
    slug = name.partition("-")[2]
    title = slug.replace("-", " ").capitalize()
    spanish = _SPANISH.replace("@TITLE@", title).replace("@SLUG@", slug)
    english = _ENGLISH.replace("@TITLE@", title).replace("@HASH@", text_hash(spanish))
    return {"es.md": spanish, "en.md": english}


def register(text: str, file: str, lesson: str) -> str:
    """Return track.yaml's *text* with *lesson* added before the first later one. Pure. Raises LessonError."""
    lessons = list(parse_track(text, file).lessons)
    if lesson in lessons:
        return text
    later = next((index for index, name in enumerate(lessons) if name > lesson), len(lessons))
    items = _list_node(text)
    if items.flow_style or not lessons:
        names = ", ".join([*lessons[:later], lesson, *lessons[later:]])
        return f"{text[: items.start_mark.index]}[{names}]{text[items.end_mark.index :]}"
    marks = [item.start_mark for item in items.value]
    indent = marks[0].column - 2
    lines = text.splitlines(keepends=True)
    at = marks[later].line if later < len(marks) else marks[-1].line + 1
    before = lines[at - 1]
    lines[at - 1] = before if before.endswith("\n") else f"{before}\n"
    return "".join([*lines[:at], f"{' ' * indent}- {lesson}\n", *lines[at:]])


def _list_node(text: str) -> yaml.SequenceNode:
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode)
    node = next(value for key, value in root.value if key.value == "lessons")
    if isinstance(node, yaml.SequenceNode):
        return node
    # A lone word stands for a list of one.
    return yaml.SequenceNode(node.tag, [node], node.start_mark, node.end_mark, flow_style=True)


def _registered(track: Path, lesson: str) -> str:
    file = track / "track.yaml"
    if file.exists():
        return register(read_text(file), str(file), lesson)
    title = track.name.replace("-", " ").capitalize()
    return _TRACK.format(id=track.name, title=title, lesson=lesson)


def _write(path: Path, text: str) -> Path:
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
    return path


_NO_PLACE = Text(
    "Di con KUBELAB_LESSONS en qué directorio escribes lecciones: el de este kubelab es de la instalación.",
    "Say with KUBELAB_LESSONS in which directory you write lessons: this kubelab's own is its installation.",
)
_BAD_ID = Text(
    "«{id}» no es un id de lección: escríbelo como containers/02-uts, en minúsculas.",
    "“{id}” is no lesson id: write it like containers/02-uts, in lower case.",
)
_THERE = Text("Ya existe {path}: elige otro nombre.", "{path} is there already: choose another name.")
_UNWRITABLE = Text(
    "No se puede escribir {path} ({why}): mira sus permisos.",
    "{path} cannot be written ({why}): look at its permissions.",
)

_TRACK = """\
format: 1
id: {id}
title:
  es: {title}
  en: {title}
privileges: [root-shell]
lessons:
- {lesson}
"""

_SPANISH = """\
---
format: 1
title: '@TITLE@'
minutes: 5
concepts: [@SLUG@]
needs: [root]
vars:
  SECS: {pick: [1001, 1002, 1003]}
steps:
- id: begin
  checks:
  - process: {argv: sleep $SECS}
  solve:
  - sleep $SECS &
  wrong:
  - do: [sleep 7 &]
    message: too-short
    when: {process: {argv: sleep 7}}
---
Di en una frase qué sabrá hacer quien termine esta lección.

## El primer paso {#begin}

Un concepto por paso: un ejemplo hecho, y luego la meta. Aquí: deja en marcha un `sleep` de **$SECS**
segundos, en segundo plano.

::: predict
**Antes de escribirlo:** ¿qué proceso será el padre del `sleep`?
:::

::: hint
**Observa.** `ps -e -o pid,ppid,args` enseña los procesos de esta máquina.
:::

::: hint
**Ubica.** Es un hijo de tu shell, que no espera a que termine.
:::

::: hint
**Método.** Una orden seguida de `&` queda en segundo plano.
:::

::: hint
**Orden.** `sleep $SECS &`
:::

::: message too-short
Ese `sleep` acaba en siete segundos. El paso pide $SECS.
:::

::: debrief
Di qué hace igual o de otro modo Kubernetes, Docker o el kernel en producción.

*Fuentes:* `sleep(1)`.
:::
"""

_ENGLISH = """\
---
of: @HASH@
title: '@TITLE@'
---
Say in one sentence what whoever finishes this lesson will be able to do.

## The first step {#begin}

One concept a step: a worked example, then the goal. Here: leave a `sleep` of **$SECS** seconds running, in
the background.

::: predict
**Before you type it:** which process will be the parent of the `sleep`?
:::

::: hint
**Observe.** `ps -e -o pid,ppid,args` shows the processes of this machine.
:::

::: hint
**Locate.** It is a child of your shell, which does not wait for its end.
:::

::: hint
**Method.** A command followed by `&` stays in the background.
:::

::: hint
**Command.** `sleep $SECS &`
:::

::: message too-short
That `sleep` ends after seven seconds. The step asks for $SECS.
:::

::: debrief
Say what Kubernetes, Docker or the kernel does the same or differently in production.

*Sources:* `sleep(1)`.
:::
"""
