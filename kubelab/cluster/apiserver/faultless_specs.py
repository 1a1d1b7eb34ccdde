"""Specs of pods of which it is seen at a glance that nothing is wrong with them. Pure.

One walk over the fields that are there, each with its one question; no paths, no words. A field that most
pods have not, or a value that needs more thought, is reason to give up, and `pods.validate_spec` looks at all
of it: it alone says what is wrong, and what is right after all. So this must never take for faultless what is
not; the other way round it only costs time.
Source: as of `pods`, `containers`, `volumes` and `placement`, whose rules these are.
"""

from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any

from kubelab.cluster import quantity
from kubelab.cluster.apiserver import paths
from kubelab.cluster.apiserver.fields import (
    PORT_MAX,
    Check,
    dns_label,
    dns_subdomain,
    env_name,
    is_word,
    label_key,
    label_value,
    port_name,
)
from kubelab.cluster.apiserver.token_volume import token_volume
from kubelab.cluster.objects import Object

Glance = Callable[[Any], bool]
"""Whether a value is surely right."""

_VARIABLE = frozenset({"name", "value"})
_PORT = frozenset({"name", "containerPort", "protocol"})
_MOUNT = frozenset({"name", "mountPath", "readOnly"})
_TOLERATION = frozenset({"key", "operator", "effect", "tolerationSeconds"})
_COMPUTE = frozenset({"cpu", "memory", "ephemeral-storage"})
_PARTS = frozenset({"limits", "requests"})
_TOKENS = token_volume()
_NO_VOLUMES: frozenset[str] = frozenset()


def is_faultless(spec: Object) -> bool:
    """Whether *spec* is surely right, in a pod or in a template."""
    if not _are_fields(_SPEC, spec):
        return False
    volumes = _volume_names(spec.get("volumes") or ())
    return volumes is not None and _are_containers(spec.get("containers") or (), volumes)


def _are_fields(glances: Mapping[str, Glance], part: Object) -> bool:
    for name, value in part.items():
        glance = glances.get(name, _unknown)
        if glance is not _anything and (value is None or not glance(value)):
            return False
    return True


def _unknown(_: Any) -> bool:
    return False


def _anything(_: Any) -> bool:
    """Whatever it is, or it is looked at together with others."""
    return True


def _one_of(*values: str) -> Glance:
    return frozenset(values).__contains__


def _word(check: Check) -> Glance:
    return lambda value: is_word(check, value)


def _is_empty(value: Any) -> bool:
    return not value


def _are_labels(values: Mapping[str, str]) -> bool:
    return all(is_word(label_key, key) and is_word(label_value, value) for key, value in values.items())


# Containers


def _are_containers(containers: Sequence[Object], volumes: Container[str]) -> bool:
    names = {container.get("name") for container in containers}
    if not containers or len(names) < len(containers):
        return False
    return all(_is_container(container, volumes) for container in containers)


def _is_container(container: Object, volumes: Container[str]) -> bool:
    if not _are_fields(_CONTAINER, container):
        return False
    mounts = container.get("volumeMounts") or ()
    return "name" in container and "image" in container and (not mounts or _are_mounts(mounts, volumes))


def _is_image(image: str) -> bool:
    return bool(image) and image == image.strip()


def _are_variables(variables: Sequence[Object]) -> bool:
    for variable in variables:
        if not (variable.keys() <= _VARIABLE and is_word(env_name, variable.get("name") or "")):
            return False
    return True


def _are_ports(ports: Sequence[Object]) -> bool:
    names = [name for port in ports if (name := port.get("name"))]
    return len(set(names)) == len(names) and all(map(_is_port, ports))


def _is_port(port: Object) -> bool:
    return (
        port.keys() <= _PORT
        and 1 <= (port.get("containerPort") or 0) <= PORT_MAX
        and port.get("protocol") in {"TCP", "UDP", "SCTP"}
        and (not (name := port.get("name")) or is_word(port_name, name))
    )


