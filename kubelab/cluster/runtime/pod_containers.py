"""The containers of a machine's pods: started, executed in, attached to, updated, paused, measured.

Source: containerd, internal/cri/server (container_start.go, container_execsync.go, container_attach.go,
container_update_resources_linux.go, container_stats_list.go), whose shims do this part.
"""

import errno
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux import seccomp_profile
from kubelab.cluster.linux.cgroup_freezer import freeze, thaw
from kubelab.cluster.linux.cgroups import Cgroup
from kubelab.cluster.runtime import (
    config,
    container,
    container_exec,
    container_namespaces,
    container_program,
    pod_messages,
    pod_volumes,
    terminal,
)
from kubelab.cluster.runtime.answers import Answer, Method, Params, started
from kubelab.cluster.runtime.children import Child, Children, Told, end, leave_cgroup, limit, start
from kubelab.cluster.runtime.container_root import Rootfs
from kubelab.cluster.runtime.log_file import LogFile
from kubelab.cluster.runtime.machine_init import MachineInit
from kubelab.cluster.runtime.output import Output
from kubelab.cluster.runtime.pod_sandboxes import PodSandboxes, shm_of
from kubelab.cluster.runtime.poller import Poller

FREEZE_TIMEOUT_S = 1.0
STATISTICS = ("cpu.stat", "memory.current", "memory.stat", "memory.max", "pids.current", "io.stat")


@dataclass(frozen=True, slots=True)
class Running:
    """`sub_paths` are mounted for it on the machine as long as it lives, and `message_file` is there."""

    config: config.Config
    pidfd: int
    cgroup: Cgroup
    output: Output
    sub_paths: tuple[str, ...]
    message_file: str


class PodContainers:
    def __init__(
        self,
        machine: MachineInit,
        sandboxes: PodSandboxes,
        children: Children,
        poller: Poller,
        tell: Callable[[dict[str, object]], None],
    ) -> None:
        self._machine = machine
        self._sandboxes = sandboxes
        self._children = children
        self._poller = poller
        self._tell = tell
        self._running: dict[str, Running] = {}

    def methods(self) -> dict[str, Method]:
        return {
            "set_up_volumes": self.set_up_volumes,
            "start_container": self.start,
            "exec": self.exec,
            "attach": self.attach,
            "update_container": self.update,
            "pause_container": self.pause,
            "resume_container": self.resume,
            "reopen_log": self.reopen_log,
            "statistics": self.statistics,
        }

    def set_up_volumes(self, params: Params, fds: tuple[int, ...]) -> Answer:
        for volume in params["volumes"]:
            pod_volumes.set_up(volume)
        return Answer()

    def start(self, params: Params, fds: tuple[int, ...]) -> Answer:
        """Start a container; its terminal, or the write end of its standard input, is handed over."""
        id_, uid = params["id"], params["uid"]
        described = config.parse_text(params["config"])
        description = config.with_command(described, params["args"], params["env"])
        container.check(description)
        if description.seccomp:
            # Compiled here it is remembered; each child would do it anew, which takes longer than all else.
            seccomp_profile.program(description.seccomp)
        sandbox = self._sandboxes.get(uid)
        other = params["processes_of"]
        processes_pidfd = self._get(other).pidfd if other else sandbox.pidfd
        cgroup = self._sandboxes.cgroup(uid, id_)
        log_fd, layers_fd = fds if len(fds) > 1 else (fds[0], -1)
        with ExitStack() as undo, _Ends() as ends:
            log = LogFile(os.dup(log_fd), params["log_bytes_max"], lambda: self._log_is_full(id_))
            output = Output(log, self._poller)
            undo.callback(output.discard)
            undo.callback(cgroup.remove)
            cgroup.create()
            limit(cgroup, params["limits"])
            if message_file := params["message_file"]:
                undo.callback(pod_messages.take, message_file)
                pod_messages.lay_out(message_file)
            for volume, sub_path, target in params["sub_paths"]:
                undo.callback(pod_volumes.unbind, target)
                pod_volumes.bind_sub_path(volume, sub_path, target)
            streams, console = _open_streams(description, params["stdin"], output, ends)
            start_ = container.Start(
                config=description,
                rootfs=Rootfs(tuple(params["lowers"]), layers_fd, self._machine.disk_bytes),
                cgroup=cgroup,
                cgroup_view=self._machine.cgroups,
                sandbox_pidfd=sandbox.pidfd,
                files=params["files"],
                shm=shm_of(uid),
                streams=streams,
                console_fd=console.theirs if console else -1,
            )
            with container_namespaces.start_flags(description, processes_pidfd) as flags:
                pid, pidfd = container_program.start(start_, flags) or start(
                    flags, lambda: container.run(start_), cgroup
                )
            undo.callback(end, pid, pidfd)
            if console:
                output.add(os.dup(ends.give(console.receive())))
            undo.pop_all()
            handed_over = ends.hand_over()
        output.watch()
        sub_paths = tuple(target for _, _, target in params["sub_paths"])
        self._running[id_] = Running(description, pidfd, cgroup, output, sub_paths, message_file)
        self._children.add(Child(pid, pidfd, lambda: self._ended(id_)))
        return started(pid, pidfd, handed_over)

    def exec(self, params: Params, fds: tuple[int, ...]) -> Answer:
        """Start another process in a container, as its first one was; its terminal is handed over."""
        running = self._get(params["id"])
        first = running.config.process
        assert first is not None
        size = params["terminal"]
        process = replace(
            first,
            args=tuple(params["command"]),
            terminal=size is not None,
            console_size=(size["rows"], size["columns"]) if size else None,
        )
        with ExitStack() as undo, _Ends() as ends:
            console = _Console.opened(ends) if size else None
            enter = container_exec.Enter(
                pidfd=running.pidfd,
                process=process,
                cgroup=running.cgroup,
                streams=_given_streams(params, fds),
                console_fd=console.theirs if console else -1,
                seccomp=running.config.seccomp,
            )
            with container_exec.start_flags(running.pidfd) as flags:
                pid, pidfd = start(flags, lambda: container_exec.run(enter), running.cgroup)
            undo.callback(end, pid, pidfd)
            if console:
                ends.give(console.receive())
            undo.pop_all()
            handed_over = ends.hand_over()
        self._children.add(Child(pid, pidfd))
        return started(pid, pidfd, handed_over)

    def attach(self, params: Params, fds: tuple[int, ...]) -> Answer:
        """Copy to the descriptors all that the container writes from now on to the named streams."""
        running = self._get(params["id"])
        for name, fd in zip(params["streams"], fds, strict=True):
            running.output.attach(name, os.dup(fd))
        return Answer()

    def update(self, params: Params, fds: tuple[int, ...]) -> Answer:
        limit(self._get(params["id"]).cgroup, params["limits"])
        return Answer()

    def pause(self, params: Params, fds: tuple[int, ...]) -> Answer:
        """Answer when all of the container stands still."""
        freeze(self._get(params["id"]).cgroup, FREEZE_TIMEOUT_S)
        return Answer()

    def resume(self, params: Params, fds: tuple[int, ...]) -> Answer:
        thaw(self._get(params["id"]).cgroup, FREEZE_TIMEOUT_S)
        return Answer()

    def reopen_log(self, params: Params, fds: tuple[int, ...]) -> Answer:
        self._get(params["id"]).output.log.reopen(os.dup(fds[0]))
        return Answer()

    def statistics(self, params: Params, fds: tuple[int, ...]) -> Answer:
        """Answer the texts of the cgroups' files, of the pods (by uid), of the containers (by id) and of all
        the machine."""
        return Answer(
            {
                "pods": {uid: _statistics_of(self._sandboxes.cgroup(uid)) for uid in self._sandboxes.uids()},
                "containers": {id_: _statistics_of(each.cgroup) for id_, each in self._running.items()},
                "machine": _statistics_of(self._machine.cgroups.at("")),
            }
        )

    def _get(self, id_: str) -> Running:
        """Raises KernelError: it has ended."""
        if id_ not in self._running:
            raise KernelError("find container", id_, errno.ESRCH)
        return self._running[id_]

    def _log_is_full(self, id_: str) -> None:
        self._tell({"event": "log_full", "id": id_})

    def _ended(self, id_: str) -> Told:
        running = self._running.pop(id_)
        if not running.config.makes("pid"):
            # Whom it has left in a pid namespace that is not its own nobody else ends.
            with suppress(KernelError):
                running.cgroup.kill()
        running.output.finish()
        oom_killed = leave_cgroup(running.cgroup)
        for target in running.sub_paths:
            pod_volumes.unbind(target)
        return {"oom_killed": oom_killed, "message": pod_messages.take(running.message_file)}


