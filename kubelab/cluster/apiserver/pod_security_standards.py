"""The Pod Security Standards: what a pod does that its level does not allow, in upstream's sentences. Pure.

Source: kubernetes, staging/src/k8s.io/pod-security-admission/policy (check_*.go, registry.go for the order);
https://kubernetes.io/docs/concepts/security/pod-security-standards/.
Left out: seccomp as an annotation, which standards before v1.19 judged.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kubelab.cluster.objects import Object

LATEST = 10**6  # A minor version after all others.


@dataclass(frozen=True, slots=True)
class Pod:
    """What is judged: also a template's metadata and spec. `minor` is the version of the standards."""

    metadata: Object
    spec: Object
    minor: int = LATEST

    @property
    def context(self) -> Object:
        return self.spec.get("securityContext") or {}

    @property
    def containers(self) -> list[Object]:
        parts = ("initContainers", "containers", "ephemeralContainers")
        return [container for part in parts for container in self.spec.get(part) or ()]

    @property
    def is_windows(self) -> bool:
        return self.minor >= 25 and (self.spec.get("os") or {}).get("name") == "windows"

    @property
    def has_own_users(self) -> bool:
        """Root in a user namespace is nobody outside of it (KEP-127)."""
        return self.minor >= 35 and self.spec.get("hostUsers") is False


@dataclass(frozen=True, slots=True)
class Violation:
    reason: str
    detail: str


Check = Callable[[Pod], Violation | None]


def violations(level: str, minor: int, metadata: Object, spec: Object) -> Iterator[Violation]:
    """Yield what is not allowed to a pod at *level*: first what baseline forbids, then restricted."""
    pod = Pod(metadata, spec, minor)
    checks = {"privileged": (), "baseline": _BASELINE, "restricted": _RESTRICTED}[level]
    for since, check in checks:
        if minor >= since and (found := check(pod)):
            yield found


# Words


def _quoted(words: Iterable[str]) -> str:
    return ", ".join(f'"{word}"' for word in words)


def _plural(one: str, many: str, count: int) -> str:
    return one if count == 1 else many


def _named(containers: Iterable[Object | str]) -> str:
    names = [each if isinstance(each, str) else each["name"] for each in containers]
    return f"{_plural('container', 'containers', len(names))} {_quoted(names)}"


def _context(container: Object) -> Object:
    return container.get("securityContext") or {}


def _setters(pod_is_one: bool, containers: list[Object]) -> str:
    """Return who set something: `pod and containers "a", "b"`."""
    return " and ".join(["pod"] * pod_is_one + ([_named(containers)] if containers else []))


# Baseline

_APP_ARMOR_ANNOTATION = "container.apparmor.security.beta.kubernetes.io/"
_CONFINED = ("RuntimeDefault", "Localhost")


def _app_armor(pod: Pod) -> Violation | None:
    types = _profile_types(pod, "appArmorProfile")
    annotations = sorted(
        f'{key}="{value}"'
        for key, value in (pod.metadata.get("annotations") or {}).items()
        if key.startswith(_APP_ARMOR_ANNOTATION) and not _allows_app_armor(value)
    )
    setters = [_setters(types.pod_is_bad, types.bad)] if types.values else []
    if annotations:
        setters.append(_plural("annotation", "annotations", len(annotations)))
    if not setters:
        return None
    values = [*sorted(types.values), *annotations]
    reason = _plural("forbidden AppArmor profile", "forbidden AppArmor profiles", len(values))
    detail = f"{' and '.join(setters)} must not set AppArmor profile type to {_quoted(values)}"
    return Violation(reason, detail)


def _allows_app_armor(value: str) -> bool:
    return value in ("", "runtime/default") or value.startswith("localhost/")


@dataclass(frozen=True, slots=True)
class _Profiles:
    """Which profiles (seccomp or AppArmor) are set to what is not allowed, and which are not set."""

    pod_is_bad: bool
    bad: list[Object]
    unset: list[Object]
    values: set[str]


