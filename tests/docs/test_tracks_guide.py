"""What docs/tracks.md tells authors and learners to type works, from its first line to its last."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from kubelab.lessons.privileges import PRIVILEGES

GUIDE = (Path(__file__).parents[2] / "docs/tracks.md").read_text()


@pytest.mark.root
@pytest.mark.timeout(120)
def test_its_commands_in_their_order(tmp_path: Path) -> None:
    blocks = re.findall(r"```console\n(.*?)```", GUIDE, re.DOTALL)
    script = "set -ex\n" + "".join(blocks).replace("sudo ", "")
    who = {f"GIT_{role}_{what}": "x@y" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KUBELAB")} | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "KUBELAB_LANG": "en",
        "XDG_DATA_HOME": str(tmp_path / "data"),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "GIT_CONFIG_GLOBAL": os.devnull,
    }
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env=environment | who,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert "2 passed, 0 failed" in done.stdout
    assert "it stays" in done.stdout
    assert done.stdout.count("✓ puzzles is installed") == 2


def test_it_explains_every_privilege() -> None:
    assert tuple(re.findall(r"^\| `([\w-]+)` \|", GUIDE, re.MULTILINE)) == PRIVILEGES
