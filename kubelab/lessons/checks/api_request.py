"""`api-request`: a request that reached the API server since the step began, and what was answered.

Source: https://kubernetes.io/docs/reference/using-api/api-concepts/ (verbs, watches and resource versions);
kubernetes, staging/src/k8s.io/apiserver/pkg/apis/audit/v1/types.go. `kubelab api watch` shows the same.
Left out: bodies, which the server does not keep.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs, urlsplit

from kubelab.cluster.apiserver.request_log import RequestRecord
from kubelab.language import Text
from kubelab.lessons.checks.check import Finding, Measure, Needs, Scope, answer_to, check
from kubelab.lessons.compare import Comparison
from kubelab.lessons.observation import Observation
from kubelab.lessons.question import Question

Verb = Literal["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"]
COMPONENT = "system:"


@dataclass(frozen=True, slots=True)
class ApiRequests(Question[tuple[RequestRecord, ...]]):
    """The last requests with that verb on that resource which people made, the newest last."""

    verb: str
    resource: str


@check
class ApiRequestCheck(Comparison, Measure):
    """Such requests of people (not of the cluster's components) reached the API server since the step began:
    one at least, or as many as the comparison's keys (below) say. Its value is how many they were."""

    api_request: Annotated[Verb, "The verb."]
    resource: Annotated[str, "The resource's plural, without its group."]
    name: Annotated[str, "On the object of this name; by default on any, or on the collection."] = ""
    namespace: Annotated[str, "In this namespace; by default in any."] = ""
    code: Annotated[int, "Answered with this HTTP status; by default with any."] = 0
    query: Annotated[
        Mapping[str, str] | None,
        "With these values in its query: `''` stands for none, `'*'` for any but none.",
    ] = None
    behind: Annotated[
        int, "Of a watch: it went on from a revision at least so many before the store's own at that time."
    ] = 0

    example = "{api-request: update, resource: configmaps, code: 409}"

    def needs(self) -> Needs:
        return Needs()

    def questions(self, observation: Observation, scope: Scope) -> frozenset[Question[Any]]:
        return frozenset({self._question})

    @property
    def _question(self) -> ApiRequests:
        return ApiRequests(self.api_request, self.resource)

    def expected(self, scope: Scope) -> Text:
        what, conditions = self._what(), tuple(self._conditions())
        rest = Text(
            "".join(f", {each.es}" for each in conditions), "".join(f", {each.en}" for each in conditions)
        )
        times = self.phrase()
        count = Text(f"; cuántas: {times.es}", f"; how many: {times.en}") if self.asked() else Text("", "")
        return Text(
            f"al API server ha llegado una petición: {what}{rest.es}{count.es}",
            f"a request has reached the API server: {what}{rest.en}{count.en}",
        )

    def subject(self, scope: Scope) -> Text:
        what = self._what()
        return Text(f"las peticiones {what} desde el comienzo", f"the requests {what} since the beginning")

    def _what(self) -> str:
        target = f"{self.resource}/{self.name}" if self.name else self.resource
        return f"`{self.api_request} {target}`" + (f" -n {self.namespace}" if self.namespace else "")

    def _conditions(self) -> Iterator[Text]:
        if self.code:
            yield Text(f"con respuesta {self.code}", f"answered {self.code}")
        for key, value in (self.query or {}).items():
            if value:
                yield Text(f"con {key}={value}", f"with {key}={value}")
            else:
                yield Text(f"sin {key}", f"without {key}")
        if self.behind:
            yield Text(
                f"desde al menos {self.behind} revisiones atrás",
                f"from at least {self.behind} revisions back",
            )

    def evaluate(self, observation: Observation, scope: Scope) -> Finding:
        count = self.value(observation, scope)
        passed = self.holds(count) if self.asked() else count > 0
        last = scope.memory.latest((self, "last")) or ""
        told = Text(f"han llegado {count}{last}", f"{count} came{last}")
        return self.finding(passed, scope, told)

    def value(self, observation: Observation, scope: Scope) -> int:
        records = answer_to(observation, self._question)
        before = scope.memory.first((self._question, "before"), [record.id for record in records])
        counted: list[str] = list(scope.memory.latest((self, "counted")) or ())
        for record in records:
            if record.id in before:
                continue
            scope.memory.note((self, "last"), f" ({record.verb} {record.uri}: {record.code})")
            if record.id not in counted and self._fits(record):
                counted.append(record.id)
        scope.memory.note((self, "counted"), counted)
        return len(counted)

    def _fits(self, record: RequestRecord) -> bool:
        asked = parse_qs(urlsplit(record.uri).query)
        return (
            self.name in ("", record.name)
            and self.namespace in ("", record.namespace)
            and self.code in (0, record.code)
            and all(_agrees(asked.get(key, [""])[0], value) for key, value in (self.query or {}).items())
            and record.revision - _revision(asked, record) >= self.behind
        )


def _agrees(actual: str, wanted: str) -> bool:
    return bool(actual) if wanted == "*" else actual == wanted


def _revision(query: Mapping[str, list[str]], record: RequestRecord) -> int:
    """Return the revision that the request names; the store's own if it names none."""
    named = query.get("resourceVersion", [""])[0]
    return int(named) if named.isdecimal() and named != "0" else record.revision
