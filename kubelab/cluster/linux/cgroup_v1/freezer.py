"""freezer, which every cgroup of v2 has built in.

Source: Documentation/admin-guide/cgroup-v1/freezer-subsystem.rst.
Left out: telling a cgroup that was frozen itself from one that is frozen with the one above.
"""

from collections.abc import Mapping

from kubelab.cluster.linux.cgroup_v1.field import Field, Files, Writes, text

STATE, FROZEN = "freezer.state", "FROZEN"
_STATES = {"0": "THAWED", "1": FROZEN}


def _read(files: Files) -> str:
    """What is asked for, as v2 has it: a cgroup that is FREEZING has not got there yet."""
    return "0" if text(files, STATE) == "THAWED" else "1"


def _write(value: str, _: Files) -> Writes:
    if value not in _STATES:
        raise ValueError(value)
    return ((STATE, _STATES[value]),)


FIELDS: Mapping[str, Field] = {"cgroup.freeze": Field(STATE, _read, _write)}
