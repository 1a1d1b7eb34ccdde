"""The shim: one small process for each machine, its init (pid 1) and the one who starts what runs there.

Started as a program by `client.start_shim`, with the socket's file descriptor as its argument and nothing but
the standard library and the lab's lowest layer. It clones itself into the machine's namespaces as the lab's
own child (CLONE_PARENT), so that the first process can go; it dies when the lab does (PR_SET_PDEATHSIG) and
as pid 1 takes everything on the machine with it. It has one thread; container starts block it for a few
milliseconds each. Source of the idea: containerd's runtime shim; prctl(2), pid_namespaces(7).
What a machine's user starts goes into the cgroup `programs`, the pods into `kubepods`, the shim itself sits
in `system`: a fork bomb exhausts its own cgroup and can be killed as a whole.
Left out: exec into containers, attach, rotation of logs beyond cutting them at their size limit.
"""
# ruff: noqa: PTH100, PTH101, PTH103, PTH105, PTH106, PTH108, PTH112, PTH114, PTH123, PTH208

import contextlib
import errno
import gc
import os
import sys

if __name__ == "__main__":
    # Behind the standard library: where the lab is installed there may be anything.
    sys.path.append(os.path.abspath(os.path.join(os.path.dirname(__file__), *[os.pardir] * 3)))

import fcntl
import json
import select
import signal
import socket
import struct
import termios
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from ipaddress import IPv4Interface
from typing import Any, NoReturn

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux import capabilities, syscalls
from kubelab.cluster.linux.cgroups import Cgroup, CgroupTree
from kubelab.cluster.linux.netlink import (
    Netlink,
    add_address,
    add_bridge,
    isolate_port,
    set_link,
    set_sysctls,
)
from kubelab.cluster.linux.processes import cgroup_of, stat_of
from kubelab.cluster.runtime import (
    container,
    examination,
    execution,
    machine_root,
    messages,
    pause,
    privileges,
    sandbox,
)
from kubelab.cluster.runtime.logs import LineSplitter

NAMESPACES = (
    syscalls.CLONE_NEWPID
    | syscalls.CLONE_NEWNS
    | syscalls.CLONE_NEWNET
    | syscalls.CLONE_NEWUTS
    | syscalls.CLONE_NEWIPC
    | syscalls.CLONE_NEWCGROUP
)
SYSTEM_CGROUP = "system"
PROGRAMS_CGROUP = "programs"
PODS_CGROUP = "kubepods"
BRIDGE = "cni0"
END_PROGRAMS_S = 1.5
READ_BYTES = 65536
# The kubelet rotates at 10 MiB (containerLogMaxSize); here the file starts anew.
LOG_BYTES_MAX = 10 * 1024 * 1024
# The machine routes for its pods; a reply to a pod's neighbour goes out where it came in, which is no
# mistake.
MACHINE_SYSCTLS = (
    *sandbox.SYSCTLS,
    ("ipv4/ip_forward", "1"),
    ("ipv4/conf/all/rp_filter", "0"),
    ("ipv4/conf/default/rp_filter", "0"),
    ("ipv4/conf/all/send_redirects", "0"),
    ("ipv4/conf/default/send_redirects", "0"),
    ("bridge/bridge-nf-call-iptables", "0"),
    ("bridge/bridge-nf-call-ip6tables", "0"),
    ("bridge/bridge-nf-call-arptables", "0"),
)

Params = Mapping[str, Any]
Answer = tuple[dict[str, Any], tuple[int, ...], int]