def _are_resources(resources: Mapping[str, Any]) -> bool:
    if not resources:
        return True
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    if not (resources.keys() <= _PARTS and limits.keys() <= _COMPUTE and requests.keys() <= _COMPUTE):
        return False
    for name, value in requests.items():
        asked = quantity.parse(value).nanos
        if asked < 0 or (name in limits and asked > quantity.parse(limits[name]).nanos):
            return False
    return all(quantity.parse(value).nanos >= 0 for value in limits.values())


def _are_mounts(mounts: Sequence[Object], volumes: Container[str]) -> bool:
    if len({mount.get("mountPath") for mount in mounts}) < len(mounts):
        return False
    for mount in mounts:
        if not (mount.keys() <= _MOUNT and mount.get("mountPath") and mount.get("name") in volumes):
            return False
    return True


_CONTAINER: Mapping[str, Glance] = {
    **dict.fromkeys(("args", "command", "workingDir", "terminationMessagePath"), _anything),
    **dict.fromkeys(("stdin", "stdinOnce", "tty", "volumeMounts"), _anything),
    "name": _word(dns_label),
    "image": _is_image,
    "imagePullPolicy": _one_of("Always", "IfNotPresent", "Never"),
    "terminationMessagePolicy": _one_of("File", "FallbackToLogsOnError"),
    "env": _are_variables,
    "ports": _are_ports,
    "resources": _are_resources,
    "securityContext": _is_empty,
}


# Volumes


def _volume_names(volumes: Sequence[Object]) -> frozenset[str] | None:
    """Return the names of *volumes*, None if not all of them are surely right."""
    if not volumes:
        return _NO_VOLUMES
    if not all(map(_is_volume, volumes)):
        return None
    names = frozenset([volume["name"] for volume in volumes])
    return names if len(names) == len(volumes) else None


def _is_volume(volume: Object) -> bool:
    if len(volume) != 2 or not is_word(dns_label, volume.get("name") or ""):
        return False
    return _are_fields(_SOURCES, volume)


def _is_empty_dir(source: Object) -> bool:
    return not source or source.keys() == {"medium"}


def _is_of_keys(name: str) -> Glance:
    def glance(source: Object) -> bool:
        mode = source.get("defaultMode") or 0
        return bool(source.get(name)) and "items" not in source and 0 <= mode <= paths.MODE_MAX

    return glance


def _is_token(source: Object) -> bool:
    return source == _TOKENS


_SOURCES: Mapping[str, Glance] = {
    "name": _anything,
    "emptyDir": _is_empty_dir,
    "configMap": _is_of_keys("name"),
    "secret": _is_of_keys("secretName"),
    "projected": _is_token,
}


# Placement


def _are_tolerations(tolerations: Sequence[Object]) -> bool:
    return all(map(_is_toleration, tolerations))


def _is_toleration(toleration: Object) -> bool:
    effect = toleration.get("effect")
    return (
        toleration.keys() <= _TOLERATION
        and toleration.get("operator") == "Exists"
        and effect in {"NoSchedule", "PreferNoSchedule", "NoExecute"}
        and (effect == "NoExecute" or "tolerationSeconds" not in toleration)
        and is_word(label_key, toleration.get("key") or "")
    )


_SPEC: Mapping[str, Glance] = {
    **dict.fromkeys(("containers", "volumes", "schedulerName", "serviceAccount", "priority"), _anything),
    **dict.fromkeys(("automountServiceAccountToken", "enableServiceLinks", "imagePullSecrets"), _anything),
    "terminationGracePeriodSeconds": _anything,
    "restartPolicy": _one_of("Always", "OnFailure", "Never"),
    "dnsPolicy": _one_of("ClusterFirst", "ClusterFirstWithHostNet", "Default"),  # None needs a dnsConfig.
    "preemptionPolicy": _one_of("PreemptLowerPriority", "Never"),
    "serviceAccountName": _word(dns_subdomain),
    "nodeName": _word(dns_subdomain),
    "priorityClassName": _word(dns_subdomain),
    "hostname": _word(dns_label),
    "subdomain": _word(dns_label),
    "securityContext": _is_empty,
    "nodeSelector": _are_labels,
    "tolerations": _are_tolerations,
}
