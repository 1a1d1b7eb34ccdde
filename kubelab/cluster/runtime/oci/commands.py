"""The commands of `kubelab oci`, one function each; an error ends with 1 and one sentence, in the log too.

Source: runc, its commands' files; OCI runtime specification, runtime.md, Operations. Errors of exec and run
end with 255, as runc's do, so that no command's own code is mistaken for them. What only some commands need
is imported by them: callers wait for each.
"""
# ruff: noqa: PTH100, PTH105, PTH123

import contextlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kubelab.cluster.errors import KernelError, LabError
from kubelab.cluster.runtime.oci.arguments import Arguments, Options, UsageError, parse_arguments
from kubelab.cluster.runtime.oci.container_state import (
    OCI_VERSION,
    Container,
    document,
    is_alive,
    status_of,
)
from kubelab.cluster.runtime.oci.state_files import StateError, StateFiles, default_root
from kubelab.language import Text

if TYPE_CHECKING:
    from kubelab.cluster.runtime.oci.creation import Created

_FAILED, _FAILED_TO_RUN = 1, 255
_DEATH_S = 10.0


@dataclass(frozen=True, slots=True)
class Call:
    """One command's invocation."""

    options: Options
    rest: tuple[str, ...]
    files: StateFiles
    warn: Callable[[str], None]

    @property
    def id(self) -> str:
        """Raises UsageError: none was given."""
        if not self.rest:
            raise UsageError("the container's id is missing")
        return self.rest[0]


def main(argv: Sequence[str]) -> int:
    """Do what *argv* asks for; return the exit code."""
    log = _Log("", "text")
    try:
        arguments = parse_arguments(argv)
        values = arguments.general.values
        log = _Log(values.get("log", ""), values.get("log-format", "text"))
        return _dispatch(arguments, log)
    except (UsageError, LabError, OSError) as error:
        log.say("error", str(error))
        print(f"kubelab oci: {error}", file=sys.stderr)  # noqa: T201
        return _FAILED_TO_RUN if set(argv) & {"exec", "run"} else _FAILED


@dataclass(frozen=True, slots=True)
class _Log:
    path: str
    format: str

    def say(self, level: str, message: str) -> None:
        if not self.path:
            return
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        if self.format == "json":
            line = json.dumps({"level": level, "msg": message, "time": stamp})
        else:
            line = f'time="{stamp}" level={level} msg={json.dumps(message)}'
        with contextlib.suppress(OSError), open(self.path, "a", encoding="utf-8") as file:
            file.write(f"{line}\n")


def _dispatch(arguments: Arguments, log: _Log) -> int:
    general = arguments.general
    if "version" in general.flags:
        return _version()
    if "help" in general.flags or not arguments.command:
        _print(str(_HELP))
        return 0 if "help" in general.flags else _FAILED
    if "systemd-cgroup" in general.flags or general.values.get("cgroup-manager") == "systemd":
        raise UsageError(str(_NO_SYSTEMD))
    files = StateFiles(os.path.abspath(general.values.get("root") or default_root()))
    call = Call(arguments.options, arguments.rest, files, lambda message: log.say("warning", message))
    return _COMMANDS[arguments.command](call)


def _print(text: str) -> None:
    print(text, flush=True)  # noqa: T201


def _version() -> int:
    from kubelab import __version__

    _print(f"kubelab oci version {__version__}\nspec: {OCI_VERSION}")
    return 0


def _create(call: Call) -> int:
    with _console(call.options) as console_fd:
        created = _made(call, console_fd, held=True)
    _write_pid(call.options, created.container.pid)
    return 0


def _made(call: Call, console_fd: int, *, held: bool) -> "Created":
    from kubelab.cluster.runtime.oci import bundle as bundles
    from kubelab.cluster.runtime.oci.creation import Request, create

    options = call.options
    bundle = bundles.open_bundle(options.values.get("bundle", ""), options.values.get("config", ""))
    process = bundle.config.process
    if process and process.terminal and console_fd < 0:
        raise UsageError("the process wants a terminal: --console-socket is missing")
    request = Request(
        id=call.id,
        console_fd=console_fd if process and process.terminal else -1,
        preserved_fds=options.number("preserve-fds"),
        keyring="no-new-keyring" not in options.flags,
        held=held,
    )
    return create(request, bundle, call.files)


@contextlib.contextmanager
def _console(options: Options) -> Iterator[int]:
    """Yield the socket to which the terminal is to be sent; -1 without one."""
    path = options.values.get("console-socket")
    if not path:
        yield -1
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.connect(path)
        yield sock.fileno()


def _write_pid(options: Options, pid: int) -> None:
    if path := options.values.get("pid-file"):
        directory, name = os.path.split(path)
        temporary = os.path.join(directory, f".{name}")
        with open(temporary, "w", encoding="ascii") as file:
            file.write(str(pid))
        os.replace(temporary, path)