class Log:
    """Two pipes of a container, copied into its log file."""

    def __init__(self, file_fd: int) -> None:
        self.streams: dict[int, LineSplitter] = {}
        self._file_fd = file_fd

    def open_pipe(self, stream: str) -> int:
        """Return the write end for the container."""
        read_end, write_end = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(read_end, False)
        self.streams[read_end] = LineSplitter(stream)
        return write_end

    def copy(self, fd: int) -> bool:
        """Copy what there is, up to one read; return whether there may be more."""
        try:
            chunk = os.read(fd, READ_BYTES)
        except BlockingIOError:
            return False
        splitter = self.streams[fd]
        self._write(splitter.feed(chunk, time.time_ns()) if chunk else splitter.finish(time.time_ns()))
        if not chunk:
            self.close_stream(fd)
        return bool(chunk)

    def drain(self) -> None:
        """Copy what the ended container left; a process of it that escaped its death cannot hold this up."""
        for fd in tuple(self.streams):
            while self.copy(fd):
                pass

    def close_stream(self, fd: int) -> None:
        os.close(fd)
        del self.streams[fd]
        if not self.streams:
            os.close(self._file_fd)

    def close(self) -> None:
        for fd in tuple(self.streams):
            self.close_stream(fd)

    def _write(self, lines: bytes) -> None:
        with contextlib.suppress(OSError):
            if os.fstat(self._file_fd).st_size > LOG_BYTES_MAX:
                os.ftruncate(self._file_fd, 0)
            os.write(self._file_fd, lines)


class Child:
    """A process that the shim started. Its pidfd is open until it was reaped."""

    def __init__(
        self, pidfd: int, cgroup: Cgroup | None = None, log: Log | None = None, sandbox: str = ""
    ) -> None:
        self.pidfd = pidfd
        self.sandbox = sandbox
        self.cgroup = cgroup
        self.log = log


