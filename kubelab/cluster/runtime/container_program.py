"""A plain container made by a program of system calls, without a copy of this process for it.

What `container.run` does step by step, this writes down as one program (see `linux.syscall_program`): about
four hundred calls that are the same for all containers of one shape, and written once for them. What differs
from one to the next are variables: whose sandbox, cgroup and volumes, the command with its environment, what
stands in its files.
A container is plain if it is a view of /usr with the pod's namespaces and no terminal, users or sysctls of
its own; `is_plain` says it. All others are made by `container.run`; and so is one whose program fails, since
that one can tell why: nothing of the first attempt is left then but directories that the second finds made.
Left out: roots of layers, terminals, user namespaces, devices of one's own, processors but x86-64.
"""
# ruff: noqa: PTH110, PTH112, PTH114, PTH115 - the shim imports this, and pathlib is slow to

import errno
import functools
import os
import resource
import stat
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from kubelab.cluster.errors import KernelError
from kubelab.cluster.linux import syscall_program, syscalls, user_namespace
from kubelab.cluster.linux.cgroup_freezer import is_frozen
from kubelab.cluster.linux.cgroups import Hierarchy
from kubelab.cluster.linux.detached_mounts import ATTR_RDONLY
from kubelab.cluster.linux.loaded_program import LoadedProgram
from kubelab.cluster.linux.seccomp_profile import Seccomp
from kubelab.cluster.linux.syscall_program import Argument, Cell, Label, Program, Value, string
from kubelab.cluster.runtime import container_devices, container_root, mount_program, process_program, users
from kubelab.cluster.runtime.config import SANDBOX, Config, Device, Mount, Process, User, parse_text
from kubelab.cluster.runtime.confinement_program import Become, become
from kubelab.cluster.runtime.container import Start, nothing
from kubelab.cluster.runtime.container_devices import LINKS
from kubelab.cluster.runtime.container_mounts import CGROUP_ATTRIBUTES
from kubelab.cluster.runtime.container_namespaces import FLAGS
from kubelab.cluster.runtime.container_root import ETC, MERGED, ROOT, SHOWN_OF_ETC
from kubelab.cluster.runtime.execution import DEFAULT_PATH
from kubelab.cluster.runtime.machine_root import PRISTINE_DEVICES
from kubelab.cluster.runtime.mount_options import parse_options
from kubelab.cluster.runtime.mount_program import AT_FDCWD
from kubelab.cluster.runtime.process_program import Prepared

_CGROUP_TYPES = ("cgroup", "cgroup2")
_KERNEL_TYPES = frozenset({"proc", "sysfs", "tmpfs", "devpts", "mqueue", *_CGROUP_TYPES})
_ACCOUNT_FILES = ("etc", "etc/passwd", "etc/group")
_CANDIDATES_MAX = 16
_SHAPES_MAX = 16
_COMMANDS_MAX = 64
_MOUNTS_MAX = 256
_CAP_MKNOD = 27
_DEFAULT_PATH = f"PATH={DEFAULT_PATH}"


@dataclass(frozen=True, slots=True)
class Shape:
    """All that a program is made of: containers of equal shape differ in variables only. `process` has no
    arguments and no environment, and `mounts` no sources where something is bound. `silent`: which of the
    three streams are /dev/null."""

    process: Process
    user: User
    seccomp: Seccomp | None
    namespaces: tuple[str, ...]
    mounts: tuple[Mount, ...]
    are_directories: tuple[bool, ...]
    devices: tuple[Device, ...]
    read_only_root: bool
    masked: tuple[str, ...]
    read_only: tuple[str, ...]
    files: tuple[str, ...]
    silent: tuple[bool, ...]
    disk_bytes: int
    hierarchies: tuple[Hierarchy, ...]
    candidates: int
    keyring: str


