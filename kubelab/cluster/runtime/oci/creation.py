"""Make a container: its cgroup, its first process, the hooks on the way; undo all of it if a step fails.

Source: OCI runtime specification, runtime.md, Lifecycle; runc, libcontainer/process_linux.go. The child and
its parent speak over a socket: `p` asks for the hooks before the root is changed, and waits for an answer;
`r` says that all is ready but the command; an error's report is JSON; the end of the stream is the command's
begin. A held child waits at a FIFO until `start` writes to it.
"""
# ruff: noqa: PTH123

import contextlib
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from kubelab.cluster.errors import KernelError, LabError
from kubelab.cluster.linux import syscalls
from kubelab.cluster.linux.cgroups import Cgroup, CgroupTree, detect
from kubelab.cluster.linux.device_rules import limit_devices
from kubelab.cluster.linux.processes import start_ticks_of
from kubelab.cluster.runtime import container, container_namespaces
from kubelab.cluster.runtime.config import SANDBOX, Config, ConfigError, Hook, Namespace
from kubelab.cluster.runtime.container_exec import pid_of
from kubelab.cluster.runtime.container_root import Rootfs
from kubelab.cluster.runtime.execution import run_child
from kubelab.cluster.runtime.oci.abandoned import Making
from kubelab.cluster.runtime.oci.bundle import Bundle
from kubelab.cluster.runtime.oci.container_state import Container, document
from kubelab.cluster.runtime.oci.state_files import StateFiles
from kubelab.language import Text

_OF_USERS = {"network": syscalls.CLONE_NEWNET, "ipc": syscalls.CLONE_NEWIPC, "uts": syscalls.CLONE_NEWUTS}
_HOOKS_PLEASE, _READY, _GO = b"p", b"r", b"g"


class StartFailedError(LabError):
    """The command could not be executed; worded as runc does, for its callers look for those words."""


@dataclass(frozen=True, slots=True)
class Request:
    """`held`: the command waits for `start`."""

    id: str
    console_fd: int = -1
    preserved_fds: int = 0
    keyring: bool = True
    held: bool = True


@dataclass(frozen=True, slots=True)
class Created:
    container: Container
    pidfd: int
    link: socket.socket

    def executed(self) -> None:
        """Return when the command runs. Raises StartFailedError: it cannot."""
        if answer := self.link.recv(1):
            _raise_report(answer, self.link)


def create(request: Request, bundle: Bundle, files: StateFiles) -> Created:
    """Return the container, made up to its command; what was made is gone if it fails.

    Raises:
        LabError: a step failed.
    """
    note = files.reserve(request.id)
    with ExitStack() as undo:
        undo.callback(files.remove, request.id)
        cgroup, tree = _cgroup_of(bundle.config, request.id)
        note = note.in_cgroup(cgroup, tree)
        note.write(files.directory(request.id))
        undo.callback(cgroup.remove)
        cgroup, tree = _make_cgroup(cgroup, tree, bundle.config)
        if request.held:
            os.mkfifo(files.fifo(request.id), 0o600)
        made = _Making(request, bundle, files, cgroup, tree, note)
        created = made.run(undo)
        files.save(created.container, bundle.document)
        undo.pop_all()
        return created


def _cgroup_of(config: Config, id_: str) -> tuple[Cgroup, CgroupTree]:
    """An absolute path begins at the hierarchies' tops, another one where this process is."""
    path = config.cgroups_path
    if ":" in path:
        raise ConfigError(_SYSTEMD.format(path=path))
    tree = detect(membership="") if path.startswith("/") else detect()
    return tree.at(path or f"kubelab-oci-{id_}"), tree


def _make_cgroup(cgroup: Cgroup, tree: CgroupTree, config: Config) -> tuple[Cgroup, CgroupTree]:
    """Without rights over cgroups there is none."""
    try:
        cgroup.create()
    except KernelError:
        if os.geteuid() == 0 and not _in_user_namespace():
            raise
        tree = CgroupTree(())
        return tree.at(cgroup.path), tree
    _limit(cgroup, config)
    return cgroup, tree


def _in_user_namespace() -> bool:
    with open("/proc/self/uid_map", encoding="ascii") as map_:
        return map_.read().split() != ["0", "0", "4294967295"]


