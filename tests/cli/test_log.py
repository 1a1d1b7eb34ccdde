"""What the lab noticed and got over is in a file, never on the learner's screen."""

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import logging
from kubelab.cli.log import log_to_file
log_to_file()
logging.getLogger("kubelab.test").warning("the cable was cut; trying again")
"""


def run_with_state_in(state: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={"XDG_STATE_HOME": str(state), "HOME": str(state)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )
    return done.stdout


def test_a_warning_goes_to_the_file_and_not_to_the_screen(tmp_path: Path) -> None:
    assert run_with_state_in(tmp_path) == ""
    (log,) = tmp_path.rglob("lab.log")
    assert log.read_text().endswith("WARNING kubelab.test: the cable was cut; trying again\n")


def test_without_a_place_for_the_file_the_lab_runs_all_the_same(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    assert run_with_state_in(in_the_way) == ""
