"""Proofs as JUnit XML, for CI: a suite per lesson and language, a test case per step. Pure.

Source: the schema that Jenkins and GitLab read (junit-10.xsd); it has no standard of its own.
"""

import re
from collections.abc import Iterable
from xml.etree import ElementTree

from kubelab.lessons.format import Lesson
from kubelab.lessons.proof import Failure, Proof

WHOLE = "(lesson)"  # The case of what failed outside the steps: clean-up, or the lesson as a whole.

_ILLEGAL = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, production 2.


def junit(proofs: Iterable[tuple[Lesson, Proof]]) -> str:
    suites = [_suite(lesson, proof) for lesson, proof in proofs]
    root = ElementTree.Element("testsuites", _totals(suites), name="kubelab lesson test")
    root.extend(suites)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _suite(lesson: Lesson, proof: Proof) -> ElementTree.Element:
    name = f"{proof.lesson_id} [{proof.language}]"
    cases = [_case(name, step.id, proof) for step in lesson.steps]
    if proof.failure is not None and not proof.failure.step:
        cases.append(_failed(_element(name, WHOLE, 0.0), proof.failure, proof))
    suite = ElementTree.Element(
        "testsuite",
        name=name,
        tests=str(len(cases)),
        failures=_count(cases, "failure"),
        errors="0",
        skipped=_count(cases, "skipped"),
        time=f"{proof.duration_s:.3f}",
    )
    suite.extend(cases)
    return suite


def _case(suite: str, step: str, proof: Proof) -> ElementTree.Element:
    case = _element(suite, step, proof.durations_s.get(step, 0.0))
    if proof.failure is not None and proof.failure.step == step:
        return _failed(case, proof.failure, proof)
    if step not in proof.durations_s:
        ElementTree.SubElement(case, "skipped", message="not reached")
    return case


def _element(suite: str, name: str, duration_s: float) -> ElementTree.Element:
    return ElementTree.Element("testcase", classname=suite, name=name, time=f"{duration_s:.3f}")


def _failed(case: ElementTree.Element, failure: Failure, proof: Proof) -> ElementTree.Element:
    sentence = _ILLEGAL.sub("�", failure.sentence.in_(proof.language))
    ElementTree.SubElement(case, "failure", message=sentence).text = sentence
    return case


def _count(cases: Iterable[ElementTree.Element], outcome: str) -> str:
    return str(sum(case.find(outcome) is not None for case in cases))


def _totals(suites: list[ElementTree.Element]) -> dict[str, str]:
    counts = {
        name: str(sum(int(suite.get(name, "0")) for suite in suites))
        for name in ("tests", "failures", "errors", "skipped")
    }
    return counts | {"time": f"{sum(float(suite.get('time', '0')) for suite in suites):.3f}"}