def prepare(wanted: Start) -> Prepared | None:
    """Return what starts the container, None if that is for `container.run` to do."""
    if wanted.own is None or not is_plain(wanted):
        return None
    try:
        # Who is born into a frozen cgroup does nothing, and this process would wait for it.
        if is_frozen(wanted.cgroup):
            return None
        user, home = _account_of(wanted.document)
        env = _environment(wanted.own.env, home)
        candidates = _candidates(wanted.own.args[0], env.get("PATH", _DEFAULT_PATH))
        binds = _binds(wanted)
        program = _program_of(wanted, user, binds, len(candidates))
        return process_program.prepared(program, _values(wanted, env, candidates, binds), wanted.cgroup)
    except (KernelError, OSError, ValueError, struct.error, users.UnknownUserError):
        return None


def look_again() -> None:
    """Forget what was seen of the machine's files: a program has failed, and that may be why."""
    _common_binds.cache_clear()


def is_plain(wanted: Start) -> bool:
    """Can a program make this container here?"""
    return _is_possible() and describes_plain(wanted)


def describes_plain(wanted: Start) -> bool:
    """Can a program make this container, where programs can be run?"""
    known = wanted.document
    return (
        _is_view(wanted)
        and _needs_nothing_more(wanted)
        and (_document_is_plain(known) if known else _config_is_plain(wanted.config))
    )


@functools.lru_cache(maxsize=_SHAPES_MAX)
def _document_is_plain(document: str) -> bool:
    return _config_is_plain(parse_text(document))


@functools.cache
def _is_possible() -> bool:
    """Where nodes may be made, `container_devices` makes them; no program does."""
    return (
        syscall_program.is_possible()
        and not user_namespace.is_nested()
        and not syscalls.capget() >> _CAP_MKNOD & 1
    )


def _is_view(wanted: Start) -> bool:
    return not (wanted.rootfs.lowers or wanted.rootfs.path or wanted.rootfs.layers_fd >= 0)


def _needs_nothing_more(wanted: Start) -> bool:
    return (
        wanted.console_fd < 0
        and wanted.userns_fd < 0
        and not any(0 <= fd <= 2 for fd in wanted.streams)
        and wanted.before_pivot is nothing
        and wanted.before_command is nothing
        and not (wanted.owns_sandbox or wanted.preserved_fds)
    )


def _config_is_plain(config: Config) -> bool:
    return (
        config.process is not None
        and not config.process.terminal
        and not (config.sysctl or config.hostname or config.domainname or config.rootfs_propagation)
        and not (config.time_offsets or config.devices)
        and all(hasattr(resource, limit.type) for limit in config.process.rlimits)
        and _namespaces_are_plain(config)
        and all(_mount_is_plain(each) for each in config.mounts)
        and bool(container_devices.wanted(config))
    )


def _namespaces_are_plain(config: Config) -> bool:
    own = {each.type for each in config.namespaces if not each.path}
    shared = {each.type for each in config.namespaces if each.path == SANDBOX}
    return (
        len(own) + len(shared) == len(config.namespaces)
        and {"mount", "cgroup"} <= own <= {"mount", "cgroup", "pid"}
        and shared <= {"network", "ipc", "uts", "pid"}
    )


def _mount_is_plain(mount: Mount) -> bool:
    options, path = parse_options(mount.options), _inside(mount.destination)
    # A name for the root, or for /proc, that does not look like it would be taken for another.
    if path in _ACCOUNT_FILES or {"", ".", ".."} & set(path.split("/")):
        return False
    if options.idmap or mount.uid_mappings or options.copy_up:
        return False
    if _is_bind(mount):
        return path.partition("/")[0] != "proc"
    return mount.type in _KERNEL_TYPES and (path.partition("/")[0] != "proc" or path == mount.type)


def _is_bind(mount: Mount) -> bool:
    return mount.type in ("bind", "rbind") or bool({"bind", "rbind"} & set(mount.options))


def _inside(path: str) -> str:
    """Return where a destination is in a view, whose only symlink outside of /usr is /var/run."""
    path = path.strip("/")
    return path.removeprefix("var/") if f"{path}/".startswith("var/run/") else path