def _profile_types(pod: Pod, field: str) -> _Profiles:
    def type_of(context: Object) -> str | None:
        return None if context.get(field) is None else str(context[field].get("type", ""))

    own = type_of(pod.context)
    types = [(container, type_of(_context(container))) for container in pod.containers]
    bad = [(container, type_) for container, type_ in types if type_ is not None and type_ not in _CONFINED]
    values = {type_ for _, type_ in bad} | ({own} if own is not None and own not in _CONFINED else set())
    unset = [container for container, type_ in types if type_ is None and own not in _CONFINED]
    pod_is_bad = own is not None and own not in _CONFINED
    return _Profiles(pod_is_bad, [container for container, _ in bad], unset, values)


_DEFAULT_CAPABILITIES = frozenset(
    {
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    }
)


def _capabilities(container: Object) -> Object:
    return _context(container).get("capabilities") or {}


def _adding(pod: Pod, allowed: frozenset[str]) -> str:
    """Return who adds which capabilities beyond those *allowed*, "" if nobody does."""
    added = [(each, set(_capabilities(each).get("add") or ()) - allowed) for each in pod.containers]
    bad = [container for container, capabilities in added if capabilities]
    if not bad:
        return ""
    names = sorted(set().union(*(capabilities for _, capabilities in added)))
    return f"{_named(bad)} must not include {_quoted(names)} in securityContext.capabilities.add"


def _default_capabilities(pod: Pod) -> Violation | None:
    detail = _adding(pod, _DEFAULT_CAPABILITIES)
    return Violation("non-default capabilities", detail) if detail else None


def _host_namespaces(pod: Pod) -> Violation | None:
    shared = [f"{field}=true" for field in ("hostNetwork", "hostPID", "hostIPC") if pod.spec.get(field)]
    return Violation("host namespaces", ", ".join(shared)) if shared else None


def _host_paths(pod: Pod) -> Violation | None:
    names = [volume["name"] for volume in pod.spec.get("volumes") or () if "hostPath" in volume]
    if not names:
        return None
    return Violation("hostPath volumes", f"{_plural('volume', 'volumes', len(names))} {_quoted(names)}")


def _host_ports(pod: Pod) -> Violation | None:
    ports = [
        (each, {str(port["hostPort"]) for port in each.get("ports") or () if port.get("hostPort")})
        for each in pod.containers
    ]
    bad = [container for container, taken in ports if taken]
    if not bad:
        return None
    taken = sorted(set().union(*(each for _, each in ports)))
    use, what = _plural("uses", "use", len(bad)), _plural("hostPort", "hostPorts", len(taken))
    return Violation("hostPort", f"{_named(bad)} {use} {what} {', '.join(taken)}")


def _probe_hosts(pod: Pod) -> Violation | None:
    hosts = {each["name"]: _hosts_of(each) for each in pod.containers}
    bad = sorted(name for name, found in hosts.items() if found)
    if not bad:
        return None
    named = sorted(set().union(*hosts.values()))
    what = _plural("probe or lifecycle host", "probe or lifecycle hosts", len(named))
    detail = f"{_named(bad)} {_plural('uses', 'use', len(bad))} {what} {_quoted(named)}"
    return Violation("probe or lifecycle host", detail)


def _hosts_of(container: Object) -> set[str]:
    lifecycle = container.get("lifecycle") or {}
    handlers = [container.get(each) or {} for each in ("livenessProbe", "readinessProbe", "startupProbe")]
    handlers += [lifecycle.get(each) or {} for each in ("postStart", "preStop")]
    actions = [handler.get(kind) or {} for handler in handlers for kind in ("httpGet", "tcpSocket")]
    return {action["host"] for action in actions if action.get("host")}


def _privileged(pod: Pod) -> Violation | None:
    bad = [each for each in pod.containers if _context(each).get("privileged")]
    if not bad:
        return None
    return Violation("privileged", f"{_named(bad)} must not set securityContext.privileged=true")


def _proc_mount(pod: Pod) -> Violation | None:
    mounts = [(each, _context(each).get("procMount") or "Default") for each in pod.containers]
    bad = [container for container, mount in mounts if mount != "Default"]
    if not bad or pod.has_own_users:
        return None
    values = sorted({mount for _, mount in mounts} - {"Default"})
    return Violation(
        "procMount", f"{_named(bad)} must not set securityContext.procMount to {_quoted(values)}"
    )


