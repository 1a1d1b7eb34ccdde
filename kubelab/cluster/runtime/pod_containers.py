"""The containers of a machine's pods: started, executed in, attached to, updated, paused, measured.

Source: containerd, internal/cri/server (container_start.go, container_execsync.go, container_attach.go,
container_update_resources_linux.go, container_stats_list.go), whose shims do this part.
"""

import errno
import functools
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux import seccomp_profile
from kubelab.cluster.linux.cgroup_freezer import freeze, thaw
from kubelab.cluster.linux.cgroups import Cgroup
from kubelab.cluster.runtime import (
    config,
    confinement,
    container,
    container_exec,
    container_namespaces,
    container_program,
    pod_messages,
    pod_volumes,
    terminal,
)
from kubelab.cluster.runtime.answers import Answer, Method, Params, Pending, started
from kubelab.cluster.runtime.children import Child, Children, Told, end, leave_cgroup, limit, start
from kubelab.cluster.runtime.container_root import Rootfs
from kubelab.cluster.runtime.log_file import LogFile
from kubelab.cluster.runtime.machine_init import MachineInit
from kubelab.cluster.runtime.output import Output
from kubelab.cluster.runtime.pod_sandboxes import PodSandboxes, shm_of
from kubelab.cluster.runtime.poller import Poller
from kubelab.cluster.runtime.starts import Outcome, Starts

FREEZE_TIMEOUT_S = 1.0
KINDS_MAX = 64
STATISTICS = ("cpu.stat", "memory.current", "memory.stat", "memory.max", "pids.current", "io.stat")


@dataclass(frozen=True, slots=True)
class Running:
    """`config` is what it has in common with others of its kind, `env` its own environment. `sub_paths` are
    mounted for it on the machine as long as it lives, and `message_file` is there."""

    config: config.Config
    env: tuple[str, ...]
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
        starts: Starts,
        poller: Poller,
        tell: Callable[[dict[str, object]], None],
    ) -> None:
        self._machine = machine
        self._sandboxes = sandboxes
        self._children = children
        self._starts = starts
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

    def start(self, params: Params, fds: tuple[int, ...]) -> Answer | Pending:
        """Start a container; its terminal, or the write end of its standard input, is handed over."""
        kind = _kind_of(params["config"])
        own = config.parse_own(params["args"], params["env"], params["sources"])
        confinement.check_command(own.args)
        making = self._prepare(params, fds, kind, own)
        prepared = container_program.prepare(making.start)
        if prepared and not kind.joins_processes:
            flags = kind.flags
            return self._starts.start(prepared, flags, lambda outcome: self._made(making, flags, outcome))
        other = params["processes_of"]
        pidfd = self._get(other).pidfd if other else making.start.sandbox_pidfd
        with making.undone_if_fails(), container_namespaces.start_flags(kind.config, pidfd) as flags:
            return self._made(making, flags, (lambda: prepared.start(flags)) if prepared else None)

    def _prepare(self, params: Params, fds: tuple[int, ...], kind: "_Kind", own: config.Own) -> "_Making":
        """Make what a container needs before its process."""
        id_, uid = params["id"], params["uid"]
        cgroup = self._sandboxes.cgroup(uid, id_)
        log_fd, layers_fd = fds if len(fds) > 1 else (fds[0], -1)
        with ExitStack() as undo, ExitStack() as ends:
            # Other pods' processes may end, and others begin with the same numbers, before it is made.
            sandbox_pidfd = _kept(ends, os.dup(self._sandboxes.get(uid).pidfd))
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
            streams, console, stdin = _open_streams(kind.config, params["stdin"], output, undo, ends)
            start_ = container.Start(
                config=kind.config,
                rootfs=Rootfs(tuple(params["lowers"]), layers_fd, self._machine.disk_bytes),
                cgroup=cgroup,
                cgroup_view=self._machine.cgroups,
                sandbox_pidfd=sandbox_pidfd,
                files=params["files"],
                shm=shm_of(uid),
                streams=streams,
                console_fd=console.theirs if console else -1,
                document=params["config"],
                own=own,
            )
            sub_paths = tuple(target for _, _, target in params["sub_paths"])
            made = undo.pop_all(), ends.pop_all()
            return _Making(id_, start_, output, sub_paths, message_file, console, stdin, *made)

    def _made(self, making: "_Making", flags: int, outcome: Outcome | None) -> Answer:
        """Take in the container whose process a program has made, or make that now."""
        start_, output, given = making.start, making.output, making.stdin
        with making.undone_if_fails():
            pid, pidfd = _started(start_, flags, outcome)
            making.undo.callback(end, pid, pidfd)
            if making.console:
                given = (making.console.receive(),)
                making.undo.callback(os.close, *given)
                output.add(os.dup(*given))
            making.undo.pop_all()
        output.watch()
        env = start_.own.env if start_.own else ()
        self._running[making.id] = Running(
            start_.config, env, pidfd, start_.cgroup, output, making.sub_paths, making.message_file
        )
        self._children.add(Child(pid, pidfd, lambda: self._ended(making.id)))
        return started(pid, pidfd, given)

    def exec(self, params: Params, fds: tuple[int, ...]) -> Answer:
        """Start another process in a container, as its first one was; its terminal is handed over."""
        running = self._get(params["id"])
        first = running.config.process
        assert first is not None
        size = params["terminal"]
        process = replace(
            first,
            args=tuple(params["command"]),
            env=running.env,
            terminal=size is not None,
            console_size=(size["rows"], size["columns"]) if size else None,
        )
        handed_over: tuple[int, ...] = ()
        with ExitStack() as undo, ExitStack() as ends:
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
                handed_over = (console.receive(),)
            undo.pop_all()
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