@functools.lru_cache(maxsize=_SHAPES_MAX)
def _account_of(document: str) -> tuple[User, str]:
    """Return who the process is, by numbers, and his home."""
    process = parse_text(document).process
    assert process is not None
    user = process.user
    if user.name:
        user = replace(users.find_user(user.name, ETC["passwd"], ETC["group"], user), name="")
    return user, users.home_of(user.uid, ETC["passwd"])


def _environment(env: Sequence[str], home: str) -> dict[str, str]:
    """Return the entries by their names; of two of one name the last is in force."""
    entries = {each.partition("=")[0]: each for each in env if "=" in each}
    if entries.get("HOME", "HOME=") == "HOME=":
        entries["HOME"] = f"HOME={home}"
    return entries


@functools.lru_cache(maxsize=_COMMANDS_MAX)
def _candidates(command: str, path: str) -> tuple[bytes, ...]:
    """Return where the command may be, by the entry of the environment that says where commands are.

    Raises:
        KernelError: there are too many places.
    """
    if "/" in command:
        return (string(command),)
    directories = path.removeprefix("PATH=").split(":")
    if len(directories) > _CANDIDATES_MAX:
        raise KernelError("find", command, errno.E2BIG)
    return tuple(string(os.path.join(directory or ".", command)) for directory in directories)


@dataclass(frozen=True, slots=True)
class _Binds:
    """What the mounts of a container show, by the mounts' numbers: the paths, and which are directories."""

    sources: Mapping[int, bytes]
    directories: tuple[int, ...]


def _binds(wanted: Start) -> _Binds:
    """Return what is common to the kind, what is the container's own, and its /dev/shm."""
    assert wanted.own is not None
    common, own = _common_binds(wanted.document), dict(_own_binds(wanted, wanted.own.sources))
    sources = {**common.sources, **{number: string(path) for number, path in own.items()}}
    directories = (number for number, path in own.items() if os.path.isdir(path))
    return _Binds(sources, (*common.directories, *directories))


def _own_binds(wanted: Start, sources: Sequence[str]) -> Iterator[tuple[int, str]]:
    end = len(wanted.config.mounts)
    yield from enumerate(sources, end - len(sources))
    if wanted.shm:
        yield end, wanted.shm


@functools.lru_cache(maxsize=_SHAPES_MAX)
def _common_binds(document: str) -> _Binds:
    """What is shown of the machine itself is looked at once: see `look_again`."""
    mounts = enumerate(parse_text(document).mounts)
    found = {number: each.source for number, each in mounts if _is_bind(each) and each.source}
    directories = (number for number, path in found.items() if os.path.isdir(path))
    return _Binds({number: string(path) for number, path in found.items()}, tuple(directories))


def _program_of(wanted: Start, user: User, binds: _Binds, candidates: int) -> LoadedProgram:
    """Return the program that makes the container; one for the same document is found without a look into
    it."""
    key = (
        wanted.document,
        binds.directories,
        tuple(wanted.files),
        tuple(fd < 0 for fd in wanted.streams),
        wanted.rootfs.disk_bytes,
        len(wanted.cgroup_view.hierarchies),
        candidates,
        wanted.keyring,
    )
    known = _programs.get(key)
    if known and known[0] == wanted.cgroup_view.hierarchies:
        return known[1]
    if len(_programs) >= _SHAPES_MAX:
        _programs.clear()
    program = _program(_shape(wanted, user, frozenset(binds.directories), candidates))
    _programs[key] = wanted.cgroup_view.hierarchies, program
    return program


# To compare the hierarchies, most often the very same, takes less than to hash them.
_programs: dict[tuple[object, ...], tuple[tuple[Hierarchy, ...], LoadedProgram]] = {}


def _all_mounts(wanted: Start) -> tuple[Mount, ...]:
    shm = (Mount("/dev/shm", "bind", wanted.shm, ("bind", "rw")),) if wanted.shm else ()  # noqa: S108
    return wanted.config.mounts + shm


