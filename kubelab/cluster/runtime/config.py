"""The description of a container: the OCI runtime specification's config.json, as values.

Source: opencontainers/runtime-spec, config.md, config-linux.md, specs-go/config.go. Pods' containers are
described in the same words (`pod_config`), so that one code path makes all containers. Pure, and nothing but
the standard library, because the shim imports it.
Unknown fields are ignored, as the specification asks. A namespace whose path is `SANDBOX` is that of the
pod's sandbox, which the caller has a pidfd of.
Left out: Solaris, Windows, VM, Intel RDT, memory policies, network devices, hugepages, RDMA, schedulers, I/O
priorities, CPU affinity of exec; SELinux and AppArmor labels are refused by `container`, not dropped.
"""

import functools
import json
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from kubelab.cluster.errors import LabError
from kubelab.cluster.linux.cgroup_v1.cpu import weight_of_shares
from kubelab.cluster.linux.device_rules import DeviceRule
from kubelab.cluster.linux.seccomp_default import default_profile
from kubelab.cluster.linux.seccomp_profile import Seccomp, SeccompArgument, SeccompRule
from kubelab.language import Text

SANDBOX = "sandbox"
SECCOMP_ANNOTATION = "kubelab/seccomp"
RUNTIME_DEFAULT = "RuntimeDefault"  # Its value: the default profile, which is long to spell out each time.
_TEXTS_MAX = 64

_T = TypeVar("_T")


class ConfigError(LabError):
    """The document describes no container. Nothing was made."""


@dataclass(frozen=True, slots=True)
class User:
    """`name` as an image has it (`www`, `www:adm`), to be looked up in the container; above `uid`, `gid`."""

    uid: int = 0
    gid: int = 0
    umask: int | None = None
    additional_gids: tuple[int, ...] = ()
    name: str = ""


@dataclass(frozen=True, slots=True)
class Rlimit:
    """`type` as RLIMIT_NOFILE."""

    type: str
    soft: int
    hard: int


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The five sets, without the prefix CAP_."""

    bounding: frozenset[str] = frozenset()
    effective: frozenset[str] = frozenset()
    permitted: frozenset[str] = frozenset()
    inheritable: frozenset[str] = frozenset()
    ambient: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Process:
    args: tuple[str, ...]
    env: tuple[str, ...] = ()
    cwd: str = "/"
    user: User = field(default_factory=User)
    terminal: bool = False
    console_size: tuple[int, int] | None = None  # rows, columns
    # None: not said, nothing is given up.
    capabilities: Capabilities | None = None
    rlimits: tuple[Rlimit, ...] = ()
    no_new_privileges: bool = False
    oom_score_adj: int | None = None
    apparmor_profile: str = ""
    selinux_label: str = ""


@dataclass(frozen=True, slots=True)
class Root:
    path: str
    readonly: bool = False


@dataclass(frozen=True, slots=True)
class IdMapping:
    container_id: int
    host_id: int
    size: int


@dataclass(frozen=True, slots=True)
class Mount:
    destination: str
    type: str = ""
    source: str = ""
    options: tuple[str, ...] = ()
    uid_mappings: tuple[IdMapping, ...] = ()
    gid_mappings: tuple[IdMapping, ...] = ()


@dataclass(frozen=True, slots=True)
class Namespace:
    """`type` is pid, network, mount, ipc, uts, user, cgroup or time; with no path it is made anew."""

    type: str
    path: str = ""


@dataclass(frozen=True, slots=True)
class Device:
    """`mode` has the file type (stat.S_IFCHR, S_IFBLK, S_IFIFO) as well. `source`, which is none of the
    specification's: show this node, whatever it is."""

    path: str
    mode: int
    major: int = 0
    minor: int = 0
    uid: int = 0
    gid: int = 0
    source: str = ""


@dataclass(frozen=True, slots=True)
class Resources:
    """`fields`: limits by cgroup v2's names, in the order in which they are to be set."""

    fields: Mapping[str, str] = field(default_factory=dict)
    devices: tuple[DeviceRule, ...] = ()


@dataclass(frozen=True, slots=True)
class Hook:
    path: str
    args: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    timeout_s: int | None = None


