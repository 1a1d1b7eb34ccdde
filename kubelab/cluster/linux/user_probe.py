"""Whose lab this is: root's, or an ordinary user's in a user namespace; and what keeps the latter from it.

Source: user_namespaces(7); Documentation/admin-guide/sysctl/user.rst; Debian on unprivileged_userns_clone;
Ubuntu's security note on kernel.apparmor_restrict_unprivileged_userns (23.10); newuidmap(1).
"""

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from kubelab.cluster.linux import apparmor, user_namespace
from kubelab.cluster.linux.capability import MEND_ROOT, Capability, absent, present
from kubelab.language import Text

TIMEOUT_S = 5.0
# The second program of each uses the rights that a namespace may come without.
UNSHARE = ("/usr/bin/unshare", "--user", "--map-root-user", "/usr/bin/unshare", "--uts", "true")
OURS = (sys.executable, "-c", f"from {user_namespace.__name__} import try_to_enter; try_to_enter()")


@dataclass(frozen=True, slots=True)
class Guard:
    """A setting that keeps ordinary users from making user namespaces when it has this value."""

    sysctl: str
    forbids: str
    allows: str
    reason: Text

    @property
    def path(self) -> str:
        return f"/proc/sys/{self.sysctl.replace('.', '/')}"

    @property
    def mend(self) -> str:
        return f"sudo sysctl -w {self.sysctl}={self.allows}"


def guard(read: Callable[[str], str]) -> Guard | None:
    """Return what stands in the way, if any; *read* gives a file's text, or nothing."""
    return next((each for each in GUARDS if read(each.path).strip() == each.forbids), None)


def probe_users() -> tuple[Capability, ...]:
    return (_root(), _host_root(), _user_namespace(), _other_users())


def _root() -> Capability:
    if os.geteuid() != 0:
        return absent("root", _NOT_ROOT, MEND_ROOT)
    if not user_namespace.is_nested():
        return present("root", _IS_ROOT)
    outside = user_namespace.current().users[0].outside
    return present("root", _IS_NESTED_ROOT.format(uid=outside))


def _host_root() -> Capability:
    if user_namespace.is_host_root():
        return present("host-root", _IS_ROOT)
    return absent("host-root", _NOT_HOST_ROOT, MEND_ROOT)


def _user_namespace() -> Capability:
    """Some programs may be allowed what others are not: what counts is whether it works. A rootless lab
    would be this one's, a lesson's namespace is unshare(1)'s."""
    if _works(UNSHARE if os.geteuid() == 0 else OURS):
        return present("namespace.user", _WORKS)
    if found := guard(apparmor.read):
        return absent("namespace.user", found.reason, Text(found.mend, found.mend))
    return absent("namespace.user", _REFUSED, apparmor.mend(errno.EPERM) or _MEND_REFUSED)


def _works(command: Sequence[str]) -> bool:
    """A process with threads may not unshare its user namespace: let another one."""
    quiet = subprocess.DEVNULL
    try:
        done = subprocess.run(
            command, stdin=quiet, stdout=quiet, stderr=quiet, timeout=TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _other_users() -> Capability:
    """Root has all users; in a user namespace they are those that were granted."""
    if os.geteuid() == 0 and user_namespace.current().has_other_users:
        return present("users", _HAS_USERS)
    reason, mend = next(_missing_for_users(), (_MAPPING_FAILED, MEND_ROOT))
    return absent("users", reason, mend)


def _missing_for_users() -> Iterator[tuple[Text, Text]]:
    if not (user_namespace.helper("newuidmap") and user_namespace.helper("newgidmap")):
        yield _NO_HELPERS, Text(*[_INSTALL_HELPERS] * 2)
    if not user_namespace.subordinate_maps().has_other_users:
        yield _NO_GRANT, Text(*[_GRANT] * 2)


GUARDS = (
    Guard(
        "kernel.unprivileged_userns_clone",
        forbids="0",
        allows="1",
        reason=Text(
            es="este kernel los reserva para root (kernel.unprivileged_userns_clone)",
            en="this kernel keeps them for root (kernel.unprivileged_userns_clone)",
        ),
    ),
    Guard(
        "user.max_user_namespaces",
        forbids="0",
        allows="10000",
        reason=Text(
            es="el kernel no permite ninguno (user.max_user_namespaces)",
            en="the kernel allows none (user.max_user_namespaces)",
        ),
    ),
    Guard(
        "kernel.apparmor_restrict_unprivileged_userns",
        forbids="1",
        allows="0",
        reason=Text(
            es="AppArmor no da derechos en ellos a un usuario corriente "
            "(kernel.apparmor_restrict_unprivileged_userns)",
            en="AppArmor gives an ordinary user no rights in them "
            "(kernel.apparmor_restrict_unprivileged_userns)",
        ),
    ),
)
_IS_ROOT = Text(es="se ejecuta como root", en="runs as root")
_NOT_ROOT = Text(es="se ejecuta como un usuario corriente", en="runs as an ordinary user")
_IS_NESTED_ROOT = Text(
    es="sin root: el usuario {uid} es root en un espacio de nombres propio",
    en="rootless: user {uid} is root of a user namespace of its own",
)
_NOT_HOST_ROOT = Text(
    es="sin root: no hay dispositivos ni ajustes del kernel",
    en="rootless: there are no devices and no settings of the kernel",
)
_WORKS = Text(es="probado: funciona", en="tried: works")
_REFUSED = Text(es="probado: el kernel lo rechaza", en="tried: the kernel refuses it")
_MEND_REFUSED = Text(
    es="el contenedor en que estás no lo permite: usa sudo, o un equipo o una máquina virtual propios",
    en="the container that you are in does not allow it: use sudo, or a host or a VM of your own",
)
_HAS_USERS = Text(es="los programas pueden ser de varios usuarios", en="programs can be of several users")
_NO_HELPERS = Text(
    es="un solo usuario: faltan los programas newuidmap y newgidmap",
    en="a single user: the programs newuidmap and newgidmap are not there",
)
_INSTALL_HELPERS = "sudo apt-get install -y uidmap"
_NO_GRANT = Text(
    es="un solo usuario: /etc/subuid y /etc/subgid no te dan otros",
    en="a single user: /etc/subuid and /etc/subgid grant you no others",
)
_GRANT = 'sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 "$USER"'
_MAPPING_FAILED = Text(
    es="un solo usuario: newuidmap no pudo asignar los de /etc/subuid",
    en="a single user: newuidmap could not map those of /etc/subuid",
)
