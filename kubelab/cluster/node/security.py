"""A container's securityContext, completed by its pod's, as the runtime is told of it. Pure.

Source: kubernetes, pkg/securitycontext/util.go (DetermineEffectiveSecurityContext),
pkg/kubelet/kuberuntime/security_context.go (determineEffectiveSecurityContext),
security_context_others.go (verifyRunAsNonRoot).
Where no seccomp profile is named the runtime's own is in force, as with a kubelet's `--seccomp-default`.
Left out: SELinux, AppArmor, seccomp profiles of files (Localhost).
"""

from typing import Any

from kubelab.cluster.node.environment import ConfigError
from kubelab.cluster.node.lifecycle import full_name
from kubelab.cluster.objects import Object
from kubelab.cluster.runtime.cri import Seccomp, Security

_PROFILES: dict[str, Seccomp] = {"RuntimeDefault": "RuntimeDefault", "Unconfined": "Unconfined"}


def security_of(pod: Object, container: Object) -> Security:
    """Return what the container may do, and as whom it runs.

    Raises:
        ConfigError: it asks for a profile that cannot be had.
    """
    of_pod = pod["spec"].get("securityContext") or {}
    own = container.get("securityContext") or {}
    capabilities = own.get("capabilities") or {}
    privileged = bool(own.get("privileged"))
    return Security(
        user=_first("runAsUser", own, of_pod),
        group=_first("runAsGroup", own, of_pod),
        groups=_groups(of_pod),
        add_capabilities=tuple(capabilities.get("add") or ()),
        drop_capabilities=tuple(capabilities.get("drop") or ()),
        privileged=privileged,
        read_only_root=bool(own.get("readOnlyRootFilesystem")),
        no_new_privs=own.get("allowPrivilegeEscalation") is False,
        seccomp="Unconfined" if privileged else _seccomp(own, of_pod),
        unmasked_proc=own.get("procMount") == "Unmasked",
    )


def check_non_root(pod: Object, container: Object, image_user: str) -> None:
    """Raises ConfigError: the container must not run as root, but does, or may."""
    of_pod = pod["spec"].get("securityContext") or {}
    own = container.get("securityContext") or {}
    if not _first("runAsNonRoot", own, of_pod):
        return
    user = _first("runAsUser", own, of_pod)
    name = image_user.partition(":")[0]
    where = f'(pod: "{full_name(pod)}", container: {container["name"]})'
    if user == 0:
        raise ConfigError(f"container's runAsUser breaks non-root policy {where}")
    if user is None and name in ("", "0"):
        raise ConfigError(f"container has runAsNonRoot and image will run as root {where}")
    if user is None and not name.isdigit():
        why = f"container has runAsNonRoot and image has non-numeric user ({name})"
        raise ConfigError(f"{why}, cannot verify user is non-root {where}")


def _first(field: str, *contexts: Object) -> Any:
    return next((context[field] for context in contexts if context.get(field) is not None), None)


def _groups(of_pod: Object) -> tuple[int, ...]:
    own_group = of_pod.get("fsGroup")
    listed = tuple(of_pod.get("supplementalGroups") or ())
    return listed if own_group is None else (own_group, *listed)


def _seccomp(own: Object, of_pod: Object) -> Seccomp:
    profile = _first("seccompProfile", own, of_pod) or {"type": "RuntimeDefault"}
    if profile["type"] not in _PROFILES:
        raise ConfigError(f"this lab has no seccomp profiles of type {profile['type']}")
    return _PROFILES[profile["type"]]