@dataclass(frozen=True, slots=True)
class _Kind:
    """What is known of all containers of one description. `flags`: what their processes are cloned with."""

    config: config.Config
    flags: int
    joins_processes: bool


@functools.lru_cache(maxsize=KINDS_MAX)
def _kind_of(document: str) -> _Kind:
    """Raises ConfigError: there can be none."""
    described = config.parse_text(document)
    container.check_kind(described)
    if described.seccomp:
        # Compiled here it is remembered; each child would do it anew, which takes longer than all else.
        seccomp_profile.program(described.seccomp)
    return _Kind(described, container_namespaces.flags(described), described.joins("pid"))


@dataclass(frozen=True, slots=True)
class _Making:
    """A container whose process is being made. `stdin` is the end of it that is handed over, if there is one.
    `undo` is for one that fails, `ends` closes what only its process needs."""

    id: str
    start: container.Start
    output: Output
    sub_paths: tuple[str, ...]
    message_file: str
    console: "_Console | None"
    stdin: tuple[int, ...]
    undo: ExitStack
    ends: ExitStack

    @contextmanager
    def undone_if_fails(self) -> Iterator[None]:
        with self.undo, self.ends:
            yield


def _started(start_: container.Start, flags: int, outcome: Outcome | None) -> tuple[int, int]:
    if outcome:
        with suppress(KernelError, OSError):
            return outcome()
        container_program.look_again()
    return start(flags, lambda: container.run(start_), start_.cgroup)


def _kept(ends: ExitStack, fd: int) -> int:
    """Return the descriptor, which is closed with *ends*."""
    ends.callback(os.close, fd)
    return fd


@dataclass(frozen=True, slots=True)
class _Console:
    """The socket on which a container sends its terminal: our end and its."""

    ours: int
    theirs: int

    @staticmethod
    def opened(ends: ExitStack) -> "_Console":
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        return _Console(_kept(ends, ours.detach()), _kept(ends, theirs.detach()))

    def receive(self) -> int:
        with socket.socket(fileno=os.dup(self.ours)) as sock:
            return terminal.receive_master(sock)


def _open_streams(
    description: config.Config, with_stdin: bool, output: Output, undo: ExitStack, ends: ExitStack
) -> tuple[tuple[int, int, int], _Console | None, tuple[int, ...]]:
    """Return the container's streams, its terminal, and our end of its standard input, if there is one."""
    if description.process and description.process.terminal:
        return (-1, -1, -1), _Console.opened(ends), ()
    stdin = -1
    given: tuple[int, ...] = ()
    if with_stdin:
        stdin, write_end = os.pipe2(os.O_CLOEXEC)
        _kept(ends, stdin)
        given = (_kept(undo, write_end),)
    stdout, stderr = (_kept(ends, output.open_pipe(name)) for name in ("stdout", "stderr"))
    return (stdin, stdout, stderr), None, given


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