@dataclass(frozen=True, slots=True)
class Hooks:
    prestart: tuple[Hook, ...] = ()
    create_runtime: tuple[Hook, ...] = ()
    create_container: tuple[Hook, ...] = ()
    start_container: tuple[Hook, ...] = ()
    poststart: tuple[Hook, ...] = ()
    poststop: tuple[Hook, ...] = ()


@dataclass(frozen=True, slots=True)
class Config:
    """One container. `process` None: it can be created, but not started."""

    process: Process | None
    root: Root | None = None
    hostname: str = ""
    domainname: str = ""
    mounts: tuple[Mount, ...] = ()
    namespaces: tuple[Namespace, ...] = ()
    uid_mappings: tuple[IdMapping, ...] = ()
    gid_mappings: tuple[IdMapping, ...] = ()
    time_offsets: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    devices: tuple[Device, ...] = ()
    cgroups_path: str = ""
    resources: Resources = field(default_factory=Resources)
    rootfs_propagation: str = ""
    masked_paths: tuple[str, ...] = ()
    readonly_paths: tuple[str, ...] = ()
    sysctl: Mapping[str, str] = field(default_factory=dict)
    seccomp: Seccomp | None = None
    hooks: Hooks = field(default_factory=Hooks)
    annotations: Mapping[str, str] = field(default_factory=dict)
    version: str = ""

    def namespace(self, kind: str) -> Namespace | None:
        """Return the entry of that type; None: the container shares the runtime's."""
        return next((each for each in self.namespaces if each.type == kind), None)

    def makes(self, kind: str) -> bool:
        """Is a namespace of that type made for this container?"""
        namespace = self.namespace(kind)
        return namespace is not None and not namespace.path

    def joins(self, kind: str) -> bool:
        """Is it in somebody's namespace of that type, other than the runtime's?"""
        namespace = self.namespace(kind)
        return namespace is not None and bool(namespace.path)


NAMESPACES = ("pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time")


def parse(document: Mapping[str, Any]) -> Config:
    """Return the container that *document* describes.

    Raises:
        ConfigError: it describes none.
    """
    try:
        return _config(_Reader(document, ""))
    except (TypeError, ValueError) as error:
        raise ConfigError(_MALFORMED.format(reason=str(error))) from None


@functools.lru_cache(maxsize=_TEXTS_MAX)
def parse_text(text: str) -> Config:
    """Return the container that a document's JSON describes: most containers are described as another was.

    Raises:
        ConfigError: it describes none.
    """
    return parse(json.loads(text))


@dataclass(frozen=True, slots=True)
class Own:
    """What is a container's own, and not in the description that it has in common with others of its kind:
    its command and environment, and where its last mounts come from."""

    args: tuple[str, ...]
    env: tuple[str, ...]
    sources: tuple[str, ...] = ()


def parse_own(args: object, env: object, sources: object) -> Own:
    """Raises ConfigError: they are none."""
    try:
        reader = _Reader({"args": args, "env": env, "sources": sources}, "process.")
        return Own(reader.strings("args"), reader.strings("env"), reader.strings("sources"))
    except TypeError as error:
        raise ConfigError(_MALFORMED.format(reason=str(error))) from None


def complete(config: Config, own: Own) -> Config:
    """Return the description of the one container.

    Raises:
        ConfigError: it has no process, or not so many mounts.
    """
    common = len(config.mounts) - len(own.sources)
    if config.process is None or common < 0:
        raise ConfigError(_MALFORMED.format(reason="process or mounts are missing"))
    last = zip(config.mounts[common:], own.sources, strict=True)
    mounts = (*config.mounts[:common], *(replace(mount, source=source) for mount, source in last))
    return replace(config, process=replace(config.process, args=own.args, env=own.env), mounts=mounts)


def parse_process(document: Mapping[str, Any]) -> Process:
    """Return the `process` of *document*, as `exec --process` takes one.

    Raises:
        ConfigError: it is none.
    """
    try:
        return _process(_Reader(document, "process."))
    except (TypeError, ValueError) as error:
        raise ConfigError(_MALFORMED.format(reason=str(error))) from None