class _Ends:
    """Descriptors that live while a container is started: some are closed then, others are handed over."""

    def __init__(self) -> None:
        self._kept: list[int] = []
        self._given: list[int] = []

    def keep(self, fd: int) -> int:
        self._kept.append(fd)
        return fd

    def give(self, fd: int) -> int:
        self._given.append(fd)
        return fd

    def hand_over(self) -> tuple[int, ...]:
        given, self._given = tuple(self._given), []
        return given

    def __enter__(self) -> "_Ends":
        return self

    def __exit__(self, *_: object) -> None:
        for fd in (*self._kept, *self._given):
            os.close(fd)


@dataclass(frozen=True, slots=True)
class _Console:
    """The socket on which a container sends its terminal: our end and its."""

    ours: int
    theirs: int

    @staticmethod
    def opened(ends: _Ends) -> "_Console":
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        return _Console(ends.keep(ours.detach()), ends.keep(theirs.detach()))

    def receive(self) -> int:
        with socket.socket(fileno=os.dup(self.ours)) as sock:
            return terminal.receive_master(sock)


def _open_streams(
    description: config.Config, with_stdin: bool, output: Output, ends: _Ends
) -> tuple[tuple[int, int, int], _Console | None]:
    if description.process and description.process.terminal:
        return (-1, -1, -1), _Console.opened(ends)
    stdin = -1
    if with_stdin:
        stdin, write_end = os.pipe2(os.O_CLOEXEC)
        ends.keep(stdin)
        ends.give(write_end)
    return (stdin, ends.keep(output.open_pipe("stdout")), ends.keep(output.open_pipe("stderr"))), None


def _given_streams(params: Params, fds: tuple[int, ...]) -> tuple[int, int, int]:
    streams = iter(fds)
    stdin = next(streams) if params["stdin"] else -1
    stdout = next(streams) if params["stdout"] else -1
    return stdin, stdout, next(streams) if params["stderr"] else stdout


def _statistics_of(cgroup: Cgroup) -> dict[str, str]:
    return dict(_readable(cgroup))


def _readable(cgroup: Cgroup) -> Iterator[tuple[str, str]]:
    for name in STATISTICS:
        try:
            text = cgroup.read(name)
        except KernelError:  # It is just going, or its version knows no such field.
            continue
        if text is not None:
            yield name, text