class Shim:
    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._poll = select.poll()
        self._children: dict[int, Child] = {}
        self._logs: dict[int, Log] = {}
        self._sandboxes: dict[str, int] = {}
        self._cgroups = CgroupTree(())
        self._env: dict[str, str] = {}
        self._as_built: examination.AsBuilt | None = None
        self._disk_bytes = 0
        self._pod_gateway: IPv4Interface | None = None
        self._netns_fd = -1
        self._bridge_index = 0
        self._sigchld_fd = -1

    def serve(self) -> None:
        """Answer the lab until it hangs up."""
        self._sigchld_fd = _on_sigchld()
        self._poll.register(self._socket, select.POLLIN)
        self._poll.register(self._sigchld_fd, select.POLLIN)
        while True:
            for fd, _ in self._poll.poll():
                if fd == self._socket.fileno():
                    message = messages.receive(self._socket)
                    if message is None:
                        return
                    self._handle(message)
                elif fd == self._sigchld_fd:
                    _discard(fd)
                    self._reap()
                elif fd in self._logs:
                    self._copy_log(fd)

    def _handle(self, message: messages.Message) -> None:
        method: Callable[[Params, tuple[int, ...]], Answer] = getattr(self, f"do_{message.body['method']}")
        try:
            result, fds, pid = method(message.body["params"], message.fds)
        except ChildError as error:
            self._answer(message, {"error": error.report})
        except KernelError as error:
            self._answer(message, {"error": _report(error.operation, error.target, error.errno)})
        except OSError as error:
            self._answer(
                message, {"error": _report(message.body["method"], error.filename, error.errno or 0)}
            )
        else:
            self._answer(message, {"result": result}, fds, pid)
            for fd in fds:
                self._close_passed(fd)
        for fd in message.fds:
            with contextlib.suppress(OSError):
                os.close(fd)

    def _answer(
        self, message: messages.Message, body: dict[str, Any], fds: tuple[int, ...] = (), pid: int = 0
    ) -> None:
        messages.send(self._socket, {"id": message.body["id"]} | body, fds, pid)

    def _close_passed(self, fd: int) -> None:
        """Close what was handed over, but for the pidfds, which are needed here too."""
        if all(fd != child.pidfd for child in self._children.values()):
            os.close(fd)

    # The machine

    def do_build(self, params: Params, fds: tuple[int, ...]) -> Answer:
        """Make the root; from here on this is the machine's init."""
        outside = CgroupTree.from_json(params["cgroups"])
        outside.at(SYSTEM_CGROUP).make_room()
        self._cgroups = outside.as_seen_inside()
        socket.sethostname(params["name"])
        sizes = params["sizes"]
        self._disk_bytes = sizes["/"]
        root = machine_root.MachineRoot(params["files"], params["binds"], sizes)
        uppers = machine_root.build(root, self._cgroups)
        self._env = dict(params["env"])
        for name, part in ((PROGRAMS_CGROUP, "programs"), (PODS_CGROUP, "pods")):
            self._cgroups.at(name).create()
            _limit(self._cgroups.at(name), params["limits"][part])
        set_sysctls(MACHINE_SYSCTLS)
        with Netlink() as netlink:
            netlink.do(set_link(1, up=True))
        _make_private_directories()
        self._netns_fd = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        privileges.give_up()
        self._as_built = examination.AsBuilt.now(params["name"], uppers, MACHINE_SYSCTLS)
        gc.freeze()
        return {}, (), 0

    def do_spawn(self, params: Params, fds: tuple[int, ...]) -> Answer:
        """Start a program of the learner's, or of a lesson's."""
        env = self._env | params["env"]
        master, slave = _open_terminal(params["terminal"])
        streams = iter(fds)
        stdin = next(streams) if params["stdin"] else -1
        stdout = next(streams) if params["stdout"] else -1
        stderr = next(streams) if params["stderr"] else stdout
        cgroup = self._cgroups.at(PROGRAMS_CGROUP)

        def become() -> None:
            cgroup.add_thread()
            if slave >= 0:
                execution.take_terminal(slave)
            else:
                os.setsid()
                execution.use_streams(stdin, stdout, stderr)
            os.chdir(params["cwd"] if os.path.isdir(params["cwd"]) else "/")
            os.umask(0o022)
            execution.default_signals()
            capabilities.keep_only(privileges.PROGRAMS)
            execution.execute(params["argv"], env)

        try:
            pid, pidfd = _start(0, become, cgroup)
        except BaseException:
            _close(master)
            raise
        finally:
            _close(slave)
        self._children[pid] = Child(pidfd)
        return {"pid": pid}, (pidfd, *([master] if master >= 0 else [])), pid

    def do_signal_session(self, params: Params, fds: tuple[int, ...]) -> Answer:
        """Signal every process of the session; answer how many there were."""
        session, number = params["session"], params["signal"]
        if number != signal.SIGKILL:
            return {"count": _signal_all(_in_session(session), number)}, (), 0
        with self._no_forks():
            return {"count": _signal_all(_in_session(session), number)}, (), 0

    def do_end_programs(self, params: Params, fds: tuple[int, ...]) -> Answer:
        """Kill all that runs but the pods, and remove cgroups that were made; answer how many are left."""
        deadline_s = time.monotonic() + END_PROGRAMS_S
        with self._no_forks():
            for name in {PROGRAMS_CGROUP, *self._foreign_cgroups()}:
                with contextlib.suppress(KernelError):  # A learner has removed or unmounted it.
                    self._cgroups.at(name).kill()
            while (left := _signal_all(_outside_pods(), signal.SIGKILL)) and time.monotonic() < deadline_s:
                self._reap()
                time.sleep(0.005)
        self._remove_foreign_cgroups()
        return {"count": left}, (), 0

    @contextlib.contextmanager
    def _no_forks(self) -> Iterator[None]:
        """Let the programs make no more processes meanwhile: a fork bomb is quicker than any loop."""
        programs = self._cgroups.at(PROGRAMS_CGROUP)
        try:
            before = programs.read("pids.max")
            programs.limit("pids.max", "0")
        except KernelError:  # A learner has removed or unmounted it: then it bounds nobody.
            before = None
        try:
            yield
        finally:
            if before is not None:
                with contextlib.suppress(KernelError):
                    programs.limit("pids.max", before)

    def _foreign_cgroups(self) -> set[str]:
        """Return those that others made: beside ours, and in the programs'."""
        ours = {SYSTEM_CGROUP, PROGRAMS_CGROUP, PODS_CGROUP}
        tops = self._cgroups.at("").directories
        beside = {name for top in tops for name in _directories_in(top)} - ours
        inside = {name for top in tops for name in _directories_in(f"{top}/{PROGRAMS_CGROUP}")}
        return beside | {f"{PROGRAMS_CGROUP}/{name}" for name in inside}

    def _remove_foreign_cgroups(self) -> None:
        """What cannot be removed now is in nobody's way."""
        for name in self._foreign_cgroups():
            with contextlib.suppress(KernelError):
                self._cgroups.at(name).remove(timeout_s=0.05)

    def do_examine(self, params: Params, fds: tuple[int, ...]) -> Answer:
        """Answer what of the machine is not as it was built."""
        assert self._as_built is not None
        return {"damages": self._as_built.damages()}, (), 0

    def do_write_file(self, params: Params, fds: tuple[int, ...]) -> Answer:
        path = params["path"]
        os.makedirs(os.path.dirname(path), exist_ok=True)
        temporary = f"{path}.kubelab"
        with open(temporary, "wb") as file:
            os.fchmod(file.fileno(), params["mode"])
            file.write(bytes.fromhex(params["content"]))
        os.replace(temporary, path)
        if self._as_built:
            self._as_built.note(path)
        return {}, (), 0

    # Pods

    def do_ready_pods(self, params: Params, fds: tuple[int, ...]) -> Answer:
        """Make the bridge of this node's pods."""
        self._pod_gateway = IPv4Interface(params["gateway"])
        with Netlink() as netlink:
            # A fixed one, made from the address as CNI's bridge does, or pods would talk to one that is gone.
            netlink.do(add_bridge(BRIDGE, b"\x0a\x58" + self._pod_gateway.ip.packed))
            self._bridge_index = netlink.index(BRIDGE)
            netlink.do(add_address(self._bridge_index, self._pod_gateway))
        # Ports are isolated, so the bridge answers for a pod's neighbours and the traffic between them is
        # routed: it passes the machine's netfilter hooks as traffic from elsewhere does.
        set_sysctls(
            [(f"ipv4/conf/{BRIDGE}/proxy_arp_pvlan", "1"), (f"ipv4/conf/{BRIDGE}/send_redirects", "0")]
        )
        return {}, (), 0

    def do_run_sandbox(self, params: Params, fds: tuple[int, ...]) -> Answer:
        assert self._pod_gateway is not None
        uid = params["uid"]
        pod = self._pod_cgroup(uid)
        pod.create()
        _limit(pod, params["limits"])
        cgroup = self._pod_cgroup(uid, "pause")
        cgroup.create()
        os.makedirs(_pod_directory(uid) + "/shm", mode=0o1777, exist_ok=True)
        os.chmod(_pod_directory(uid) + "/shm", 0o1777)  # noqa: S103 - as /dev/shm is everywhere
        start = sandbox.Start(
            hostname=params["hostname"],
            interface=IPv4Interface((params["address"], self._pod_gateway.network.prefixlen)),
            gateway=self._pod_gateway.ip,
            peer=params["peer"],
            machine_netns_fd=self._netns_fd,
            cgroup=cgroup,
        )
        flags = NAMESPACES & ~syscalls.CLONE_NEWCGROUP
        pid, pidfd = _start(flags, lambda: sandbox.run(start), cgroup)
        self._children[pid] = Child(pidfd, sandbox=uid)
        self._sandboxes[uid] = pidfd
        with Netlink() as netlink:
            port = netlink.index(params["peer"])
            netlink.do(set_link(port, master=self._bridge_index, up=True), isolate_port(port))
        return {"pid": pid}, (pidfd,), pid

    def do_start_container(self, params: Params, fds: tuple[int, ...]) -> Answer:
        uid = params["uid"]
        sandbox_pidfd = self._sandboxes.get(uid)
        if sandbox_pidfd is None:
            raise KernelError("enter sandbox", uid, errno.ESRCH)
        cgroup = self._pod_cgroup(uid, params["id"])
        log = Log(os.dup(fds[0]))
        streams = (log.open_pipe("stdout"), log.open_pipe("stderr"))
        start = container.Start(
            cgroup=cgroup,
            cgroup_view=self._cgroups,
            sandbox_pidfd=sandbox_pidfd,
            streams=streams,
            shm=_pod_directory(uid) + "/shm",
            disk_bytes=self._disk_bytes,
            **container.parameters(params),
        )
        try:
            cgroup.create()
            _limit(cgroup, params["limits"])
            _make_volumes(params["volumes"])
            flags = syscalls.CLONE_NEWPID | syscalls.CLONE_NEWNS
            pid, pidfd = _start(flags, lambda: container.run(start), cgroup)
        except BaseException:
            log.close()
            cgroup.remove()
            raise
        finally:
            for fd in streams:
                os.close(fd)
        self._watch_log(log)
        self._children[pid] = Child(pidfd, cgroup, log)
        return {"pid": pid}, (pidfd,), pid

    def do_remove_sandbox(self, params: Params, fds: tuple[int, ...]) -> Answer:
        """Take back what is left of a pod whose processes have ended; its links go with its network
        namespace."""
        uid = params["uid"]
        self._pod_cgroup(uid).remove()
        _remove_tree(_pod_directory(uid))
        _remove_tree(volumes_directory(uid))
        return {}, (), 0

    def _pod_cgroup(self, uid: str, name: str = "") -> Cgroup:
        return self._cgroups.at(f"{PODS_CGROUP}/pod{uid}/{name}")

    # Logs and exits

    def _watch_log(self, log: Log) -> None:
        for fd in log.streams:
            self._logs[fd] = log
            self._poll.register(fd, select.POLLIN)

    def _copy_log(self, fd: int) -> None:
        log = self._logs[fd]
        log.copy(fd)
        if fd not in log.streams:
            self._forget_stream(fd)

    def _forget_stream(self, fd: int) -> None:
        del self._logs[fd]
        self._poll.unregister(fd)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            child = self._children.pop(pid, None)
            if child:
                self._report_exit(pid, child, status)

    def _report_exit(self, pid: int, child: Child, status: int) -> None:
        code = os.waitstatus_to_exitcode(status)
        if child.log:
            self._finish_log(child.log)
        oom_killed = bool(child.cgroup and _leave_cgroup(child.cgroup))
        # Its number may be another pod's in a moment.
        self._sandboxes.pop(child.sandbox, None)
        os.close(child.pidfd)
        exit_code = code if code >= 0 else 128 - code
        event = {"event": "exit", "pid": pid, "exit_code": exit_code, "oom_killed": oom_killed}
        messages.send(self._socket, event | {"at_s": time.time()})

    def _finish_log(self, log: Log) -> None:
        watched = tuple(log.streams)
        log.drain()
        for fd in watched:
            self._forget_stream(fd)
        for fd in tuple(log.streams):
            log.close_stream(fd)


