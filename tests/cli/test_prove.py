"""`kubelab lesson test` as it is typed: labs side by side, a report for CI, the count as the last line."""

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pexpect
import pytest

from kubelab.lessons.skeleton import create


def prove(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kubelab", "lesson", "test", *arguments],
        env={**os.environ, "KUBELAB_LESSONS": str(place), "KUBELAB_LANG": "en"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=55,
    )


@pytest.mark.root
def test_labs_side_by_side_prove_every_lesson_in_every_language(tmp_path: Path) -> None:
    create(tmp_path, "demo/01-good")
    create(tmp_path, "demo/02-bad")
    bad = tmp_path / "demo/02-bad/es.md"
    bad.write_text(bad.read_text().replace("do: [sleep 7 &]", "do: [sleep $SECS &]"))
    report = tmp_path / "report.xml"
    done = prove(tmp_path, "--jobs", "2", "--limit", "50", "--junit", str(report))
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "2 passed, 2 failed"
    assert "✗ demo/02-bad [en] begin: the wrong attempt “too-short” passes" in done.stdout
    assert "… starting the lab\n" in done.stderr
    assert done.stderr.count("… demo/") == 4
    names = {
        (case.attrib["classname"], case.attrib["name"]): case.find("failure") is not None
        for case in ElementTree.parse(report).iter("testcase")
    }
    assert names == {
        (f"demo/{lesson} [{language}]", "begin"): lesson == "02-bad"
        for lesson in ("01-good", "02-bad")
        for language in ("es", "en")
    }


def test_a_lesson_that_there_is_not_is_told_before_a_lab_starts(tmp_path: Path) -> None:
    create(tmp_path, "demo/01-good")
    done = prove(tmp_path, "demo/01-god")
    assert done.returncode == 1
    assert "there is no lesson “demo/01-god”; did you mean “demo/01-good”?" in done.stderr


def test_a_report_that_cannot_be_written_is_told_before_a_lab_starts(tmp_path: Path) -> None:
    done = prove(tmp_path, "--junit", str(tmp_path / "no" / "report.xml"))
    assert done.returncode == 1
    assert "report.xml cannot be written (No such file or directory)" in done.stderr


@pytest.mark.root
def test_on_a_terminal_a_line_tells_the_step_at_hand_and_ctrl_c_leaves_nothing(
    tmp_path: Path, short_path: Path
) -> None:
    create(tmp_path / "lessons", "demo/01-good")
    changed = {"KUBELAB_LESSONS": str(tmp_path / "lessons"), "KUBELAB_LANG": "en", "TERM": "xterm"}
    child = pexpect.spawn(
        sys.executable,
        ["-m", "kubelab", "lesson", "test", "--jobs", "2"],
        env={**os.environ, **changed, "TMPDIR": str(short_path)},
        dimensions=(24, 100),
        timeout=50,
    )
    child.expect_exact("0/2  starting the lab")
    child.expect_exact("demo/01-good [es] begin")
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
    assert list(short_path.iterdir()) == []
