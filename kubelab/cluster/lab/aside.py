"""What a restored store has taken the place of: kept beside it, named .before, for whoever thinks better of
it. Only the newest one is kept, until the next restoration or `kubelab clean`.
"""

import shutil
from pathlib import Path

from kubelab.cluster.lab.directory import LabDirectory
from kubelab.cluster.store.segment import disk_errors

SUFFIX = ".before"


def put_aside(path: Path) -> None:
    """Rename what is at *path*, in place of what was put aside there earlier. Raises LabError."""
    with disk_errors(path):
        for earlier in path.parent.glob(f"{path.name}{SUFFIX}*"):
            shutil.rmtree(earlier)
        path.rename(path.with_name(path.name + SUFFIX))


def forget_aside(directory: LabDirectory) -> list[Path]:
    """Delete all that is put aside in the lab of *directory*; return what that was. Raises LabError."""
    found = sorted(directory.masters.glob(f"*/*{SUFFIX}*"))
    for path in found:
        with disk_errors(path):
            shutil.rmtree(path)
    return found