def _leave_cgroup(cgroup: Cgroup) -> bool:
    """Remove an ended container's cgroup; return whether the kernel killed in it for want of memory."""
    oom_killed = False
    # It may have gone with its pod's already; what cannot be removed now will.
    with contextlib.suppress(KernelError):
        oom_killed = cgroup.oom_kills() > 0
        cgroup.remove(timeout_s=0.02)
    return oom_killed


class ChildError(Exception):
    """A child's report of why it could not execute its command."""

    def __init__(self, report: dict[str, Any]) -> None:
        super().__init__(report)
        self.report = report


def _start(flags: int, become: Callable[[], None], cgroup: Cgroup | None = None) -> tuple[int, int]:
    """Clone a child that becomes something else; return its pid and pidfd once it has executed that."""
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    with open(read_end, "rb") as reader:
        try:
            pid, pidfd = _clone(flags, cgroup)
            if pid == 0:
                privileges.expose_to_oom()
                execution.run_child(write_end, become)
        finally:
            os.close(write_end)
        report = reader.read()
    if report:
        os.waitpid(pid, 0)
        os.close(pidfd)
        raise ChildError(json.loads(report))
    return pid, pidfd


def _clone(flags: int, cgroup: Cgroup | None) -> tuple[int, int]:
    cgroup_fd = cgroup.open_v2() if cgroup else -1
    try:
        return syscalls.clone(flags, cgroup_fd)
    finally:
        _close(cgroup_fd)


