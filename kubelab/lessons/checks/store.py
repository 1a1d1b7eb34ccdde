"""`store`: the cluster's store: its members, leader, term and revision. `preserved`: no write was lost.

Source: D. Ongaro and J. Ousterhout, In Search of an Understandable Consensus Algorithm, 2014, section 5.4
(what is committed stays); https://etcd.io/docs/v3.6/learning/data_model/ (revisions).
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from kubelab.cluster.objects import Object, key_of, uid_of
from kubelab.cluster.store.state import StoreState
from kubelab.language import Text
from kubelab.lessons.checks.check import CannotSee, Check, Finding, Measure, Needs, Scope, answer_to, check
from kubelab.lessons.checks.kinds import KindName, Served, in_namespace
from kubelab.lessons.checks.labels import Labels
from kubelab.lessons.compare import Comparison
from kubelab.lessons.observation import Observation
from kubelab.lessons.question import Question

Figure = Literal["leader", "term", "revision", "members", "alive", "quorum", "compacted"]

_FIGURES: dict[Figure, Text] = {
    "leader": Text("el líder del almacén", "the store's leader"),
    "term": Text("el mandato (term) del almacén", "the store's term"),
    "revision": Text("la revisión del almacén", "the store's revision"),
    "members": Text("los miembros del almacén", "the store's members"),
    "alive": Text("los miembros vivos del almacén", "the store's living members"),
    "quorum": Text("el quorum del almacén", "the store's quorum"),
    "compacted": Text("la revisión de la última compactación", "the revision of the last compaction"),
}
_NO_COMPACTION = Text(
    es="el almacén de este cluster no dice aquí hasta dónde está compactado",
    en="this cluster's store does not tell here how far it is compacted",
)
_NO_ELECTION = Text(
    "el almacén de este cluster no hace elecciones: no tiene líder ni mandato",
    "this cluster's store holds no elections: it has no leader and no term",
)


@dataclass(frozen=True, slots=True)
class StoreQuestion(Question[StoreState]):
    """What the cluster's store is like."""


@check
class StoreCheck(Comparison, Measure):
    """A figure of the cluster's store compares as the comparison's keys (below) say."""

    store: Annotated[
        Figure,
        "Which figure: the leader's name, the term, the revision, how many members it has or are alive,"
        " whether they are a quorum, or the revision up to which history is compacted (-1: never).",
    ]
    increased: Annotated[int | None, "It grew by this much, at least, since the step began."] = None

    example = "{store: revision, increased: 1}"

    def needs(self) -> Needs:
        return Needs()

    def questions(self, observation: Observation, scope: Scope) -> frozenset[Question[Any]]:
        return frozenset({StoreQuestion()})

    def expected(self, scope: Scope) -> Text:
        figure, phrase = self.subject(scope), self.phrase()
        if self.increased is None:
            return Text(f"{figure.es}: {phrase.es}", f"{figure.en}: {phrase.en}")
        rest = Text(f"; {phrase.es}", f"; {phrase.en}") if self.asked() else Text("", "")
        return Text(
            f"{figure.es}: +{self.increased} desde el comienzo del paso{rest.es}",
            f"{figure.en}: up by {self.increased} since the step began{rest.en}",
        )

    def subject(self, scope: Scope) -> Text:
        return _FIGURES[self.store]

    def evaluate(self, observation: Observation, scope: Scope) -> Finding:
        value = self.value(observation, scope)
        passed = value is not None and self.holds(value)
        told = Text(*("-" if value is None else str(value),) * 2)
        if self.increased is not None and isinstance(value, int):
            first = scope.memory.first((self.store, "first"), value)
            passed = passed and value - first >= self.increased
            told = Text(f"al comienzo: {first}; ahora: {value}", f"at first: {first}; now: {value}")
        return self.finding(passed, scope, told, _LOOKS.get(self.store, ""))

    def value(self, observation: Observation, scope: Scope) -> Any:
        state = answer_to(observation, StoreQuestion())
        if self.store in ("leader", "term") and not state.elects:
            raise CannotSee(_NO_ELECTION)
        if self.store == "compacted" and state.compacted is None:
            raise CannotSee(_NO_COMPACTION)
        if self.store in ("members", "alive"):
            alive = state.members if state.alive is None else state.alive
            return len(state.members if self.store == "members" else alive)
        return getattr(state, self.store)


