"""What a track may do on the learner's machine: what it declares, and what its lessons really use. Pure.

Declared in track.yaml, told before a third party's track is installed, and derived here from the lessons, so
that no track uses what it does not declare. Everything that an author writes happens on machines of the lab;
nothing of it runs on the host. What that protects from is told in `kubelab.cluster.runtime.machine_root`.
Left out: a privilege for the network (every machine of the lab is on the lab's network, so `root-shell` has
it), and one for what the lessons' checks look at (they read, and only on the lab's machines).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from kubelab.language import Text
from kubelab.lessons.format import LessonSource
from kubelab.lessons.located import Node, read_yaml
from kubelab.lessons.prose import parse_document

Privilege = Literal["root-shell", "setup", "cluster", "kubeconfig", "executables"]
PRIVILEGES: tuple[Privilege, ...] = get_args(Privilege)

_PROGRAMS = (b"#!", b"\x7fELF")

WORDS: Mapping[str, Text] = {
    "root-shell": Text(
        "un shell de root en máquinas del laboratorio, que pueden leer los archivos de este equipo (no "
        "cambiarlos) y usar la red del laboratorio; las soluciones se escriben en él si te las saltas",
        "a root shell on machines of the lab, which can read this computer's files (not change them) and use "
        "the lab's network; solutions are typed into it when you skip ahead",
    ),
    "setup": Text(
        "ejecutar órdenes de su autor, como root, en esas máquinas, al preparar un paso y al limpiar",
        "run its author's commands, as root, on those machines, to set a step up and to clean up",
    ),
    "cluster": Text(
        "usar el clúster del laboratorio como su administrador, con un shell de root en sus nodos",
        "use the lab's cluster as its administrator, with a root shell on its nodes",
    ),
    "kubeconfig": Text(
        "trabajar en un clúster tuyo, con los derechos de tu kubeconfig, si lo pides",
        "work on a cluster of yours, with your kubeconfig's rights, if you ask for that",
    ),
    "executables": Text(
        "poner en la máquina programas de su autor, para que los ejecutes",
        "put its author's programs on the machine, for you to run",
    ),
}


@dataclass(frozen=True, slots=True)
class Use:
    """That a lesson uses a privilege, and where. `line` 0: the file as a whole."""

    privilege: Privilege
    file: str
    line: int


def uses(source: LessonSource) -> Iterator[Use]:
    """Yield each use of a privilege in a lesson that can be parsed."""
    file = f"{source.path}/es.md"
    yield Use("root-shell", file, 0)
    front = read_yaml(parse_document(source.spanish, file).front_matter, file, 2).mapping()
    for node in _commands(front):
        yield Use("setup", file, node.line)
    if (cluster := front.get("cluster")) is not None and cluster.value is not None:
        yield Use("cluster", file, cluster.line)
    if (backends := front.get("backends")) is not None:
        yield from (Use("kubeconfig", file, node.line) for node in backends.items() if node.value != "netns")
    for name, content in source.files.items():
        if content.startswith(_PROGRAMS):
            yield Use("executables", f"{source.path}/files/{name}", 0)


def _commands(front: Mapping[str, Node]) -> Iterator[Node]:
    steps = front["steps"].items() if "steps" in front else ()
    for entries in (front, *(step.mapping() for step in steps)):
        yield from (entries[key] for key in ("setup", "cleanup") if key in entries and entries[key].value)


def undeclared(sources: Sequence[LessonSource], declared: Sequence[str]) -> tuple[Use, ...]:
    """Return the first use of each privilege that is used and not *declared*."""
    first: dict[str, Use] = {}
    for use in (use for source in sources for use in uses(source)):
        if use.privilege not in declared:
            first.setdefault(use.privilege, use)
    return tuple(first.values())


def unused(sources: Sequence[LessonSource], declared: Sequence[Privilege]) -> tuple[Privilege, ...]:
    used = {use.privilege for source in sources for use in uses(source)}
    return tuple(privilege for privilege in declared if privilege not in used)
