"""What a third party's lesson does, it does on a machine of the lab: nothing of it reaches this host."""

from pathlib import Path

import pytest
from scratch_lab import ScratchLab
from test_track_installed import NOW
from tracks_for_tests import english as english

from kubelab.lessons.catalog import Catalog
from kubelab.lessons.format import Lesson
from kubelab.lessons.proof import prove
from kubelab.lessons.skeleton import create
from kubelab.lessons.thirdparty.fetching import fetch
from kubelab.lessons.thirdparty.installed import InstalledTracks, record_of
from kubelab.lessons.thirdparty.offer import look_over
from kubelab.lessons.thirdparty.source import Source

pytestmark = pytest.mark.root

TRACE = Path("/etc/kubelab-was-here")
EVIL = f"#!/bin/sh\ntouch {TRACE}-too\n"


def installed_lesson(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lesson:
    """Install a track whose lesson leaves traces when it is set up, cleaned up and solved."""
    create(tmp_path / "src", "puzzles/01-first")
    track = tmp_path / "src/puzzles"
    spanish, file = track / "01-first/es.md", track / "track.yaml"
    text = spanish.read_text()
    text = text.replace("steps:\n", f"files: things\ncleanup: ['touch {TRACE}']\nsteps:\n")
    text = text.replace("- id: begin\n", f"- id: begin\n  setup: ['touch {TRACE}; ./evil.sh']\n")
    spanish.write_text(text.replace("- sleep $SECS &\n", f"- test -e {TRACE}-too && sleep $SECS &\n"))
    (track / "01-first/files").mkdir()
    (track / "01-first/files/evil.sh").write_text(EVIL)
    file.write_text(file.read_text().replace("[root-shell]", "[root-shell, setup, executables]"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    installed = InstalledTracks.default()
    with installed.staging() as staging:
        offer = look_over(fetch(Source.parse(str(track)), staging, lambda elapsed_s: None), "")
        installed.install(offer, record_of(offer, NOW), staging)
    return Catalog.load().lesson("puzzles/01-first")


async def test_its_commands_run_on_the_machine_and_leave_nothing_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lab: ScratchLab
) -> None:
    lesson = installed_lesson(tmp_path, monkeypatch)
    proof = await prove(lesson, "en", lab)
    assert proof.passed, str(proof)
    assert not TRACE.exists()
    assert not Path(f"{TRACE}-too").exists()