def _selinux_types(minor: int) -> set[str]:
    types = {"", "container_t", "container_init_t", "container_kvm_t"}
    return types | ({"container_engine_t"} if minor >= 31 else set())


def _selinux(pod: Pod) -> Violation | None:
    allowed = _selinux_types(pod.minor)

    def is_bad(options: Object) -> bool:
        return (options.get("type") or "") not in allowed or bool(options.get("user") or options.get("role"))

    of_pod = pod.context.get("seLinuxOptions") or {}
    bad = [each for each in pod.containers if is_bad(_context(each).get("seLinuxOptions") or {})]
    if not bad and not is_bad(of_pod):
        return None
    options = [of_pod, *(_context(each).get("seLinuxOptions") or {} for each in bad)]
    types = sorted({each.get("type") or "" for each in options} - allowed)
    faults = [f"{_plural('type', 'types', len(types))} {_quoted(types)}"] if types else []
    faults += ["user may not be set"] if any(each.get("user") for each in options) else []
    faults += ["role may not be set"] if any(each.get("role") for each in options) else []
    what = "set forbidden securityContext.seLinuxOptions"
    return Violation("seLinuxOptions", f"{_setters(is_bad(of_pod), bad)} {what}: {'; '.join(faults)}")


def _seccomp_if_set(pod: Pod) -> Violation | None:
    types = _profile_types(pod, "seccompProfile")
    if not types.values:
        return None
    setters, values = _setters(types.pod_is_bad, types.bad), _quoted(sorted(types.values))
    detail = f"{setters} must not set securityContext.seccompProfile.type to {values}"
    return Violation("seccompProfile", detail)


# The names that each version of the standards added.
_SYSCTLS: Mapping[int, frozenset[str]] = {
    0: frozenset(
        {
            "kernel.shm_rmid_forced",
            "net.ipv4.ip_local_port_range",
            "net.ipv4.tcp_syncookies",
            "net.ipv4.ping_group_range",
            "net.ipv4.ip_unprivileged_port_start",
        }
    ),
    27: frozenset({"net.ipv4.ip_local_reserved_ports"}),
    29: frozenset(
        {
            "net.ipv4.tcp_keepalive_time",
            "net.ipv4.tcp_fin_timeout",
            "net.ipv4.tcp_keepalive_intvl",
            "net.ipv4.tcp_keepalive_probes",
        }
    ),
    32: frozenset({"net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"}),
}


def _sysctls(pod: Pod) -> Violation | None:
    allowed = set().union(*(names for since, names in _SYSCTLS.items() if pod.minor >= since))
    names = [each.get("name", "") for each in pod.context.get("sysctls") or ()]
    bad = [name for name in names if name not in allowed]
    return Violation("forbidden sysctls", ", ".join(bad)) if bad else None


def _host_process(pod: Pod) -> Violation | None:
    def is_host(context: Object) -> bool:
        return bool((context.get("windowsOptions") or {}).get("hostProcess"))

    setters = _setters(is_host(pod.context), [each for each in pod.containers if is_host(_context(each))])
    if not setters:
        return None
    detail = f"{setters} must not set securityContext.windowsOptions.hostProcess=true"
    return Violation("hostProcess", detail)


# Restricted


def _privilege_escalation(pod: Pod) -> Violation | None:
    bad = [each for each in pod.containers if _context(each).get("allowPrivilegeEscalation") is not False]
    if not bad or pod.is_windows:
        return None
    detail = f"{_named(bad)} must set securityContext.allowPrivilegeEscalation=false"
    return Violation("allowPrivilegeEscalation != false", detail)


def _dropped_capabilities(pod: Pod) -> Violation | None:
    if pod.is_windows:
        return None
    keeping = [each for each in pod.containers if "ALL" not in (_capabilities(each).get("drop") or ())]
    details = [f'{_named(keeping)} must set securityContext.capabilities.drop=["ALL"]'] if keeping else []
    if adding := _adding(pod, frozenset({"NET_BIND_SERVICE"})):
        details.append(adding)
    return Violation("unrestricted capabilities", "; ".join(details)) if details else None