def _start(call: Call) -> int:
    made = call.files.load(call.id)
    _need(made, call.files, "created")
    fifo = call.files.fifo(made.id)
    with contextlib.closing(_Fifo(fifo)) as held:
        held.release()
    os.unlink(fifo)  # noqa: PTH108
    _after_start(made, call)
    return 0


class _Fifo:
    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    def release(self) -> None:
        os.write(self._fd, b"\0")

    def close(self) -> None:
        os.close(self._fd)


def _after_start(made: Container, call: Call) -> None:
    """Raises HookError: then the container is not to live."""
    config = call.files.config(made.id)
    if _has_hooks(config, "poststart"):
        from kubelab.cluster.runtime.config import parse
        from kubelab.cluster.runtime.oci.hooks import HookError, run_hooks

        try:
            run_hooks("poststart", parse(config).hooks.poststart, document(made, "running"))
        except HookError:
            _kill_and_wait(made)
            _remove(made, call)
            raise


def _run(call: Call) -> int:
    from kubelab.cluster.runtime.oci import foreground

    terminal = "detach" not in call.options.flags and not call.options.values.get("console-socket")
    ours, theirs = socket.socketpair()
    with ours, theirs, foreground.Relay() as relay, _console(call.options) as console_fd:
        created = _made(call, theirs.fileno() if terminal else console_fd, held=False)
        theirs.close()
        made = created.container
        ended = False
        try:
            created.executed()
            _write_pid(call.options, made.pid)
            _after_start(made, call)
            if "detach" in call.options.flags:
                return 0
            master = foreground.receive_terminal(ours) if terminal else -1
            code = foreground.wait(made.pid, created.pidfd, relay, master)
            ended = True
        except BaseException:
            _kill_and_wait(made)
            _remove(made, call)
            raise
    if ended and "keep" not in call.options.flags:
        _remove(made, call)
    return code


def _state(call: Call) -> int:
    made = call.files.load(call.id)
    _print(json.dumps(document(made, _status(made, call.files)), indent=2))
    return 0


def _status(made: Container, files: StateFiles) -> str:
    return status_of(made, files.fifo(made.id))


def _need(made: Container, files: StateFiles, *wanted: str) -> None:
    """Raises StateError: the container is in none of the wanted states."""
    status = _status(made, files)
    if status not in wanted:
        raise StateError(_WRONG_STATE.format(id=made.id, status=status, wanted=", ".join(wanted)))


def _kill(call: Call) -> int:
    made = call.files.load(call.id)
    number = _signal(call.rest[1] if len(call.rest) > 1 else "TERM")
    if "all" in call.options.flags:
        for pid in made.cgroup.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        return 0
    status = _status(made, call.files)
    if status == "stopped":
        raise StateError(_NOT_RUNNING.format(id=made.id))
    _send(made, number)
    if status == "paused" and number == signal.SIGKILL:
        made.cgroup.limit("cgroup.freeze", "0")
    return 0


def _signal(word: str) -> int:
    """Return the number of a signal: `9`, `KILL` or `SIGKILL`. Raises UsageError: there is none of that
    name."""
    name = word.upper().removeprefix("SIG")
    if name.isdecimal():
        return int(name)
    base, plus, offset = name.partition("+")
    found = getattr(signal, f"SIG{base}", None)
    if found is None or (plus and not offset.isdecimal()):
        raise UsageError(f"there is no signal {word}")
    return int(found) + int(offset or 0)