class _Reader:
    """One JSON object, read field by field; a field of another type than it must have is a TypeError that
    names it."""

    def __init__(self, value: object, path: str) -> None:
        if not isinstance(value, Mapping):
            raise TypeError(f"{path.rstrip('.') or 'config'} is no object")
        self._value = value
        self._path = path

    def has(self, name: str) -> bool:
        return self._value.get(name) is not None

    def get(self, name: str, kind: type[_T], default: _T) -> _T:
        value = self._value.get(name)
        if value is None:
            return default
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise TypeError(f"{self._path}{name} is {value!r}, no {kind.__name__}")
        return value

    def need(self, name: str, kind: type[_T]) -> _T:
        if not self.has(name):
            raise TypeError(f"{self._path}{name} is missing")
        return self.get(name, kind, kind())

    def integer(self, name: str) -> int | None:
        return self.get(name, int, 0) if self.has(name) else None

    def strings(self, name: str) -> tuple[str, ...]:
        values = self.get(name, list, [])
        if not all(isinstance(each, str) and "\0" not in each for each in values):
            raise TypeError(f"{self._path}{name} is {values!r}, no list of strings")
        return tuple(values)

    def integers(self, name: str) -> tuple[int, ...]:
        values = self.get(name, list, [])
        if not all(isinstance(each, int) for each in values):
            raise TypeError(f"{self._path}{name} is {values!r}, no list of numbers")
        return tuple(values)

    def mapping(self, name: str) -> dict[str, str]:
        values: Mapping[object, object] = self.get(name, dict, {})
        return {str(key): str(value) for key, value in values.items()}

    def object(self, name: str) -> "_Reader":
        """Return the object of that name, an empty one if there is none."""
        return _Reader(self._value[name] if self.has(name) else {}, f"{self._path}{name}.")

    def objects(self, name: str, make: Callable[["_Reader"], _T]) -> tuple[_T, ...]:
        values = self.get(name, list, [])
        return tuple(make(_Reader(each, f"{self._path}{name}[{n}].")) for n, each in enumerate(values))

    def items(self) -> Iterable[tuple[str, "_Reader"]]:
        return ((str(key), _Reader(value, f"{self._path}{key}.")) for key, value in self._value.items())


def _config(reader: _Reader) -> Config:
    linux = reader.object("linux")
    process = _process(reader.object("process")) if reader.has("process") else None
    annotations = reader.mapping("annotations")
    return Config(
        version=reader.get("ociVersion", str, ""),
        process=process,
        root=_root(reader.object("root")) if reader.has("root") else None,
        hostname=reader.get("hostname", str, ""),
        domainname=reader.get("domainname", str, ""),
        mounts=reader.objects("mounts", _mount),
        namespaces=_namespaces(linux),
        uid_mappings=linux.objects("uidMappings", _id_mapping),
        gid_mappings=linux.objects("gidMappings", _id_mapping),
        time_offsets={name: _offset(each) for name, each in linux.object("timeOffsets").items()},
        devices=linux.objects("devices", _device),
        cgroups_path=linux.get("cgroupsPath", str, ""),
        resources=_resources(linux.object("resources")),
        rootfs_propagation=linux.get("rootfsPropagation", str, ""),
        masked_paths=linux.strings("maskedPaths"),
        readonly_paths=linux.strings("readonlyPaths"),
        sysctl=linux.mapping("sysctl"),
        seccomp=_profile(linux, annotations, process),
        hooks=_hooks(reader.object("hooks")),
        annotations=annotations,
    )


def _process(reader: _Reader) -> Process:
    size = reader.object("consoleSize")
    cwd = reader.need("cwd", str)
    if not cwd.startswith("/"):
        raise ValueError(f"process.cwd is {cwd!r}, no absolute path")
    return Process(
        args=reader.strings("args"),
        env=reader.strings("env"),
        cwd=cwd,
        user=_user(reader.object("user")),
        terminal=reader.get("terminal", bool, False),
        console_size=(size.get("height", int, 0), size.get("width", int, 0))
        if reader.has("consoleSize")
        else None,
        capabilities=_capabilities(reader.object("capabilities")) if reader.has("capabilities") else None,
        rlimits=reader.objects("rlimits", _rlimit),
        no_new_privileges=reader.get("noNewPrivileges", bool, False),
        oom_score_adj=reader.integer("oomScoreAdj"),
        apparmor_profile=reader.get("apparmorProfile", str, ""),
        selinux_label=reader.get("selinuxLabel", str, ""),
    )