_VOLUME_TYPES = frozenset(
    {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
)
# Those that have a name in messages; upstream calls all newer ones unknown.
_RESTRICTED_TYPES = frozenset(
    {
        "hostPath",
        "gcePersistentDisk",
        "awsElasticBlockStore",
        "gitRepo",
        "nfs",
        "iscsi",
        "glusterfs",
        "rbd",
        "flexVolume",
        "cinder",
        "cephfs",
        "flocker",
        "fc",
        "azureFile",
        "vsphereVolume",
        "quobyte",
        "azureDisk",
        "photonPersistentDisk",
        "portworxVolume",
        "scaleIO",
        "storageos",
    }
)


def _volume_types(pod: Pod) -> Violation | None:
    bad = [each for each in pod.spec.get("volumes") or () if not each.keys() & _VOLUME_TYPES]
    if not bad:
        return None
    names, types = [each["name"] for each in bad], sorted({_volume_type(each) for each in bad})
    volumes, use = _plural("volume", "volumes", len(bad)), _plural("uses", "use", len(bad))
    what = _plural("restricted volume type", "restricted volume types", len(types))
    return Violation("restricted volume types", f"{volumes} {_quoted(names)} {use} {what} {_quoted(types)}")


def _volume_type(volume: Object) -> str:
    return next(iter(volume.keys() & _RESTRICTED_TYPES), "unknown")


def _non_root(pod: Pod) -> Violation | None:
    own = pod.context.get("runAsNonRoot")
    wishes = [(each, _context(each).get("runAsNonRoot")) for each in pod.containers]
    if pod.has_own_users:
        return None
    if setters := _setters(own is False, [container for container, wish in wishes if wish is False]):
        return Violation("runAsNonRoot != true", f"{setters} must not set securityContext.runAsNonRoot=false")
    unset = [container for container, wish in wishes if wish is None and not own]
    if not unset:
        return None
    detail = f"pod or {_named(unset)} must set securityContext.runAsNonRoot=true"
    return Violation("runAsNonRoot != true", detail)


def _non_zero_user(pod: Pod) -> Violation | None:
    def is_root(context: Mapping[str, Any]) -> bool:
        return context.get("runAsUser") == 0

    setters = _setters(is_root(pod.context), [each for each in pod.containers if is_root(_context(each))])
    if not setters or pod.has_own_users:
        return None
    return Violation("runAsUser=0", f"{setters} must not set runAsUser=0")


def _seccomp_set(pod: Pod) -> Violation | None:
    if pod.is_windows:
        return None
    if found := _seccomp_if_set(pod):
        return found
    unset = _profile_types(pod, "seccompProfile").unset
    if not unset:
        return None
    types = '"RuntimeDefault" or "Localhost"'
    detail = f"pod or {_named(unset)} must set securityContext.seccompProfile.type to {types}"
    return Violation("seccompProfile", detail)


# Each with the version of the standards that brought it, in upstream's order (of the checks' names).
_BASELINE: tuple[tuple[int, Check], ...] = (
    (0, _app_armor),
    (0, _default_capabilities),
    (0, _host_namespaces),
    (0, _host_paths),
    (0, _host_ports),
    (34, _probe_hosts),
    (0, _privileged),
    (0, _proc_mount),
    (0, _selinux),
    (19, _seccomp_if_set),
    (0, _sysctls),
    (0, _host_process),
)
# What restricted says in its own, stricter way. (Its capabilities, since v1.22, forbid the same and more.)
_OVERRIDDEN = frozenset({_default_capabilities, _host_paths, _seccomp_if_set})
_ONLY_RESTRICTED: tuple[tuple[int, Check], ...] = (
    (8, _privilege_escalation),
    (22, _dropped_capabilities),
    (0, _volume_types),
    (0, _non_root),
    (23, _non_zero_user),
    (19, _seccomp_set),
)
_RESTRICTED = (*(each for each in _BASELINE if each[1] not in _OVERRIDDEN), *_ONLY_RESTRICTED)
