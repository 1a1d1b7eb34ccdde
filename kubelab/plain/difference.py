"""What is otherwise than when the step began, in sentences: machine by machine, kind by kind. Pure."""

from collections.abc import Iterator, Sequence

from kubelab.language import Text
from kubelab.lessons.change import About, Change, Sign
from kubelab.plain import words

_KINDS = list(About)
_NOUNS = {
    About.OBJECT: Text("objeto", "object"),
    About.PROCESS: Text("proceso", "process"),
    About.NAMESPACE: Text("espacio de nombres", "namespace"),
    About.CGROUP: Text("cgroup", "cgroup"),
    About.MOUNT: Text("montaje", "mount"),
    About.LINK: Text("enlace de red", "network link"),
    About.ADDRESS: Text("dirección", "address"),
    About.ROUTE: Text("ruta", "route"),
    About.RULE: Text("regla", "rule"),
    About.STORE: Text("almacén", "store"),
}
_SIGNS = {" → ": Text(", ahora ", ", now "), "–": Text("nada", "nothing"), "✓": Text("sí", "yes")}
_FEMININE = {About.ADDRESS, About.ROUTE, About.RULE}


def difference_sentences(changes: Sequence[Change]) -> Iterator[Text]:
    """Yield what *changes* are; the machines in the order in which they come first."""
    if not changes:
        yield words.NOTHING_CHANGED
    for place in dict.fromkeys(change.place for change in changes):
        yield words.CHANGED_ON.format(place=place) if place else words.CHANGED_IN_CLUSTER
        here = [change for change in changes if change.place == place]
        yield from map(_sentence, sorted(here, key=lambda change: _KINDS.index(change.about)))


def _sentence(change: Change) -> Text:
    noun, sign = _NOUNS[change.about], _sign(change)
    return Text(
        f"{noun.es.capitalize()}, {sign.es}: {_in_words(change.what).es}",
        f"{noun.en.capitalize()}, {sign.en}: {_in_words(change.what).en}",
    )


def _sign(change: Change) -> Text:
    a = "a" if change.about in _FEMININE else "o"
    match change.sign:
        case Sign.NEW:
            return Text(f"nuev{a}", "new")
        case Sign.GONE:
            return Text(f"desaparecid{a}", "gone")
        case Sign.OTHER:
            return Text(f"cambiad{a}", "changed")


def _in_words(what: Text) -> Text:
    """Return *what* without the signs that the app draws: a reader would spell them, or leave them out."""
    for sign, word in _SIGNS.items():
        what = Text(what.es.replace(sign, word.es), what.en.replace(sign, word.en))
    return what
