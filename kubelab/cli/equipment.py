"""What the lab's machines have that a person uses: the genuine kubectl, and `kubelab` itself; etcdctl and
etcdutl, if this host has them."""

import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
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
    return replace(config, programs={"kubectl": kubectl_path(), **_etcd_tools()}, command=command)


def _etcd_tools() -> dict[str, Path]:
    """Return those on the PATH or beside this Python's own programs."""
    path = f"{os.environ.get('PATH', os.defpath)}{os.pathsep}{Path(sys.executable).parent}"
    found = {name: shutil.which(name, path=path) for name in ("etcdctl", "etcdutl")}
    return {name: Path(program).resolve() for name, program in found.items() if program}
