"""One thing that this host can do for the lab, or cannot, and why. See `probe`."""

from collections.abc import Callable
from dataclasses import dataclass

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux import apparmor
from kubelab.cluster.linux.namespaces import call_in_thread
from kubelab.language import Text


@dataclass(frozen=True, slots=True)
class Capability:
    """`name` as lessons' `needs` have it: root, namespace.pid, overlay, cgroup.memory, bridge, program.ip and
    so on. `reason` says what was found; `mend` what to do about it, empty if it is available."""

    name: str
    available: bool
    reason: Text
    mend: Text


def present(name: str, reason: Text) -> Capability:
    return Capability(name, available=True, reason=reason, mend=Text("", ""))


def absent(name: str, reason: Text, mend: Text) -> Capability:
    return Capability(name, available=False, reason=reason, mend=mend)


def tried(name: str, act: Callable[[], None], mend: Text) -> Capability:
    """Try *act* in a thread of its own, with which whatever it enters or gives up ends. What is refused to a
    program that AppArmor confines, that mends; else *mend* does."""
    try:
        call_in_thread(act)
    except KernelError as error:
        return absent(name, _REFUSED.format(error=error), apparmor.mend(error.errno) or mend)
    return present(name, _WORKS)


MEND_ROOT = Text(es="ejecútalo con sudo", en="run it with sudo")
_WORKS = Text(es="probado: funciona", en="tried: works")
_REFUSED = Text(es="probado: el kernel lo rechaza: {error}", en="tried: the kernel refuses it: {error}")
