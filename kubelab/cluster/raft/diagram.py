"""Draw the roles of a member and what takes it from one to another, from the table that `Raft` walks. Pure.

`kubelab docs raft` prints it, docs/raft.md is it.
"""

from collections.abc import Iterator

from kubelab.cluster.raft.states import TABLE, Role, Transition
from kubelab.language import Language, Text

_ABOUT = Text(
    es="""\
# Los papeles de un miembro de Raft

Lo dibuja `kubelab docs raft` a partir de la tabla que recorren los miembros (kubelab/cluster/raft/states.py).
Los números son secciones de D. Ongaro, *Consensus: Bridging Theory and Practice* (2014). Un aprendiz
(learner) es un seguidor a quien nadie pide el voto y que nunca se presenta (4.2.1).""",
    en="""\
# The roles of a Raft member

Drawn by `kubelab docs raft` from the table that the members walk (kubelab/cluster/raft/states.py). The
numbers are sections of D. Ongaro, *Consensus: Bridging Theory and Practice* (2014). A learner is a follower
that is asked for no vote and never campaigns (4.2.1).""",
)
_START = Text(es="arranca", en="starts")


def mermaid(language: Language) -> str:
    """Return a state diagram as GitHub and mermaid.js draw it."""
    lines = ["stateDiagram-v2", f"    [*] --> {_name(Role.FOLLOWER)}: {_START.in_(language)}"]
    lines += [
        f"    {_name(transition.before)} --> {_name(transition.after)}: "
        f"{transition.event.value.in_(language)} ({transition.section})"
        for transition in TABLE
    ]
    return "\n".join(lines)


def _name(role: Role) -> str:
    return role.value.replace("-", "_")


def ascii_diagram(language: Language) -> str:
    """Return the way up as a row of boxes, and under it all that leads from each role."""
    return "\n".join((*_ladder(), "", *_lists(language)))


def _ladder() -> Iterator[str]:
    """Draw the roles in the order in which a member rises."""
    boxes = [f"| {role.value} |" for role in Role]
    edge = "     ".join("+" + "-" * (len(box) - 2) + "+" for box in boxes)
    yield edge
    yield " --> ".join(boxes)
    yield edge


def _lists(language: Language) -> Iterator[str]:
    width = max(len(transition.event.value.in_(language)) for transition in TABLE)
    for role in Role:
        yield role.value
        for transition in TABLE:
            if transition.before is role:
                yield _row(transition, width, language)


def _row(transition: Transition, width: int, language: Language) -> str:
    event = transition.event.value.in_(language)
    return f"  {event:<{width}}  ->  {transition.after.value:<13}  {transition.section}"


def document(language: Language) -> str:
    """Return a page of Markdown; docs/raft.md is the English one."""
    diagram, text = f"```mermaid\n{mermaid(language)}\n```", f"```text\n{ascii_diagram(language)}\n```"
    return f"{_ABOUT.in_(language)}\n\n{diagram}\n\n{text}\n"
