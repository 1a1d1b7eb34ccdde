"""`api-request`: what reached the API server since the step began, over records of its request log."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from observed import check

from kubelab.cluster.apiserver.request_log import RequestLog, RequestRecord
from kubelab.language import Text
from kubelab.lessons import answering
from kubelab.lessons.checks import Finding, Scope, judge
from kubelab.lessons.checks.api_request import ApiRequests
from kubelab.lessons.observation import Observation, Unseen
from kubelab.lessons.view import Verdict

RECORD = RequestRecord(
    id="0",
    stage="ResponseComplete",
    received=datetime(2026, 1, 2, tzinfo=UTC),
    duration_s=0.004,
    verb="watch",
    uri="/api/v1/namespaces/shop/configmaps?watch=1&resourceVersion=40",
    group="",
    version="v1",
    resource="configmaps",
    subresource="",
    namespace="shop",
    name="one",
    user="ana",
    groups=(),
    impersonated="",
    user_agent="kubectl",
    source="10.89.0.1",
    code=200,
    revision=43,
)


class Step:
    def __init__(self, keys: str = "") -> None:
        self.check = check(f"{{api-request: watch, resource: configmaps{keys}}}")
        self.scope = Scope("minion-1")

    def sees(self, *records: RequestRecord) -> Finding:
        answers = {ApiRequests("watch", "configmaps"): records}
        return judge(self.check, Observation(answers=answers), self.scope)


def test_what_came_before_the_step_does_not_count() -> None:
    step = Step()
    assert step.sees(RECORD).verdict is Verdict.NOT_YET
    finding = step.sees(RECORD, replace(RECORD, id="1"))
    assert finding.passed
    assert finding.observed.en == f"1 came (watch {RECORD.uri}: 200)"


def test_a_request_counts_once_though_it_is_told_at_its_begin_and_its_end() -> None:
    step = Step(", ge: 2")
    step.sees()
    began = replace(RECORD, stage="ResponseStarted")
    assert not step.sees(began).passed
    assert not step.sees(began, RECORD).passed
    assert step.sees(began, RECORD, replace(RECORD, id="1")).passed


def test_those_that_the_log_has_forgotten_still_count() -> None:
    step = Step(", ge: 2")
    step.sees()
    step.sees(RECORD)
    assert step.sees(replace(RECORD, id="1")).passed


@pytest.mark.parametrize(
    ("keys", "passes"),
    [
        (", name: one", True),
        (", name: two", False),
        (", namespace: shop", True),
        (", namespace: default", False),
        (", code: 200", True),
        (", code: 410", False),
        (", query: {resourceVersion: '40'}", True),
        (", query: {resourceVersion: '41'}", False),
        (", query: {resourceVersion: '*'}", True),
        (", query: {resourceVersion: ''}", False),
        (", query: {dryRun: ''}", True),
        (", query: {dryRun: '*'}", False),
        (", behind: 3", True),
        (", behind: 4", False),
    ],
)
def test_every_key_must_hold(keys: str, passes: bool) -> None:
    step = Step(keys)
    step.sees()
    assert step.sees(RECORD).passed is passes


def test_a_watch_that_names_no_revision_is_not_behind() -> None:
    step = Step(", behind: 1")
    step.sees()
    for number, version in enumerate(("", "&resourceVersion=0")):
        begun = replace(RECORD, id=str(number), uri=f"/api/v1/configmaps?watch=1{version}")
        assert not step.sees(begun).passed


def test_it_says_what_it_waits_for() -> None:
    step = Step(", name: one, code: 409, query: {dryRun: '', fieldManager: me}, behind: 2, ge: 2")
    finding = step.sees()
    assert finding.expected.en == (
        "a request has reached the API server: `watch configmaps/one`, answered 409, without dryRun, with "
        "fieldManager=me, from at least 2 revisions back; how many: at least 2"
    )


def test_where_requests_cannot_be_seen_it_cannot_be_checked() -> None:
    blind = Observation(answers={ApiRequests("watch", "configmaps"): Unseen(Text("ciego", "blind"))})
    assert judge(Step().check, blind, Scope("minion-1")).verdict is Verdict.CANNOT_CHECK


def test_the_log_is_asked_for_what_people_did() -> None:
    class Lab:
        def requests(self) -> RequestLog:
            log = RequestLog()
            log.add(RECORD)
            log.add(replace(RECORD, user="system:node:minion-1"))
            log.add(replace(RECORD, verb="list"))
            log.add(replace(RECORD, resource="pods"))
            return log

    assert answering.look(ApiRequests("watch", "configmaps"), Lab()) == (RECORD,)  # type: ignore[arg-type]
