"""A report that CI reads: a case per step, the failing one with its sentence, later ones as not reached."""

from xml.etree import ElementTree

from lesson_files import source

from kubelab.language import Text
from kubelab.lessons.junit import WHOLE, junit
from kubelab.lessons.parse import parse_lesson
from kubelab.lessons.proof import Failure, Proof

LESSON = parse_lesson(source())
SENTENCE = Text("no basta: \x1b[31m<&>", "not enough: \x1b[31m<&>")


def proof(failure: Failure | None = None, **durations_s: float) -> Proof:
    return Proof("demo/01-sleep", "en", 3.0, failure, durations_s)


def cases(*proofs: Proof) -> tuple[ElementTree.Element, dict[str, ElementTree.Element]]:
    root = ElementTree.fromstring(junit([(LESSON, proof) for proof in proofs]))
    return root, {case.attrib["name"]: case for case in root.iter("testcase")}


def test_each_step_is_a_case_with_its_time() -> None:
    root, by_name = cases(proof(one=1.25, two=0.5))
    assert {name: case.attrib["time"] for name, case in by_name.items()} == {"one": "1.250", "two": "0.500"}
    assert (root.attrib["tests"], root.attrib["failures"], root.attrib["skipped"]) == ("2", "0", "0")
    assert by_name["one"].attrib["classname"] == "demo/01-sleep [en]"


def test_the_failing_step_says_why_and_later_ones_were_not_reached() -> None:
    root, by_name = cases(proof(Failure("one", SENTENCE), one=1.0))
    failure = by_name["one"].find("failure")
    assert failure is not None
    assert failure.attrib["message"] == "not enough: �[31m<&>"
    assert by_name["two"].find("skipped") is not None
    assert (root.attrib["failures"], root.attrib["skipped"]) == ("1", "1")


def test_what_fails_outside_the_steps_is_a_case_of_its_own() -> None:
    root, by_name = cases(proof(Failure("", SENTENCE), one=1.0, two=1.0))
    assert by_name[WHOLE].find("failure") is not None
    assert root.attrib["failures"] == "1"


def test_every_language_of_a_lesson_is_a_suite() -> None:
    spanish = Proof("demo/01-sleep", "es", 1.0, None, {"one": 1.0, "two": 1.0})
    root, _ = cases(proof(one=1.0, two=1.0), spanish)
    assert [suite.attrib["name"] for suite in root] == ["demo/01-sleep [en]", "demo/01-sleep [es]"]
