"""Without sudo: the lab as an ordinary user, who is root in a user namespace and nowhere else.

`become_root` comes before anything starts a thread. What the lab is not given so is told by `kubelab doctor`.
Where the user's systemd gives out cgroups the command is executed anew in one, in the same process.
"""

import os
import sys

import click

from kubelab.cluster.errors import KernelError, LabError
from kubelab.cluster.linux import user_namespace
from kubelab.language import Text

# Set for the second execution, which is not to ask for a third.
IN_SCOPE = "KUBELAB_SCOPE"


def become_root(*, quiet: bool = False) -> None:
    """Let this process hold a lab, whoever runs it; say so in a line if that took a user namespace.

    Raises:
        LabError: this machine does not let an ordinary user, and what to do.
    """
    if os.geteuid() == 0:
        return
    _execute_in_scope()
    keep_place()
    _enter()
    if not quiet:
        click.echo(_ROOTLESS, err=True)


def own_files_of_others() -> None:
    """Let this process keep files of other users, as those of images, whoever runs it: a store that a lab
    fills, which is root in such a namespace, is otherwise not to be changed.

    Raises:
        LabError: see `become_root`.
    """
    if os.geteuid() != 0:
        _enter()


def _enter() -> None:
    try:
        user_namespace.enter()
    except KernelError as error:
        raise LabError(_REFUSED.format(error=error)) from error


def keep_place() -> None:
    """Let the lab's directory be this user's, whose id is about to change."""
    from kubelab.cluster.lab.directory import LabDirectory

    directory = LabDirectory.default()
    os.environ["KUBELAB_DIR"] = str(directory.path)
    os.environ["KUBELAB_STATE"] = str(directory.masters.parent)


def _execute_in_scope() -> None:
    """Run this command again in a delegated cgroup, if it is in none and there are such."""
    from kubelab.cluster.linux import delegation

    own = delegation.own_cgroup()
    if IN_SCOPE in os.environ or own is None or delegation.is_delegated(own):
        return
    if words := delegation.scope_command():
        sys.stdout.flush()
        sys.stderr.flush()
        command = [*words, sys.executable, "-m", "kubelab", *sys.argv[1:]]
        os.execve(words[0], command, {**os.environ, IN_SCOPE: "1"})  # noqa: S606 - it takes our place


_REFUSED = Text(
    es="Este equipo no deja que un usuario corriente tenga un laboratorio ({error}): `kubelab doctor` da la "
    "orden que lo remedia; o ejecuta `sudo kubelab`.",
    en="This machine does not let an ordinary user have a lab ({error}): `kubelab doctor` gives the command "
    "that mends it; or run `sudo kubelab`.",
)
_ROOTLESS = Text(
    es="Sin root: el laboratorio es de tu usuario; `kubelab doctor` dice qué más habría con sudo.",
    en="Rootless: the lab is your user's; `kubelab doctor` says what else there would be with sudo.",
)
