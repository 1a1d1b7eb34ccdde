"""The host's name as somebody sees it."""

import pytest
from observed import HOST, SCOPE, check, found, process

from kubelab.language import Text
from kubelab.lessons.checks import Measure
from kubelab.lessons.checks.hostname import HostnameIn
from kubelab.lessons.observation import MachineState, Observation, Unseen
from kubelab.lessons.view import Verdict

MACHINE, BASH = HostnameIn("minion-1"), HostnameIn("minion-1", 8, 50)
INSIDE = "{hostname: luna, of: {comm: bash}}"


def seen(machine: str, bash: str | Unseen) -> Observation:
    state = MachineState("minion-1", HOST, (process(8, "bash", namespaces={"uts": 50}),))
    return Observation({"minion-1": state}, answers={MACHINE: machine, BASH: bash})


@pytest.mark.parametrize(
    ("yaml", "verdict"),
    [
        (INSIDE, Verdict.PASSED),
        ("{hostname: minion-1, of: {comm: bash}}", Verdict.NOT_YET),
        ("hostname: minion-1", Verdict.PASSED),
        ("hostname: luna", Verdict.NOT_YET),
        ("{hostname: luna, of: {comm: zsh}}", Verdict.NOT_YET),
    ],
)
def test_the_name_is_that_of_who_asks(yaml: str, verdict: Verdict) -> None:
    assert found(yaml, seen("minion-1", "luna")).verdict is verdict


def test_what_is_seen_and_where_to_see_it_is_said() -> None:
    finding = found(INSIDE, seen("minion-1", "vega"))
    assert (finding.observed.en, finding.look) == ("it is vega", "nsenter -t 8 -u uname -n")


def test_a_name_that_cannot_be_seen_is_nobodys_mistake() -> None:
    finding = found(INSIDE, seen("minion-1", Unseen(Text("no se puede", "it cannot be entered"))))
    assert finding.verdict is Verdict.CANNOT_CHECK


def test_its_value_is_the_name() -> None:
    hostname = check(INSIDE)
    assert isinstance(hostname, Measure)
    assert hostname.value(seen("minion-1", "vega"), SCOPE) == "vega"
