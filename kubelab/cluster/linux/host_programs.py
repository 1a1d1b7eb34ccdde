"""Programs of this host, on the PATH or beside this Python's own, for the lab to put on its machines."""

import os
import shutil
import sys
from pathlib import Path


def find_program(name: str) -> Path | None:
    """Return the program's own file, whatever links lead there; None if there is none."""
    path = f"{os.environ.get('PATH', os.defpath)}{os.pathsep}{Path(sys.executable).parent}"
    found = shutil.which(name, path=path)
    return Path(found).resolve() if found else None