def _report(operation: str, target: object, errno_: int) -> dict[str, Any]:
    return {"kind": "kernel", "operation": operation, "target": str(target), "errno": errno_}


def _limit(cgroup: Cgroup, limits: Mapping[str, str]) -> None:
    for field, value in limits.items():
        cgroup.limit(field, value)


def _pod_directory(uid: str) -> str:
    return f"/run/kubelab/pods/{uid}"


def volumes_directory(uid: str) -> str:
    """Where a kubelet keeps a pod's volumes on its machine."""
    return f"/var/lib/kubelet/pods/{uid}"


def _make_volumes(volumes: Mapping[str, Mapping[str, str]]) -> None:
    """Make each directory with its files (in hexadecimal), unless it is there."""
    for directory, files in volumes.items():
        os.makedirs(directory, exist_ok=True)
        os.chmod(directory, 0o777)  # noqa: S103 - emptyDir is everybody's, as upstream has it
        for name, content in files.items():
            path = os.path.join(directory, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(bytes.fromhex(content))


def _remove_tree(top: str) -> None:
    """As shutil.rmtree, which takes 4 ms to import."""
    for path, directories, files in os.walk(top, topdown=False):
        for name in files:
            os.unlink(os.path.join(path, name))
        for name in directories:
            below = os.path.join(path, name)
            (os.unlink if os.path.islink(below) else os.rmdir)(below)
        if path == top:
            os.rmdir(path)


def _make_private_directories() -> None:
    for directory in (container.ROOT, sandbox.PAUSE_ROOT):
        os.makedirs(directory)
    with open(f"{sandbox.PAUSE_ROOT}/pause", "wb") as file:
        file.write(pause.program())
        os.fchmod(file.fileno(), 0o755)


def _open_terminal(size: Mapping[str, int] | None) -> tuple[int, int]:
    if size is None:
        return -1, -1
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", size["rows"], size["columns"], 0, 0))
    return master, slave


def _close(fd: int) -> None:
    if fd >= 0:
        os.close(fd)


def _pids() -> Iterator[int]:
    """Yield the machine's processes but its init."""
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) > 1:
            yield int(name)


