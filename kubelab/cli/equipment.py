"""What the lab's machines have that a person uses: the genuine kubectl, and `kubelab` itself."""

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from kubelab.cli.kubectl import kubectl_path

if TYPE_CHECKING:
    from kubelab.cluster.lab.config import LabConfig


def equipped(config: "LabConfig") -> "LabConfig":
    """Return *config* with the programs for the machines.

    Raises:
        LabError: somebody has removed one.
    """
    command = (sys.executable, "-m", "kubelab")
    return replace(config, programs={"kubectl": kubectl_path()}, command=command)
