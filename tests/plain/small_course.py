"""A course of one small lesson, which asks a question with choices and one without."""

from pathlib import Path

from kubelab.lessons.parse import text_hash

TRACK = """\
format: 1
id: demo
title: {es: Muestra, en: Sample}
privileges: [root-shell, setup]
lessons: [01-sleep]
"""

SPANISH = """\
---
format: 1
title: Dormir
minutes: 2
shell: bench
files: things
vars: {SECS: {pick: [VALUES]}}
steps:
- id: sleep
  checks:
  - process: {argv: sleep $SECS}
  predict:
    reveal: {process: {argv: sleep}, field: count}
    choices: {one: {eq: 1}, many: {ge: 2}}
  solve: [sleep $SECS &]
  wrong:
  - do: [sleep 7 &]
    message: too-short
    when: {process: {argv: sleep 7}}
- id: wake
  checks:
  - process: {argv: sleep $SECS}
    gone: true
  predict:
    reveal: {process: {comm: sleep}, field: count}
  setup: [sleep $SECS &]
  solve: [pkill -f 'sleep $SECS']
---
Empieza.

## A dormir {#sleep}

Duerme $SECS segundos.

::: predict
¿Cuántos procesos habrá?

- Uno {#one}
- Muchos {#many}
:::

::: choice many
Un solo programa, un solo proceso.
:::

::: hint
Mira.
:::
::: hint
Busca.
:::
::: hint
Piensa.
:::
::: hint
`sleep $SECS &`
:::

::: message too-short
Eso es poco.
:::

::: debrief
Ha dormido.
:::

## A despertar {#wake}

Despiértalo.

::: predict
¿Cuántos quedan?
:::

::: hint
Mira.
:::
::: hint
Busca.
:::
::: hint
Piensa.
:::
::: hint
`pkill sleep`
:::

::: debrief
Se ha despertado.
:::
"""

SPANISH = SPANISH.replace("VALUES", ", ".join(str(number) for number in range(1001, 1101)))
_ENGLISH = {
    "Empieza.": "Begin.",
    "A dormir": "To sleep",
    "Duerme $SECS segundos.": "Sleep $SECS seconds.",
    "¿Cuántos procesos habrá?": "How many processes will there be?",
    "- Uno": "- One",
    "- Muchos": "- Many",
    "Un solo programa, un solo proceso.": "One program, one process.",
    "Mira.": "Look.",
    "Busca.": "Search.",
    "Piensa.": "Think.",
    "Eso es poco.": "That is little.",
    "Ha dormido.": "It slept.",
    "A despertar": "To wake",
    "Despiértalo.": "Wake it.",
    "¿Cuántos quedan?": "How many are left?",
    "Se ha despertado.": "It woke up.",
}


def write_course(place: Path) -> Path:
    """Write the course below *place*; return what KUBELAB_LESSONS is to be."""
    lesson = place / "demo/01-sleep"
    (lesson / "files").mkdir(parents=True)
    (place / "demo/track.yaml").write_text(TRACK)
    (lesson / "files/note.txt").write_text("sleep $SECS\n")
    (lesson / "es.md").write_text(SPANISH)
    (lesson / "en.md").write_text(_english())
    return place


def _english() -> str:
    text = SPANISH.partition("\n---\n")[2]
    for spanish, english in _ENGLISH.items():
        text = text.replace(spanish, english)
    return f"---\nof: {text_hash(SPANISH)}\ntitle: Sleeping\n---\n{text}"
