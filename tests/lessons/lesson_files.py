"""A small lesson as text, to be varied by the tests."""

from dataclasses import replace

from kubelab.lessons.format import LessonSource
from kubelab.lessons.parse import text_hash

SPANISH = """\
---
format: 1
title: Una lección
minutes: 5
vars: {SECS: {pick: [1001, 1002]}}
shell: bench
files: things
steps:
- id: one
  checks:
  - process: {argv: sleep $SECS}
  solve: [sleep $SECS &]
  wrong:
  - do: [sleep 7 &]
    message: too-short
    when: {process: {argv: sleep 7}}
- id: two
  checks:
  - process: {argv: sleep $SECS}
    gone: true
  - process: {argv: sleep $SECS}
    absent: true
    mode: level
  setup: [sleep $SECS &]
  solve: [pkill -f 'sleep $SECS']
---
Al principio.

## Dormir {#one}

Duerme $SECS segundos.

::: predict
¿Qué pasará?
:::

Y más texto.

::: hint
Observa.
:::
::: hint
Ubica.
:::
::: hint
Método.
:::
::: hint
```
sleep $SECS &
```
:::

::: message too-short
Eso es poco.
:::

::: debrief
Bien.
:::

## Despertar {#two}

Despierta.

::: hint
Uno.
:::
::: hint
Dos.
:::
::: hint
Tres.
:::
::: hint
Cuatro.
:::
::: debrief
Listo.
:::
"""

ENGLISH = """\
---
of: HASH
title: A lesson
---
At first.

## Sleep {#one}

Sleep $SECS seconds.

::: predict
What will happen?
:::

And more text.

::: hint
Observe.
:::
::: hint
Locate.
:::
::: hint
Method.
:::
::: hint
```
sleep $SECS &
```
:::

::: message too-short
That is little.
:::

::: debrief
Good.
:::

## Wake {#two}

Wake up.

::: hint
One.
:::
::: hint
Two.
:::
::: hint
Three.
:::
::: hint
Four.
:::
::: debrief
Done.
:::
"""


def source(**changes: str) -> LessonSource:
    made = LessonSource(
        id="demo/01-sleep",
        path="01-sleep",
        spanish=SPANISH,
        english=ENGLISH.replace("HASH", text_hash(SPANISH)),
        files={"note.txt": b"sleep $SECS", "bin": b"\xff\xfe"},
    )
    return replace(made, **changes)


def spanish(old: str, new: str) -> LessonSource:
    """Return the lesson with *old* replaced in its Spanish file."""
    assert old in SPANISH
    return source(spanish=SPANISH.replace(old, new, 1))