def _send(made: Container, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        pidfd = os.pidfd_open(made.pid)
        try:
            if is_alive(made):
                signal.pidfd_send_signal(pidfd, number)
        finally:
            os.close(pidfd)


def _delete(call: Call) -> int:
    forced = "force" in call.options.flags
    try:
        made = call.files.load(call.id)
    except StateError:
        if not call.files.take_back(call.id) and not forced:
            raise
        return 0
    if forced:
        _kill_and_wait(made)
    else:
        _need(made, call.files, "stopped")
    _remove(made, call)
    return 0


def _kill_and_wait(made: Container) -> None:
    deadline_s = time.monotonic() + _DEATH_S
    with contextlib.suppress(KernelError):  # Whoever was killed while he removed it has got this far.
        made.cgroup.limit("cgroup.freeze", "0")
    _send(made, signal.SIGKILL)
    while is_alive(made) and time.monotonic() < deadline_s:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(made.pid, os.WNOHANG)
        time.sleep(0.002)


def _remove(made: Container, call: Call) -> None:
    config = call.files.config(made.id)
    made.cgroup.remove()
    call.files.remove(made.id)
    if _has_hooks(config, "poststop"):
        from kubelab.cluster.runtime.config import parse
        from kubelab.cluster.runtime.oci.hooks import call_poststop

        call_poststop(parse(config).hooks.poststop, document(made, "stopped"), call.warn)


def _has_hooks(config: dict[str, Any], name: str) -> bool:
    return bool((config.get("hooks") or {}).get(name))


def _exec(call: Call) -> int:
    from kubelab.cluster.runtime.config import parse
    from kubelab.cluster.runtime.oci import execution, foreground

    made = call.files.load(call.id)
    allowed = ("created", "running", *(["paused"] if "ignore-paused" in call.options.flags else []))
    _need(made, call.files, *allowed)
    config = parse(call.files.config(made.id))
    process = execution.process_of(config, call.options, call.rest[1:])
    own_terminal = process.terminal and not call.options.values.get("console-socket")
    ours, theirs = socket.socketpair()
    with ours, theirs, foreground.Relay() as relay, _console(call.options) as console_fd:
        console = theirs.fileno() if own_terminal else console_fd
        executed = execution.execute(made, config, process, call.options, console if process.terminal else -1)
        _write_pid(call.options, executed.pid)
        if "detach" in call.options.flags:
            return 0
        master = foreground.receive_terminal(ours) if own_terminal else -1
        return foreground.wait(executed.pid, executed.pidfd, relay, master)


def _list(call: Call) -> int:
    found = [document(made, _status(made, call.files)) for made in call.files.all()]
    if "quiet" in call.options.flags:
        _print("\n".join(each["id"] for each in found))
    elif call.options.values.get("format") == "json":
        _print(json.dumps(found))
    else:
        _print("{:<20} {:<8} {:<10} {:<30} {}".format("ID", "PID", "STATUS", "BUNDLE", "CREATED"))
        for each in found:
            columns = (each[name] for name in ("id", "pid", "status", "bundle", "created"))
            _print("{:<20} {:<8} {:<10} {:<30} {}".format(*columns))
    return 0


def _ps(call: Call) -> int:
    pids = call.files.load(call.id).cgroup.processes()
    if call.options.values.get("format") == "json":
        _print(json.dumps(list(pids)))
        return 0
    import subprocess

    options = call.rest[1:] or ("-f",)
    return subprocess.call(("ps", *options, "-p", ",".join(map(str, pids))))


def _pause(call: Call) -> int:
    made = call.files.load(call.id)
    _need(made, call.files, "running", "created")
    made.cgroup.write("cgroup.freeze", "1")
    return 0


def _resume(call: Call) -> int:
    made = call.files.load(call.id)
    _need(made, call.files, "paused")
    made.cgroup.write("cgroup.freeze", "0")
    return 0


def _update(call: Call) -> int:
    from kubelab.cluster.runtime.oci import limits

    made = call.files.load(call.id)
    _need(made, call.files, "created", "running", "paused")
    for name, value in limits.asked_for(call.options).fields.items():
        made.cgroup.limit(name, value)
    return 0


def _events(call: Call) -> int:
    """Print the statistics, again and again unless only once is asked for; the container's end ends it."""
    from kubelab.cluster.runtime.oci import limits

    made = call.files.load(call.id)
    _need(made, call.files, "created", "running", "paused")
    while True:
        stats: dict[str, Any] = {"type": "stats", "id": made.id, "data": limits.statistics(made.cgroup)}
        _print(json.dumps(stats))
        if "stats" in call.options.flags:
            return 0
        time.sleep(float(call.options.values.get("interval", "5s").removesuffix("s")))
        if not is_alive(made):
            return 0


def _features(_: Call) -> int:
    from kubelab.cluster.runtime.oci.features import features

    _print(json.dumps(features(), indent=2))
    return 0


def _spec(call: Call) -> int:
    from kubelab.cluster.runtime.oci.features import default_config

    path = os.path.join(call.options.values.get("bundle", ""), "config.json")
    with open(path, "x", encoding="utf-8") as file:
        json.dump(default_config(rootless="rootless" in call.options.flags), file, indent=4)
    return 0


_COMMANDS: dict[str, Callable[[Call], int]] = {
    "create": _create,
    "run": _run,
    "start": _start,
    "state": _state,
    "kill": _kill,
    "delete": _delete,
    "exec": _exec,
    "list": _list,
    "ps": _ps,
    "pause": _pause,
    "resume": _resume,
    "update": _update,
    "events": _events,
    "features": _features,
    "spec": _spec,
}

_NO_SYSTEMD = Text(
    es="los cgroups de systemd no se conocen aquí: quita --systemd-cgroup (podman --cgroup-manager cgroupfs)",
    en="systemd's cgroups are not known here: leave out --systemd-cgroup (podman --cgroup-manager cgroupfs)",
)
_WRONG_STATE = Text(
    es="el contenedor {id} está {status}, y tendría que estar {wanted}",
    en="container {id} is {status}, and would have to be {wanted}",
)
_NOT_RUNNING = Text(
    es="el contenedor {id} no está en marcha (container not running)",
    en="container not running: {id} has ended already",
)
_HELP = Text(
    es="Uso: kubelab oci [--root DIR] [--log FILE] [--log-format text|json] COMANDO ...\n\n"
    "Un runtime de contenedores según la especificación OCI, con las opciones de runc:\n"
    "create run start state kill delete exec list ps pause resume update events features spec",
    en="Usage: kubelab oci [--root DIR] [--log FILE] [--log-format text|json] COMMAND ...\n\n"
    "A container runtime after the OCI specification, with runc's options:\n"
    "create run start state kill delete exec list ps pause resume update events features spec",
)