def _user(reader: _Reader) -> User:
    ids = (reader.get("uid", int, 0), reader.get("gid", int, 0))
    name = reader.get("username", str, "")
    return User(*ids, reader.integer("umask"), reader.integers("additionalGids"), name)


def _rlimit(reader: _Reader) -> Rlimit:
    return Rlimit(reader.need("type", str), reader.need("soft", int), reader.need("hard", int))


def _capabilities(reader: _Reader) -> Capabilities:
    names = ("bounding", "effective", "permitted", "inheritable", "ambient")
    return Capabilities(
        *(frozenset(each.removeprefix("CAP_") for each in reader.strings(name)) for name in names)
    )


def _root(reader: _Reader) -> Root:
    return Root(reader.need("path", str), reader.get("readonly", bool, False))


def _mount(reader: _Reader) -> Mount:
    return Mount(
        destination=reader.need("destination", str),
        type=reader.get("type", str, ""),
        source=reader.get("source", str, ""),
        options=reader.strings("options"),
        uid_mappings=reader.objects("uidMappings", _id_mapping),
        gid_mappings=reader.objects("gidMappings", _id_mapping),
    )


def _id_mapping(reader: _Reader) -> IdMapping:
    return IdMapping(reader.need("containerID", int), reader.need("hostID", int), reader.need("size", int))


def _namespaces(linux: _Reader) -> tuple[Namespace, ...]:
    found = linux.objects(
        "namespaces", lambda each: Namespace(each.need("type", str), each.get("path", str, ""))
    )
    kinds = [each.type for each in found]
    for kind in kinds:
        if kind not in NAMESPACES:
            raise ValueError(f"there is no namespace of type {kind!r}")
        if kinds.count(kind) > 1:
            raise ValueError(f"linux.namespaces has two of type {kind!r}")
    return found


def _offset(reader: _Reader) -> tuple[int, int]:
    return reader.get("secs", int, 0), reader.get("nanosecs", int, 0)


_FILE_TYPES = {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}


def _device(reader: _Reader) -> Device:
    kind = reader.need("type", str)
    if kind not in _FILE_TYPES:
        raise ValueError(f"there is no device of type {kind!r}")
    return Device(
        path=reader.need("path", str),
        mode=_FILE_TYPES[kind] | reader.get("fileMode", int, 0o666) & 0o7777,
        major=reader.get("major", int, 0),
        minor=reader.get("minor", int, 0),
        uid=reader.get("uid", int, 0),
        gid=reader.get("gid", int, 0),
        source=reader.get("source", str, ""),
    )


def parse_resources(document: Mapping[str, Any]) -> Resources:
    """Return the `linux.resources` of *document*, as `update` takes them.

    Raises:
        ConfigError: they are none.
    """
    try:
        return _resources(_Reader(document, "resources."))
    except (TypeError, ValueError) as error:
        raise ConfigError(_MALFORMED.format(reason=str(error))) from None


def _resources(reader: _Reader) -> Resources:
    fields = {
        **_memory(reader.object("memory")),
        **_cpu(reader.object("cpu")),
        **_pids(reader.object("pids")),
        **_block_io(reader.object("blockIO")),
        **reader.mapping("unified"),
    }
    return Resources(fields, reader.objects("devices", _device_rule))


def _limit(value: int) -> str:
    """-1 is unlimited in the specification's words."""
    return "max" if value < 0 else str(value)


def _memory(reader: _Reader) -> dict[str, str]:
    """Source: runc, libcontainer/cgroups/utils.go, ConvertMemorySwapToCgroupV2Value: v1's swap counts memory
    too."""
    fields = {}
    limit, swap = reader.integer("limit"), reader.integer("swap")
    if limit:
        fields["memory.max"] = _limit(limit)
    if swap:
        fields["memory.swap.max"] = _limit(swap if swap < 0 else swap - max(limit or 0, 0))
    if reservation := reader.integer("reservation"):
        fields["memory.low"] = _limit(reservation)
    return fields


