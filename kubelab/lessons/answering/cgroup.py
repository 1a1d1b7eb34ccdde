"""Answers `CgroupFile`: reads a cgroup's file, whichever version its controller is mounted as.

Source: see `kubelab.cluster.linux.cgroups`. It is read on the host, so whatever a learner mounts over
/sys/fs/cgroup blinds only the learner; the paths that are told are those on the machine.
"""

import errno
from pathlib import Path

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux.cgroups import Cgroup, UnsupportedError
from kubelab.cluster.machine.namespaced import NamespacedMachine
from kubelab.language import Text
from kubelab.lessons.answering.answer import look
from kubelab.lessons.checks.cgroup_fields import CgroupFile, CgroupText
from kubelab.lessons.lab import LabPort
from kubelab.lessons.observation import Unseen


@look.register
def _(question: CgroupFile, lab: LabPort) -> CgroupText | Unseen:
    machine = lab.machines.get(question.machine)
    if not isinstance(machine, NamespacedMachine):
        name = question.machine
        return Unseen(Text(f"no hay máquina {name} con cgroups", f"there is no machine {name} with cgroups"))
    here, there = (tree.at(question.path) for tree in (machine.cgroups, machine.cgroups.as_seen_inside()))
    return read(question.file, here, there) if question.file else find(here, there)


def find(here: Cgroup, there: Cgroup) -> CgroupText | Unseen:
    """Tell whether the cgroup, which is *there* as the machine sees it, exists: with v1, in any hierarchy."""
    pairs = list(zip(here.directories, there.directories, strict=True))
    if not pairs:
        return Unseen(Text("este kernel no tiene cgroups", "this kernel has no cgroups"))
    found = (inside for outside, inside in pairs if Path(outside).is_dir())
    first = next(found, None)
    return CgroupText(first or pairs[0][1], None if first is None else "")


def read(name: str, here: Cgroup, there: Cgroup) -> CgroupText | Unseen:
    """Return what the file says of the cgroup, which is *there* as the machine sees it."""
    file = here.file(name)
    if file is None:
        controller = name.partition(".")[0]
        return Unseen(
            Text(
                f"en esta máquina no hay controlador {controller}, que tendría {name}",
                f"this machine has no {controller} controller, which would have {name}",
            )
        )
    seen = _inside(file, here, there)
    try:
        return CgroupText(seen, here.read(name))
    except KernelError as error:
        if error.errno in (errno.ENOENT, errno.ENODEV) and not Path(file).parent.is_dir():
            return CgroupText(seen, None)
        return Unseen(_unreadable(name, error))


def _inside(file: str, here: Cgroup, there: Cgroup) -> str:
    """Return the path of *file* as the machine has it."""
    directory = str(Path(file).parent)
    pairs = zip(here.directories, there.directories, strict=True)
    return next(f"{inside}/{Path(file).name}" for outside, inside in pairs if outside == directory)


def _unreadable(name: str, error: KernelError) -> Text:
    if not isinstance(error, UnsupportedError):
        return Text(f"no se puede leer {name} ({error})", f"cannot read {name} ({error})")
    return Text(
        f"los cgroups de esta máquina no tienen {name}: {error.why.es}",
        f"this machine's cgroups have no {name}: {error.why.en}",
    )
