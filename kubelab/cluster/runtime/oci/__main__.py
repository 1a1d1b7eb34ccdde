"""`kubelab oci` as a program: with nothing but the standard library, for its callers start it often.

It can be executed by its path with `python -I -S`, and does so itself where it enters containers: see
`linux.own_executable`.
"""
# ruff: noqa: PTH100

import os
import sys

if __name__ == "__main__":
    # Behind the standard library: where the lab is installed there may be anything.
    sys.path.append(os.path.abspath(os.path.join(os.path.dirname(__file__), *[os.pardir] * 4)))

from kubelab.cluster.runtime.oci.commands import PROGRAM, main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], PROGRAM))
