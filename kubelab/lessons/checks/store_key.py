"""`key`: a key of the cluster's store, as etcdctl shows it: its value and its revisions. Pure.

Source: https://etcd.io/docs/v3.6/learning/data_model/; etcd, api/mvccpb/kv.proto.
Left out: values that are no text, keys of the past.
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from kubelab.language import Text
from kubelab.lessons.checks.check import Finding, Measure, Needs, Scope, answer_to, check
from kubelab.lessons.compare import Comparison
from kubelab.lessons.observation import Observation
from kubelab.lessons.question import Question

Field = Literal["value", "version", "create_revision", "mod_revision", "lease"]


@dataclass(frozen=True, slots=True)
class StoredKey:
    """`version` 0: it is not there."""

    value: str = ""
    version: int = 0
    create_revision: int = 0
    mod_revision: int = 0
    lease: int = 0


@dataclass(frozen=True, slots=True)
class KeyIn(Question[StoredKey]):
    """What the store has under `key`: what is agreed on, or, if it is named, what that `member` has now."""

    far: ClassVar[bool] = True
    key: str
    member: str = ""


@check
class KeyCheck(Comparison, Measure):
    """A key of the cluster's store is there, or is not; or a field of it compares as the comparison's keys
    (below) say. Its value is that of the field."""

    key: Annotated[str, "The key, as `etcdctl get` takes it."]
    absent: Annotated[bool, "There must be none."] = False
    field: Annotated[Field, "Which field: its value, how many writes it has seen, or a revision."] = "value"
    member: Annotated[
        str, "The master whose own copy is looked at, however old; by default what a majority has."
    ] = ""

    example = "{key: /course/luna, field: version, ge: 2}"

    def needs(self) -> Needs:
        return Needs()

    def questions(self, observation: Observation, scope: Scope) -> frozenset[Question[Any]]:
        return frozenset({self._question()})

    def expected(self, scope: Scope) -> Text:
        place = self._place()
        if self.absent:
            return Text(f"{place.es}: no existe", f"{place.en}: not there")
        if not self.asked():
            return Text(f"{place.es}: existe", f"{place.en}: there")
        phrase = self.phrase()
        return Text(f"{place.es}, {self.field}: {phrase.es}", f"{place.en}, {self.field}: {phrase.en}")

    def evaluate(self, observation: Observation, scope: Scope) -> Finding:
        found = answer_to(observation, self._question())
        if not found.version:
            return self.finding(self.absent, scope, _NONE, self._look())
        passed = not self.absent and self.holds(getattr(found, self.field))
        return self.finding(passed, scope, _shown(found), self._look())

    def value(self, observation: Observation, scope: Scope) -> Any:
        found = answer_to(observation, self._question())
        return getattr(found, self.field) if found.version else None

    def _question(self) -> KeyIn:
        return KeyIn(self.key, self.member)

    def _place(self) -> Text:
        if self.member:
            return Text(f"la clave {self.key} en {self.member}", f"key {self.key} in {self.member}")
        return Text(f"la clave {self.key}", f"key {self.key}")

    def _look(self) -> str:
        of_one = f"--endpoints={self.member}:2379 --consistency=s " if self.member else ""
        return f"etcdctl get {of_one}-w fields {self.key}"


def _shown(found: StoredKey) -> Text:
    text = f"{found.value!r}, version {found.version}, mod_revision {found.mod_revision}"
    return Text(text, text)


_NONE = Text("no está", "it is not there")
