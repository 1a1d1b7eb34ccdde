"""What the lab's machines have that a person uses: the genuine kubectl, and `kubelab` itself; etcdctl and
etcdutl, if this host has them."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from kubelab.cli.kubectl import kubectl_path
from kubelab.cluster.linux.host_programs import find_program

if TYPE_CHECKING:
    from kubelab.cluster.lab.config import LabConfig


def equipped(config: "LabConfig") -> "LabConfig":
    """Return *config* with the programs for the machines.

    Raises:
        LabError: somebody has removed one.
    """
    command = (sys.executable, "-m", "kubelab")
    return replace(config, programs={"kubectl": kubectl_path(), **_etcd_tools()}, command=command)


def _etcd_tools() -> dict[str, Path]:
    found = {name: find_program(name) for name in ("etcdctl", "etcdutl")}
    return {name: path for name, path in found.items() if path}
