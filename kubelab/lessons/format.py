"""A lesson as parsed: frozen, pure values. `parse` makes them."""

from dataclasses import dataclass

from kubelab.language import Text


@dataclass(frozen=True, slots=True)
class Lesson:
    """`id` is "<track>/<nn-slug>"."""

    id: str
    title: Text


@dataclass(frozen=True, slots=True)
class Track:
    id: str
    title: Text
    lessons: tuple[Lesson, ...]
