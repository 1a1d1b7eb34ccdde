"""Security contexts of pods and containers: what they must be.

Source: kubernetes, pkg/apis/core/validation/validation.go (validatePodSpecSecurityContext,
ValidateSecurityContext, validateSysctls, validateSeccompProfileField, ValidateAppArmorProfileField).
Left out: Windows' options, which are kept as they came.
"""

import re
from collections.abc import Iterator

from kubelab.cluster.apiserver.fields import (
    FieldError,
    between,
    choice,
    duplicate,
    forbidden_field,
    indexed,
    invalid_value,
    required,
    too_long,
    unsupported_value,
)
from kubelab.cluster.apiserver.paths import relative
from kubelab.cluster.objects import Object

_ID_MAX = 2**31 - 1
_PROFILES = ("Localhost", "RuntimeDefault", "Unconfined")
_PROFILE_PATH_BYTES_MAX = 4095  # PATH_MAX - 1
_SYSCTL_BYTES_MAX = 253
_SYSCTL_SEGMENT = "[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_SYSCTL = rf"^({_SYSCTL_SEGMENT}[\./])*{_SYSCTL_SEGMENT}$"
_NET_SYSCTLS = ("net.",)
_IPC_SYSCTLS = ("kernel.sem", "kernel.shm", "kernel.msg", "fs.mqueue.")


def of_pod(spec: Object, field: str) -> Iterator[FieldError]:
    context, place = spec.get("securityContext") or {}, f"{field}.securityContext"
    for name in ("fsGroup", "runAsUser", "runAsGroup"):
        yield from between(0, _ID_MAX, context.get(name), f"{place}.{name}")
    for where, group in indexed(context.get("supplementalGroups"), f"{place}.supplementalGroups"):
        yield from between(0, _ID_MAX, group, where)
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        detail = "ShareProcessNamespace and HostPID cannot both be enabled"
        yield invalid_value(f"{place}.shareProcessNamespace", True, detail)
    yield from _sysctls(context.get("sysctls") or [], spec, f"{place}.sysctls")
    for name, supported in (
        ("fsGroupChangePolicy", ("Always", "OnRootMismatch")),
        ("supplementalGroupsPolicy", ("Merge", "Strict")),
        ("seLinuxChangePolicy", ("MountOption", "Recursive")),
    ):
        yield from choice(context.get(name), f"{place}.{name}", supported)
    yield from _profiles(context, place)


def of_container(context: Object, host_users: bool, field: str) -> Iterator[FieldError]:
    for name in ("runAsUser", "runAsGroup"):
        yield from between(0, _ID_MAX, context.get(name), f"{field}.{name}")
    mount = context.get("procMount")
    yield from choice(mount, f"{field}.procMount", ("Default", "Unmasked"))
    if mount == "Unmasked" and host_users:
        yield invalid_value(f"{field}.procMount", mount, "`hostUsers` must be false to use `Unmasked`")
    if context.get("allowPrivilegeEscalation") is False:
        yield from _escalation(context, field)
    yield from _profiles(context, field)


def _escalation(context: Object, field: str) -> Iterator[FieldError]:
    refused = "cannot set `allowPrivilegeEscalation` to false and"
    if context.get("privileged"):
        yield invalid_value(field, context, f"{refused} `privileged` to true")
    if "CAP_SYS_ADMIN" in ((context.get("capabilities") or {}).get("add") or ()):
        yield invalid_value(field, context, f"{refused} `capabilities.Add` CAP_SYS_ADMIN")


def _sysctls(sysctls: list[Object], spec: Object, field: str) -> Iterator[FieldError]:
    seen: set[str] = set()
    for place, sysctl in indexed(sysctls, field):
        name = sysctl.get("name", "")
        if not name:
            yield required(f"{place}.name")
        elif len(name) > _SYSCTL_BYTES_MAX or not re.match(_SYSCTL, name):
            detail = f"must have at most {_SYSCTL_BYTES_MAX} characters and match regex {_SYSCTL}"
            yield invalid_value(f"{place}.name", name, detail)
        elif name in seen:
            yield duplicate(f"{place}.name", name)
        for host, prefixes in (("hostNetwork", _NET_SYSCTLS), ("hostIPC", _IPC_SYSCTLS)):
            if spec.get(host) and name.replace("/", ".").startswith(prefixes):
                yield invalid_value(f"{place}.name", name, f"may not be specified when '{host}' is true")
        seen.add(name)


def _profiles(context: Object, field: str) -> Iterator[FieldError]:
    if (seccomp := context.get("seccompProfile")) is not None:
        yield from _seccomp(seccomp, f"{field}.seccompProfile")
    if (app_armor := context.get("appArmorProfile")) is not None:
        yield from _app_armor(app_armor, f"{field}.appArmorProfile")


def _type(profile: Object, needed_by: str, field: str) -> Iterator[FieldError]:
    if not (type_ := profile.get("type")):
        yield required(f"{field}.type", f"type is required when {needed_by} is set")
    elif type_ not in _PROFILES:
        yield unsupported_value(f"{field}.type", type_, _PROFILES)


def _seccomp(profile: Object, field: str) -> Iterator[FieldError]:
    yield from _type(profile, "seccompProfile", field)
    path, place = profile.get("localhostProfile"), f"{field}.localhostProfile"
    if profile.get("type") == "Localhost":
        if path is None:
            yield required(place, "must be set when seccomp type is Localhost")
        else:
            yield from relative(path, place)
    elif path is not None:
        yield invalid_value(place, profile, "can only be set when seccomp type is Localhost")


def _app_armor(profile: Object, field: str) -> Iterator[FieldError]:
    yield from _type(profile, "appArmorProfile", field)
    name, place = profile.get("localhostProfile"), f"{field}.localhostProfile"
    if profile.get("type") != "Localhost":
        if name is not None and profile.get("type") in _PROFILES:
            yield invalid_value(place, name, "can only be set when AppArmor type is Localhost")
    elif not name:
        yield required(place, "must be set when AppArmor type is Localhost")
    elif name != name.strip():
        yield invalid_value(place, name, "must not be padded with whitespace")
    elif len(name) > _PROFILE_PATH_BYTES_MAX:
        yield too_long(place, _PROFILE_PATH_BYTES_MAX)


def host_users(spec: Object, field: str) -> Iterator[FieldError]:
    """A pod with users of its own shares no other namespace with its node."""
    if spec.get("hostUsers", True):
        return
    for name, shown in (("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")):
        if spec.get(name):
            yield forbidden_field(f"{field}.{shown}", "when `pod.Spec.HostUsers` is false")
