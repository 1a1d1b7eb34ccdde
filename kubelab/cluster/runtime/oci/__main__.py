"""`kubelab oci` as a program: with nothing but the standard library, for its callers start it often.

It can be executed by its path with `python -I -S`, and does so itself before it has a process of its own
enter a container: see `linux.own_executable`.
"""
# ruff: noqa: PTH100

import os
import sys
from collections.abc import Sequence

PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "__main__.py")

if __name__ == "__main__":
    # Behind the standard library: where the lab is installed there may be anything.
    sys.path.append(os.path.abspath(os.path.join(os.path.dirname(PROGRAM), *[os.pardir] * 4)))

_ENTERING = frozenset({"create", "run", "exec"})


def run(argv: Sequence[str]) -> int:
    """Do what *argv* asks for; return the exit code."""
    if _ENTERING.intersection(argv):
        from kubelab.cluster.linux import own_executable

        own_executable.protect(("-I", "-S", PROGRAM, *argv))
    from kubelab.cluster.runtime.oci.commands import main

    return main(argv)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