def _cpu(reader: _Reader) -> dict[str, str]:
    fields = {}
    if shares := reader.integer("shares"):
        fields["cpu.weight"] = str(weight_of_shares(min(max(shares, 2), 262144)))
    quota, period = reader.integer("quota"), reader.integer("period")
    if quota or period:
        fields["cpu.max"] = f"{_limit(quota) if quota else 'max'} {period or 100_000}"
    if cpus := reader.get("cpus", str, ""):
        fields["cpuset.cpus"] = cpus
    if mems := reader.get("mems", str, ""):
        fields["cpuset.mems"] = mems
    return fields


def _pids(reader: _Reader) -> dict[str, str]:
    limit = reader.integer("limit")
    return {"pids.max": "max" if limit <= 0 else str(limit)} if limit is not None else {}


def _block_io(reader: _Reader) -> dict[str, str]:
    """Return `io.max`, one line for each device. Weights need an I/O scheduler that few disks have."""
    names = {"ReadBps": "rbps", "WriteBps": "wbps", "ReadIOPS": "riops", "WriteIOPS": "wiops"}
    lines: dict[str, list[str]] = {}
    for name, word in names.items():
        for device, rate in reader.objects(f"throttle{name}Device", _throttle):
            lines.setdefault(device, []).append(f"{word}={rate}")
    return (
        {"io.max": "\n".join(f"{device} {' '.join(each)}" for device, each in lines.items())} if lines else {}
    )


def _throttle(reader: _Reader) -> tuple[str, int]:
    return f"{reader.need('major', int)}:{reader.need('minor', int)}", reader.need("rate", int)


def _device_rule(reader: _Reader) -> DeviceRule:
    major, minor = reader.integer("major"), reader.integer("minor")
    return DeviceRule(
        allow=reader.need("allow", bool),
        type=reader.get("type", str, "a") or "a",
        major=None if major is None or major < 0 else major,
        minor=None if minor is None or minor < 0 else minor,
        access=reader.get("access", str, "rwm") or "rwm",
    )


def _profile(linux: _Reader, annotations: Mapping[str, str], process: Process | None) -> Seccomp | None:
    if linux.has("seccomp"):
        return _seccomp(linux.object("seccomp"))
    if annotations.get(SECCOMP_ANNOTATION) != RUNTIME_DEFAULT:
        return None
    sets = process.capabilities if process else None
    return default_profile(sets.bounding if sets else frozenset())


def _seccomp(reader: _Reader) -> Seccomp:
    return Seccomp(
        default_action=reader.need("defaultAction", str),
        default_errno=reader.integer("defaultErrnoRet"),
        architectures=reader.strings("architectures"),
        flags=reader.strings("flags"),
        listener_path=reader.get("listenerPath", str, ""),
        rules=reader.objects("syscalls", _seccomp_rule),
    )


def _seccomp_rule(reader: _Reader) -> SeccompRule:
    return SeccompRule(
        names=reader.strings("names"),
        action=reader.need("action", str),
        errno=reader.integer("errnoRet"),
        arguments=reader.objects("args", _seccomp_argument),
    )


def _seccomp_argument(reader: _Reader) -> SeccompArgument:
    return SeccompArgument(
        reader.need("index", int),
        reader.need("value", int),
        reader.get("valueTwo", int, 0),
        reader.need("op", str),
    )


def _hooks(reader: _Reader) -> Hooks:
    names = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
    return Hooks(*(reader.objects(name, _hook) for name in names))


def _hook(reader: _Reader) -> Hook:
    path = reader.need("path", str)
    if not path.startswith("/"):
        raise ValueError(f"a hook's path is {path!r}, no absolute one")
    return Hook(path, reader.strings("args"), reader.strings("env"), reader.integer("timeout"))


_MALFORMED = Text(
    es="la descripción del contenedor no vale: {reason}; corrige config.json",
    en="the container's description is not valid: {reason}; correct config.json",
)