def _limit(cgroup: Cgroup, config: Config) -> None:
    for name, value in config.resources.fields.items():
        cgroup.limit(name, value)
    directory = cgroup.directory("")
    if config.resources.devices and directory:
        try:
            limit_devices(directory, config.resources.devices)
        except KernelError:
            # In a user namespace devices cannot be made or opened anyway, beyond those that are shown.
            if not _in_user_namespace():
                raise


@dataclass(frozen=True, slots=True)
class _Making:
    request: Request
    bundle: Bundle
    files: StateFiles
    cgroup: Cgroup
    tree: CgroupTree
    note: Making

    def run(self, undo: ExitStack) -> Created:
        ours, theirs = socket.socketpair()
        undo.callback(ours.close)
        with theirs, contextlib.ExitStack() as meanwhile:
            pid, pidfd = self._clone(ours, theirs, meanwhile)
            undo.callback(_end, pid, pidfd)
            # As long as it is not in there, the process does not outlive this one.
            self.note.of_process(pid).write(self.files.directory(self.request.id))
            theirs.close()
            made = self._container(pid)
            self._converse(made, ours, undo)
        return Created(made, pidfd, ours)

    def _clone(self, ours: socket.socket, theirs: socket.socket, meanwhile: ExitStack) -> tuple[int, int]:
        start = self._start(theirs, meanwhile)
        flags = meanwhile.enter_context(container_namespaces.start_flags(start.config))
        early = self.bundle.config.makes("user") and start.userns_fd < 0
        cgroup_fd = self.cgroup.open_v2()
        if cgroup_fd >= 0:
            meanwhile.callback(os.close, cgroup_fd)
        gate = _Gate() if early else None
        pid, pidfd = syscalls.clone(flags | (syscalls.CLONE_NEWUSER if early else 0), cgroup_fd)
        if pid == 0:
            ours.close()
            run_child(theirs.fileno(), lambda: _become(start, gate))
        if gate:
            gate.open(pid, self.bundle.config)
        return pid, pidfd

    def _start(self, link: socket.socket, meanwhile: ExitStack) -> container.Start:
        config, userns_fd, holder = _users(self.bundle.config, meanwhile)
        fifo = -1
        if self.request.held:
            flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
            fifo = os.open(self.files.fifo(self.request.id), flags)
            meanwhile.callback(os.close, fifo)
        return container.Start(
            config=config,
            rootfs=Rootfs(path=self.bundle.rootfs),
            cgroup=self.cgroup,
            cgroup_view=self.tree,
            sandbox_pidfd=holder,
            streams=(0, 1, 2),
            console_fd=self.request.console_fd,
            userns_fd=userns_fd,
            owns_sandbox=holder >= 0 and self.bundle.config.makes("network"),
            preserved_fds=self.request.preserved_fds,
            keyring=self.request.id if self.request.keyring else "",
            before_pivot=lambda: self._before_pivot(link),
            before_command=lambda: self._before_command(link, fifo),
        )

    def _before_pivot(self, link: socket.socket) -> None:
        """In the child."""
        hooks = self.bundle.config.hooks
        if hooks.prestart or hooks.create_runtime:
            link.sendall(_HOOKS_PLEASE)
            if link.recv(1) != _GO:
                os._exit(1)
        self._call("createContainer", hooks.create_container)

    def _before_command(self, link: socket.socket, fifo: int) -> None:
        """In the child."""
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, 0)
        link.sendall(_READY)
        if fifo >= 0:
            poll = select.poll()
            poll.register(fifo, select.POLLIN)
            poll.poll()
        self._call("startContainer", self.bundle.config.hooks.start_container)

    def _call(self, name: str, hooks: tuple[Hook, ...]) -> None:
        if hooks:
            from kubelab.cluster.runtime.oci.hooks import run_hooks

            state = document(self._container(os.getpid(), started=0), "created")
            run_hooks(name, hooks, state)

    def _container(self, pid: int, started: int | None = None) -> Container:
        return Container(
            id=self.request.id,
            bundle=self.bundle.path,
            pid=pid,
            started=(start_ticks_of(pid) or 0) if started is None else started,
            created=datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            cgroup_path=self.cgroup.path,
            tree=self.tree.to_json(),
            annotations=self.bundle.config.annotations,
            rootfs=self.bundle.rootfs,
        )

    def _converse(self, made: Container, link: socket.socket, undo: ExitStack) -> None:
        """Answer the child until it is ready."""
        while (said := link.recv(1)) != _READY:
            if said != _HOOKS_PLEASE:
                _raise_report(said, link)
            self._hooks_of_runtime(made, undo)
            link.sendall(_GO)

    def _hooks_of_runtime(self, made: Container, undo: ExitStack) -> None:
        from kubelab.cluster.runtime.oci.hooks import HookError, call_poststop, run_hooks

        hooks = self.bundle.config.hooks
        state = document(made, "created")
        try:
            run_hooks("prestart", hooks.prestart, state)
            run_hooks("createRuntime", hooks.create_runtime, state)
        except HookError:
            undo.callback(call_poststop, hooks.poststop, document(made, "stopped"), _say)
            raise