def _shape(wanted: Start, user: User, directories: frozenset[int], candidates: int) -> Shape:
    config, mounts = wanted.config, _all_mounts(wanted)
    assert config.process is not None
    return Shape(
        process=replace(config.process, args=(), env=()),
        user=user,
        seccomp=config.seccomp,
        namespaces=tuple(each.type for each in config.namespaces if each.path == SANDBOX),
        mounts=tuple(map(_sourceless, mounts)),
        are_directories=tuple(not _is_bind(each) or n in directories for n, each in enumerate(mounts)),
        devices=container_devices.wanted(config),
        read_only_root=bool(config.root and config.root.readonly),
        masked=config.masked_paths,
        read_only=config.readonly_paths,
        files=tuple(wanted.files),
        silent=tuple(fd < 0 for fd in wanted.streams),
        disk_bytes=wanted.rootfs.disk_bytes,
        hierarchies=wanted.cgroup_view.hierarchies,
        candidates=candidates,
        keyring=wanted.keyring,
    )


@functools.lru_cache(maxsize=_MOUNTS_MAX)
def _sourceless(mount: Mount) -> Mount:
    return replace(mount, source="") if _is_bind(mount) else mount


def _values(
    wanted: Start, env: Mapping[str, str], candidates: Sequence[bytes], binds: _Binds
) -> dict[str, Value]:
    assert wanted.own is not None
    values: dict[str, Value] = {
        "sandbox": wanted.sandbox_pidfd,
        "argv": tuple(map(string, wanted.own.args)),
        "env": tuple(map(string, env.values())),
    }
    values |= {f"path{number}": path for number, path in enumerate(candidates)}
    values |= {f"source{number}": source for number, source in binds.sources.items()}
    for number, text in enumerate(wanted.files.values()):
        content = text.encode()
        values[f"file{number}"], values[f"length{number}"] = content, len(content)
    values |= {f"stream{number}": fd for number, fd in enumerate(wanted.streams) if fd >= 0}
    if any(each.type in _CGROUP_TYPES for each in wanted.config.mounts):
        directories = enumerate(wanted.cgroup.directories)
        values |= {f"hierarchy{number}": os.fsencode(path) for number, path in directories}
    return values


@functools.lru_cache(maxsize=_SHAPES_MAX)
def _program(shape: Shape) -> LoadedProgram:
    program = Program()
    syscall_program.guard(program)
    process_program.be_killable(program, shape.process.oom_score_adj)
    _enter(program, shape)
    program.call("setsid")
    _make_root(program, shape)
    _finish_root(program, shape)
    process_program.use_streams(program, *_streams(program, shape))
    become(program, Become(shape.process, shape.user, shape.seccomp, shape.keyring, shape.candidates))
    return program.load()


def _enter(program: Program, shape: Shape) -> None:
    process_program.enter_cgroup(program, sum(each.version == 1 for each in shape.hierarchies))
    # A pid namespace is entered by being cloned in it.
    shared = sum(FLAGS[kind] for kind in shape.namespaces if kind != "pid")
    if shared:
        program.call("setns", program.variable("sandbox"), shared)
    program.call("unshare", syscalls.CLONE_NEWCGROUP)


