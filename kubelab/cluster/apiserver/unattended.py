"""Kinds that are stored, checked and shown, but that nothing in this lab acts on: who makes one is told."""

from collections.abc import Callable, Iterator

from kubelab.cluster.objects import Object

Warnings = Callable[[Object], Iterator[str]]


def warns(sentence: str, *others: Warnings) -> Warnings:
    """Return the warnings of a kind of which *sentence* says what does not happen."""

    def warnings(obj: Object) -> Iterator[str]:
        yield f"{obj['kind']}: stored, but {sentence}"
        for each in others:
            yield from each(obj)

    return warnings