_STATUS = "etcdctl endpoint status --cluster -w table"
_LOOKS: dict[Figure, str] = {
    "leader": _STATUS,
    "term": _STATUS,
    "revision": "kubectl get --raw '/api/v1/namespaces?limit=1'",
    "members": "etcdctl member list -w table",
    "alive": "etcdctl endpoint health --cluster",
    "quorum": "etcdctl endpoint health --cluster",
}


@check
class Preserved(Check):
    """Every object of a kind that was there when the step began still is, with the same uid, and the store's
    revision never went back: no committed write was lost."""

    preserved: Annotated[KindName, "The kind of objects."]
    namespace: Annotated[str, "The namespace that they are in, if their kind has namespaces."] = "default"
    labels: Annotated[Labels | None, "Only those that have such labels."] = None

    example = "preserved: configmaps"

    def needs(self) -> Needs:
        return self.preserved.needs()

    def questions(self, observation: Observation, scope: Scope) -> frozenset[Question[Any]]:
        return self.preserved.questions() | {StoreQuestion()}

    def expected(self, scope: Scope) -> Text:
        plural = self.preserved.resource.plural
        which = f" con {self.labels}" if self.labels else "", f" with {self.labels}" if self.labels else ""
        return Text(
            f"ninguna escritura confirmada se ha perdido: siguen todos los {plural}{which[0]} del comienzo",
            f"no committed write is lost: all {plural}{which[1]} of the beginning are still there",
        )

    def evaluate(self, observation: Observation, scope: Scope) -> Finding:
        served = self.preserved.served(observation)
        present = {uid_of(obj): key_of(obj).name for obj in served.state.objects if self._counts(obj, served)}
        look = f"kubectl get {self.preserved.resource.plural}" + (
            f" -l '{self.labels}'" if self.labels else ""
        )
        if not present and scope.memory.latest((self, "known")) is None:
            nothing = Text("todavía no hay nada que perder", "there is nothing yet that could be lost")
            return self.finding(False, scope, nothing, look)
        known = self._known(present, scope)
        lost = sorted(name for uid, name in known.items() if uid not in present)
        revision, highest = self._revisions(observation, scope)
        return self.finding(
            not lost and revision >= highest, scope, _told(len(known), lost, revision, highest), look
        )

    def _counts(self, obj: Object, served: Served) -> bool:
        selected = self.labels is None or self.labels.match(obj)
        return selected and in_namespace(served.resource, self.namespace, obj)

    def _known(self, present: dict[str, str], scope: Scope) -> dict[str, str]:
        """Return the objects, by uid, that were there when there were any first."""
        known: dict[str, str] | None = scope.memory.latest((self, "known"))
        if known is None:
            known = present
            scope.memory.note((self, "known"), known)
        return known

    def _revisions(self, observation: Observation, scope: Scope) -> tuple[int, int]:
        """Return the store's revision, and the highest that was seen."""
        revision = answer_to(observation, StoreQuestion()).revision
        highest = max(revision, scope.memory.latest((self, "revision")) or 0)
        scope.memory.note((self, "revision"), highest)
        return revision, highest


def _told(number: int, lost: list[str], revision: int, highest: int) -> Text:
    if lost:
        names = ", ".join(lost)
        return Text(f"de {number} faltan: {names}", f"of {number} these are missing: {names}")
    if revision < highest:
        return Text(
            f"la revisión volvió de {highest} a {revision}",
            f"the revision went back from {highest} to {revision}",
        )
    return Text(f"están los {number}; revisión {revision}", f"all {number} are there; revision {revision}")
