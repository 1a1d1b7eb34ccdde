"""Another process in a container: `kubelab oci exec`.

Source: runc, exec.go, utils_linux.go; the process is the container's own with what the options change.
"""

import contextlib
import os
import socket
from dataclasses import dataclass, replace

from kubelab.cluster.linux import syscalls
from kubelab.cluster.runtime import container_exec
from kubelab.cluster.runtime.config import Capabilities, Config, Process, User, parse_process
from kubelab.cluster.runtime.execution import run_child
from kubelab.cluster.runtime.oci.arguments import Options, UsageError
from kubelab.cluster.runtime.oci.bundle import read_json
from kubelab.cluster.runtime.oci.container_state import Container
from kubelab.cluster.runtime.oci.creation import error_of


@dataclass(frozen=True, slots=True)
class Executed:
    pid: int
    pidfd: int


def process_of(config: Config, options: Options, command: tuple[str, ...]) -> Process:
    """Return the process that the command line asks for.

    Raises:
        UsageError, ConfigError: it asks for none.
    """
    if path := options.values.get("process"):
        return parse_process(read_json(path))
    if config.process is None or not command:
        raise UsageError("exec needs a command, or --process")
    own = config.process
    process = replace(
        own,
        args=command,
        env=(*own.env, *options.lists.get("env", ())),
        cwd=options.values.get("cwd", own.cwd),
        terminal="tty" in options.flags,
        user=_user(own.user, options),
        no_new_privileges=own.no_new_privileges or "no-new-privs" in options.flags,
        apparmor_profile=options.values.get("apparmor", own.apparmor_profile),
        selinux_label=options.values.get("process-label", own.selinux_label),
    )
    added = frozenset(name.removeprefix("CAP_") for name in options.lists.get("cap", ()))
    return replace(process, capabilities=_with(own.capabilities, added)) if added else process


def _user(own: User, options: Options) -> User:
    groups = tuple(int(each) for each in options.lists.get("additional-gids", ()))
    user = replace(own, additional_gids=(*own.additional_gids, *groups))
    wanted = options.values.get("user")
    return replace(user, name=wanted) if wanted else user


def _with(own: Capabilities | None, added: frozenset[str]) -> Capabilities | None:
    if own is None:
        return None
    return Capabilities(
        own.bounding | added,
        own.effective | added,
        own.permitted | added,
        own.inheritable,
        own.ambient,
    )


def execute(
    container: Container, config: Config, process: Process, options: Options, console_fd: int
) -> Executed:
    """Start the process in the container; return when its command runs.

    Raises:
        LabError: it cannot.
    """
    pidfd = os.pidfd_open(container.pid)
    ours, theirs = socket.socketpair()
    with ours, theirs, container_exec.start_flags(pidfd) as flags, contextlib.ExitStack() as meanwhile:
        meanwhile.callback(os.close, pidfd)
        cgroup = container.cgroup
        for name in options.lists.get("cgroup", ()):
            cgroup = cgroup.below(name.rpartition(":")[2].strip("/"))
        enter = container_exec.Enter(
            pidfd=pidfd,
            process=process,
            cgroup=cgroup,
            streams=(0, 1, 2),
            console_fd=console_fd,
            seccomp=config.seccomp,
            preserved_fds=options.number("preserve-fds"),
            keyring=container.id,
        )
        cgroup_fd = cgroup.open_v2()
        if cgroup_fd >= 0:
            meanwhile.callback(os.close, cgroup_fd)
        pid, child_pidfd = syscalls.clone(flags, cgroup_fd)
        if pid == 0:
            ours.close()
            run_child(theirs.fileno(), lambda: container_exec.run(enter))
        theirs.close()
        _await_command(ours, pid, child_pidfd)
    return Executed(pid, child_pidfd)


def _await_command(link: socket.socket, pid: int, pidfd: int) -> None:
    """The end of the stream is the command's begin."""
    import json

    report = b""
    while chunk := link.recv(4096):
        report += chunk
    if report:
        os.waitpid(pid, 0)
        os.close(pidfd)
        raise error_of(json.loads(report))
