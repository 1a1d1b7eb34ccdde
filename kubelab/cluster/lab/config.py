"""What can be chosen about a lab before it starts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kubelab.cluster.lab.directory import LabDirectory


@dataclass(frozen=True, slots=True)
class LabConfig:
    """`port` is the API server's on 127.0.0.1, 0 for a free one. `programs`: what is put on every machine's
    PATH, name to path on the host; a program that is not there is left out. `command`: what the lab runs when
    `kubelab` is typed on a machine, none for no such thing (`errand`).

    Left out: more than one master.
    """

    minions: int = 2
    port: int = 0
    directory: LabDirectory = field(default_factory=LabDirectory.default)
    programs: Mapping[str, Path] = field(default_factory=dict)
    command: tuple[str, ...] = ()