def _become(start: container.Start, gate: "_Gate | None") -> None:
    # Until it is known of it is not to outlive who makes it.
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    if gate:
        gate.wait()
        container_namespaces.become_root()
    if any((hooks := start.config.hooks).start_container) or hooks.create_container:
        # Its modules lie in the runtime's root, which will be out of sight.
        import kubelab.cluster.runtime.oci.hooks  # noqa: F401
    container.run(start)


def _users(config: Config, meanwhile: ExitStack) -> tuple[Config, int, int]:
    """Return the config with its user namespace ready to be entered, a descriptor of that, and a pidfd of who
    holds those namespaces that are to belong to it.

    Without rights outside there is nothing to hold: then the child is born into it, as its root.
    """
    user = config.namespace("user")
    if user is None:
        return config, -1, -1
    if not syscalls.capget() >> 21 & 1:  # CAP_SYS_ADMIN
        rest = tuple(each for each in config.namespaces if each.type != "user")
        return replace(config, namespaces=rest, uid_mappings=(), gid_mappings=()), -1, -1
    if user.path:
        return config, _opened(user.path, meanwhile), -1
    flags = sum(flag for kind, flag in _OF_USERS.items() if config.makes(kind))
    pidfd = meanwhile.enter_context(
        container_namespaces.held(config.uid_mappings, config.gid_mappings, flags)
    )
    namespaces = tuple(
        Namespace(each.type, SANDBOX) if each.type in _OF_USERS and not each.path else each
        for each in config.namespaces
    )
    held = replace(config, namespaces=namespaces)
    return held, _opened(f"/proc/{pid_of(pidfd)}/ns/user", meanwhile), pidfd


def _opened(path: str, meanwhile: ExitStack) -> int:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise KernelError("open", path, error.errno or 0) from None
    meanwhile.callback(os.close, fd)
    return fd


class _Gate:
    """Keeps a child in a new user namespace waiting until its ids are mapped."""

    def __init__(self) -> None:
        self._read_end, self._write_end = os.pipe2(os.O_CLOEXEC)

    def wait(self) -> None:
        os.close(self._write_end)
        os.read(self._read_end, 1)

    def open(self, pid: int, config: Config) -> None:
        container_namespaces.write_mappings(pid, config.uid_mappings, config.gid_mappings)
        os.write(self._write_end, b"!")
        os.close(self._write_end)
        os.close(self._read_end)


def _end(pid: int, pidfd: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)
    os.close(pidfd)


def _raise_report(begin: bytes, link: socket.socket) -> None:
    chunks = [begin, *_rest(link)]
    report = json.loads(b"".join(chunks) or b'{"kind": "command", "sentence": "init ended"}')
    raise error_of(report)


def _rest(link: socket.socket) -> Iterator[bytes]:
    with contextlib.suppress(ConnectionResetError):
        while chunk := link.recv(4096):
            yield chunk


def error_of(report: dict[str, Any]) -> Exception:
    """Return what the child could not do, as the exception that it had there."""
    if report["kind"] == "command":
        return StartFailedError(f"unable to start container process: {report['sentence']}")
    if report["kind"] == "kernel":
        return KernelError(report["operation"], report["target"], report["errno"])
    return RuntimeError(report["sentence"])


def _say(warning: str) -> None:
    print(warning, file=sys.stderr)  # noqa: T201


_SYSTEMD = Text(
    es="{path} es un cgroup de systemd: aquí los cgroups son directorios (podman --cgroup-manager cgroupfs)",
    en="{path} is a cgroup of systemd's: here cgroups are directories (podman --cgroup-manager cgroupfs)",
)