def _in_session(session: int) -> Iterator[int]:
    for pid in _pids():
        stat = stat_of(pid)
        if stat and stat.session == session and stat.state != "Z":
            yield pid


def _outside_pods() -> Iterator[int]:
    for pid in _pids():
        stat = stat_of(pid)
        if stat and stat.state != "Z" and not cgroup_of(pid).startswith(f"/{PODS_CGROUP}/"):
            yield pid


def _signal_all(pids: Iterable[int], number: int) -> int:
    count = 0
    for pid in pids:
        count += 1
        _signal(pid, number)
    return count


def _directories_in(path: str) -> list[str]:
    try:
        with os.scandir(path) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:  # A learner has removed or unmounted it.
        return []


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _on_sigchld() -> int:
    read_end, write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    return read_end


def _discard(fd: int) -> None:
    with contextlib.suppress(BlockingIOError):
        while os.read(fd, READ_BYTES):
            pass


def _enter_namespaces(sock: socket.socket) -> None:
    """Leave a clone of this process in the machine's namespaces, as the lab's child, and end."""
    message = messages.receive(sock)
    if message is None:
        sys.exit(0)
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    # The lab may have died before the line above; then somebody else is the parent by now.
    if os.getppid() != message.body["parent"]:
        sys.exit(0)
    CgroupTree.from_json(message.body["cgroups"]).at("").add_self()
    privileges.shield_from_oom()
    pid, _ = syscalls.clone(NAMESPACES | syscalls.CLONE_PARENT)
    if pid:
        os._exit(0)
    # clone(2): the signal on the parent's death is not passed on. The lab is outside of this pid namespace,
    # so getppid() is 0 either way; if it is dead already, the socket says so.
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    syscalls.set_process_name("kubelab-init")
    syscalls.set_command_line(f"kubelab-init {message.body['name']}")
    messages.send(sock, {"event": "ready"})


def main() -> NoReturn:
    gc.disable()
    sock = socket.socket(fileno=int(sys.argv[1]))
    sock.set_inheritable(False)
    try:
        _enter_namespaces(sock)
    except KernelError as error:
        messages.send(sock, {"event": "failed", "error": _report(error.operation, error.target, error.errno)})
        sys.exit(1)
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        Shim(sock).serve()
    os._exit(0)


if __name__ == "__main__":
    main()