def _make_root(program: Program, shape: Shape) -> None:
    # What passes mounts on is opened while its source still does; all others are as private as that is then.
    private = all(mount_program.is_private(parse_options(each.options)) for each in shape.mounts)
    trees = {} if private else _bound(program, shape, source_is_private=False)
    process_program.make_private(program)
    trees = trees or _bound(program, shape, source_is_private=True)
    options = f"mode=0755,size={shape.disk_bytes}"
    program.call("mount", "kubelab/root", ROOT, "tmpfs", syscalls.MS_NODEV, options)
    root = program.call("openat", AT_FDCWD, ROOT, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    _make_view(program, root, frozenset(each.destination for each in shape.mounts if _is_bind(each)))
    made: dict[str, Cell] = {}  # File systems that were empty when they were mounted, by their places.
    for number, mount in enumerate(shape.mounts):
        place = _inside(mount.destination)
        directory = shape.are_directories[number]
        target = _place_in(program, made, place) if directory else None
        target = target or mount_program.target(program, root, place, directory=directory)
        made = {path: fd for path, fd in made.items() if not f"{path}/".startswith(f"{place}/")}
        if number in trees:
            mount_program.attach(program, trees[number], target, place)
        elif mount.type in _CGROUP_TYPES:
            _mount_cgroups(program, target, mount, shape)
        elif mount.type == "tmpfs":
            made[place] = _mount_new(program, target, mount)
        else:
            _mount_new(program, target, mount)
    _make_devices(program, root, shape, made)
    _write_files(program, root, shape)
    _make_working_directory(program, root, _inside(shape.process.cwd))


def _place_in(program: Program, made: Mapping[str, Cell], path: str) -> Cell | None:
    """Make the directory right in a file system that has nothing but directories; None if it is in none."""
    directory, _, name = path.rpartition("/")
    if directory not in made:
        return None
    program.try_call("mkdirat", made[directory], name, 0o755, errors=(errno.EEXIST,))
    return mount_program.open_within(program, made[directory], name, os.O_PATH)


def _make_working_directory(program: Program, root: Cell, path: str) -> None:
    missing, there = Label(), Label()
    mount_program.open_following(program, root, path, otherwise={errno.ENOENT: missing})
    program.jump(there)
    program.place(missing)
    mount_program.target(program, root, path, directory=True)
    program.place(there)


def _bound(program: Program, shape: Shape, *, source_is_private: bool) -> dict[int, Cell]:
    """Open the sources of what is bound, before the root covers some."""
    trees = {}
    for number, mount in enumerate(shape.mounts):
        if _is_bind(mount):
            options = parse_options(mount.options)
            recursive = options.recursive or mount.type == "rbind"
            source = program.variable(f"source{number}")
            trees[number] = mount_program.bound(
                program, source, options, recursive=recursive, source_is_private=source_is_private
            )
    return trees


def _make_view(program: Program, root: Cell, covered: frozenset[str]) -> None:
    """See `container_root.mount_root`."""
    for name in container_root.DIRECTORIES:
        program.call("mkdirat", root, name, 0o777)
    for name, mode in (("tmp", 0o1777), ("var/tmp", 0o1777), ("root", 0o700)):
        program.call("fchmodat", root, name, mode)
    program.call("symlinkat", "/run", root, "var/run")
    if "/usr" not in covered:
        process_program.bind_read_only(program, "/usr", f"{ROOT}/usr")
    for name in MERGED:
        if os.path.islink(f"/{name}"):
            program.call("symlinkat", os.readlink(f"/{name}"), root, name)
        elif os.path.isdir(f"/{name}"):
            program.call("mkdirat", root, name, 0o777)
            process_program.bind_read_only(program, f"/{name}", f"{ROOT}/{name}")
    for name, content in ETC.items():
        _create(program, root, f"etc/{name}", content.encode())
    for name in SHOWN_OF_ETC:
        if os.path.exists(f"/etc/{name}"):
            _show_of_etc(program, root, f"etc/{name}", is_covered=f"/etc/{name}" in covered)


def _create(program: Program, root: Cell, path: str, content: bytes = b"") -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    fd = program.call("openat", root, path, flags, 0o666)
    if content:
        program.call("write", fd, content, len(content), target=path)
    program.call("close", fd)


def _show_of_etc(program: Program, root: Cell, path: str, *, is_covered: bool) -> None:
    directory = os.path.dirname(path)
    if directory != "etc":
        program.try_call("mkdirat", root, directory, 0o777, errors=(errno.EEXIST,))
    if os.path.isdir(f"/{path}"):
        program.call("mkdirat", root, path, 0o777)
    else:
        _create(program, root, path)
    if not is_covered:
        process_program.bind_read_only(program, f"/{path}", f"{ROOT}/{path}")


def _mount_new(program: Program, target: Cell, mount: Mount) -> Cell:
    options = parse_options(mount.options)
    fd = mount_program.make(program, mount.type, mount.source or mount.type, options.data, options.set)
    if options.propagation:
        recursive = options.propagation_recursive
        mount_program.set_attributes(program, fd, propagation=options.propagation, recursive=recursive)
    mount_program.attach(program, fd, target, mount.destination)
    return fd


def _mount_cgroups(program: Program, target: Cell, mount: Mount, shape: Shape) -> None:
    """See `container_mounts`; the container has a cgroup namespace."""
    asked = parse_options(mount.options).set
    attributes = asked | CGROUP_ATTRIBUTES
    if all(not each.name for each in shape.hierarchies):
        for number, _ in enumerate(shape.hierarchies):
            _mount_hierarchy(program, target, number, attributes)
        return
    top = mount_program.make(program, "tmpfs", "cgroup", ["mode=755"], CGROUP_ATTRIBUTES)
    mount_program.attach(program, top, target, "cgroup")
    for number, each in enumerate(shape.hierarchies):
        program.call("mkdirat", top, each.name, 0o777)
        place = program.call("openat", top, each.name, os.O_PATH | os.O_CLOEXEC)
        _mount_hierarchy(program, place, number, attributes)
        for controller in each.controllers if each.version == 1 else ():
            if controller != each.name:
                program.call("symlinkat", each.name, top, controller)
    if asked & ATTR_RDONLY:
        mount_program.set_attributes(program, top, ATTR_RDONLY)


def _mount_hierarchy(program: Program, target: Cell, number: int, attributes: int) -> None:
    """A hierarchy that is mounted in a cgroup namespace is that cgroup's directory of it, shown: to show it
    takes no look at all of the hierarchies, with a lock that each new cgroup waits for."""
    tree = mount_program.clone(program, program.variable(f"hierarchy{number}"), recursive=False)
    mount_program.set_attributes(program, tree, attributes, mount_program.ALL_ATTRIBUTES)
    mount_program.attach(program, tree, target, "cgroup")


def _make_devices(program: Program, root: Cell, shape: Shape, made: Mapping[str, Cell]) -> None:
    """Show the machine's own nodes, after a look at what they are; nobody here makes any."""
    before = program.call("umask", 0)
    directories = {
        path: mount_program.open_within(program, root, path.lstrip("/"), os.O_PATH)
        for path in dict.fromkeys(os.path.dirname(device.path) for device in shape.devices)
    }
    for device in shape.devices:
        directory, name = os.path.split(device.path)
        tree = mount_program.clone(program, f"{PRISTINE_DEVICES}/{name}", recursive=False)
        number = os.makedev(device.major, device.minor)
        mount_program.check_device(program, tree, stat.S_IFMT(device.mode), number, device.path)
        if directory.strip("/") not in made:
            program.try_call("unlinkat", directories[directory], name, 0, errors=(errno.ENOENT,))
        flags = os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        place = program.call("openat", directories[directory], name, flags, stat.S_IMODE(device.mode))
        mount_program.attach(program, tree, place, device.path)
    program.call("umask", before)
    dev = mount_program.open_within(program, root, "dev", os.O_PATH)
    for name, destination in LINKS.items():
        if name == "ptmx":
            program.try_call("unlinkat", dev, name, 0, errors=(errno.ENOENT,))
        program.try_call("symlinkat", destination, dev, name, errors=(errno.EEXIST,))


def _write_files(program: Program, root: Cell, shape: Shape) -> None:
    for number, path in enumerate(shape.files):
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        fd = mount_program.open_within(program, root, _inside(path), flags, 0o644)
        length = program.variable(f"length{number}")
        written = program.call("write", fd, program.variable(f"file{number}"), length, target=path)
        program.check(program.address_of(written), length, target=path)
        program.call("fchmod", fd, 0o644)
        # A root with a file that is open for writing cannot be made read-only.
        program.call("close", fd)


def _finish_root(program: Program, shape: Shape) -> None:
    """See `mounts.enter_root` and `container`."""
    process_program.enter_root(program, ROOT)
    mount_program.make_read_only(program, shape.read_only)
    mount_program.mask(program, shape.masked)
    if shape.read_only_root:
        process_program.make_read_only(program, "/", recursive=False)


def _streams(program: Program, shape: Shape) -> list[Argument]:
    streams = enumerate(shape.silent)
    return [-1 if silent else program.variable(f"stream{number}") for number, silent in streams]
