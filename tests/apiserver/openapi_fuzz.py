"""Requests that schemathesis makes of the OpenAPI documents which the server itself serves.

Half of them fit the documents, half do not; most are about objects that are there. What counts as wrong: an
answer of 5xx, none within `ANSWERS_S`, and one in a form of which the documents say nothing.
"""

import contextlib
import random
import warnings
from dataclasses import dataclass
from typing import Any

import hypothesis
import requests
import schemathesis
from hostile_requests import is_wrong
from hypothesis import HealthCheck, Phase
from one_of_each import NAME, objects
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.specs.openapi.checks import content_type_conformance
from served_cluster import Cluster

ANSWERS_S = 10
CHECKS = (not_a_server_error, content_type_conformance)


@dataclass(frozen=True)
class Finding:
    """What was wrong, and the request that brings it back."""

    operation: str
    why: str
    request: str


class Fuzzer:
    """From a thread, with requests of its own: the server has the loop."""

    def __init__(self, cluster: Cluster) -> None:
        admin = cluster.authority.admin()
        self._session = requests.Session()
        self._session.trust_env = False  # Its certificates and proxies are not for here.
        self._options: dict[str, Any] = {
            "cert": (str(admin.certificate), str(admin.key)),
            "verify": str(cluster.authority.certificate_path),
            "timeout": ANSWERS_S,
        }
        self._base = f"https://127.0.0.1:{cluster.port}"
        self.sent = 0
        self.answers: dict[int, int] = {}

    def restore(self) -> None:
        """Make anew what requests have taken away."""
        for path, obj in objects().items():
            self._session.post(f"{self._base}/{path}", json=obj, **self._options)

    def operations(self, *names: str) -> list[schemathesis.APIOperation]:
        """Return the operations of the documents called *names*, or of all."""
        paths = self._json("/openapi/v3")["paths"]
        documents = [self._json(paths[name]["serverRelativeURL"]) for name in names or paths]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            schemas = map(schemathesis.openapi.from_dict, documents)
            return [each.ok() for schema in schemas for each in schema.get_all_operations()]

    def _json(self, path: str) -> Any:
        return self._session.get(self._base + path, **self._options).json()

    def findings(self, operation: schemathesis.APIOperation, seed: int, examples: int) -> list[Finding]:
        """Return what is wrong with the answers to requests for *operation*, which *seed* chooses."""
        return [each for mode in GenerationMode for each in self._findings(operation, mode, seed, examples)]

    def _findings(
        self, operation: schemathesis.APIOperation, mode: GenerationMode, seed: int, examples: int
    ) -> list[Finding]:
        found: list[Finding] = []
        chance = random.Random(seed)
        settings = hypothesis.settings(
            max_examples=examples,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )

        @hypothesis.seed(seed)
        @settings
        @hypothesis.given(operation.as_strategy(mode))
        def ask(case: Case) -> None:
            if chance.random() < 0.7:
                case.path_parameters.update(self._there(case))
            for endless in ("watch", "follow"):
                case.query.pop(endless, None)
            if why := self._wrong(case):
                found.append(Finding(operation.label, why, case.as_curl_command()))

        with contextlib.suppress(hypothesis.errors.Unsatisfiable):  # Nothing does not fit it.
            ask()
        return found

    @staticmethod
    def _there(case: Case) -> dict[str, Any]:
        there = {"namespace": "default", "name": NAME}
        return {name: there[name] for name in case.path_parameters if name in there}

    def _wrong(self, case: Case) -> str:
        self.sent += 1
        try:
            response = case.call(self._base, session=self._session, **self._options)
        except requests.Timeout:
            return f"no answer in {ANSWERS_S} s"
        except requests.RequestException as error:
            return f"no answer: {error}"
        code = response.status_code
        self.answers[code] = self.answers.get(code, 0) + 1
        if code >= 500 and not is_wrong(code, response.text):
            return ""
        try:
            case.validate_response(response, checks=list(CHECKS))
        except (Failure, FailureGroup) as failure:
            return str(failure)
        return ""
