"""The rest of kubectl's golden suite: verbs that show what really happens, on a lab where it does.

What upstream prints is in `live.kubectl`; `--golden-record` writes there what was printed.
"""

import os
import subprocess
from pathlib import Path

import pytest
import transcript
from stream_lab import TIMEOUT_S, Kubectl

from kubelab.cluster.apiserver import bundled_kubectl

pytestmark = pytest.mark.root
LIVE = Path(__file__).with_name("live.kubectl")


def test_kubectl_prints_what_upstream_prints_of_what_happens(
    any_kubectl: Kubectl, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    (tmp_path / "kubectl").symlink_to(bundled_kubectl.path())
    environment = any_kubectl.environment | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}

    def printed(command: str) -> str:
        done = subprocess.run(
            ["bash", "-c", command],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=TIMEOUT_S * 2,
        )
        return done.stdout.decode()

    exchanges = [(each, printed(each.command)) for each in transcript.read(LIVE).exchanges]
    if request.config.getoption("--golden-record"):
        transcript.record(LIVE, exchanges)
    wrong = transcript.differences(LIVE, exchanges)
    assert not wrong, "\n".join(["", *wrong])
