"""What is otherwise than when the step began, in sentences: machine by machine, kind by kind. Pure."""

import re
from collections.abc import Iterator, Sequence

from kubelab.language import Text
from kubelab.lessons.change import About, Change, Sign
from kubelab.plain import words

ALIKE_TOLD = 3  # Who hears it read aloud cannot skim.
KINDS = tuple(About)
ALL = "all"
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
_SIGNS = {
    " → ": Text(", ahora ", ", now "),
    "–": Text("nada", "nothing"),
    "✓": Text("sí", "yes"),
    "✗": Text("no", "no"),
}
_UUID = re.compile(r"([0-9a-f]{8})-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_HASH = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{20,}\b")
_FEMININE = {About.ADDRESS, About.ROUTE, About.RULE}


def difference_sentences(changes: Sequence[Change], kind: str = "") -> Iterator[Text]:
    """Yield what *changes* are; the machines in the order in which they come first.

    *kind* is one of `KINDS`, of which all are told, or `ALL`; without it the first few of each are.
    """
    if kind in KINDS:
        changes = [change for change in changes if change.about == kind]
    if not changes:
        yield words.NOTHING_OF_THAT_KIND if kind in KINDS else words.NOTHING_CHANGED
    for place in dict.fromkeys(change.place for change in changes):
        yield words.CHANGED_ON.format(place=place) if place else words.CHANGED_IN_CLUSTER
        here = [change for change in changes if change.place == place]
        for about in About:
            alike = [change for change in here if change.about is about]
            yield from map(_sentence, alike) if kind else _shortened(alike)


def _shortened(alike: Sequence[Change]) -> Iterator[Text]:
    for sign in Sign:
        of_one_sign = [change for change in alike if change.sign is sign]
        yield from map(_sentence, of_one_sign[:ALIKE_TOLD])
        if len(of_one_sign) > ALIKE_TOLD:
            more = words.MORE_CHANGES.format(kind=alike[0].about)
            yield _about(of_one_sign[0], more)


def _sentence(change: Change) -> Text:
    return _about(change, _in_words(change.what))


def _about(change: Change, what: Text) -> Text:
    noun, sign = _NOUNS[change.about], _sign(change)
    return Text(
        f"{noun.es.capitalize()}, {sign.es}: {what.es}", f"{noun.en.capitalize()}, {sign.en}: {what.en}"
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
    """Return *what* without the signs that the app draws, which a reader would spell or leave out, and with
    long identifiers cut as docker and git cut them."""
    for sign, word in _SIGNS.items():
        what = Text(what.es.replace(sign, word.es), what.en.replace(sign, word.en))
    return Text(_short(what.es), _short(what.en))


def _short(text: str) -> str:
    return _HASH.sub(r"\1", _UUID.sub(r"\1", text))
