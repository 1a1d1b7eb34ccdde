"""A container's environment and command line, as the pod's spec, its ConfigMaps and the node give them.

Source: kubernetes, pkg/kubelet/kubelet_pods.go (makeEnvironmentVariables) and
third_party/forked/golang/expansion/expand.go ($(VAR) syntax).
Left out: Secrets, resourceFieldRef, Service variables; nothing of this exists in the lab yet.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address

from kubelab.cluster.errors import LabError
from kubelab.cluster.objects import Object, labels_of

ConfigMaps = Mapping[str, Object | None]
"""The ConfigMaps of the pod's namespace that the pod names; None for one that is not there."""

_REFERENCE = re.compile(r"\$(?:\$|\(([^()]*)\))")
_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['(.+)'\]")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the pod runs: the fields that only its kubelet knows."""

    node_name: str
    host_address: IPv4Address
    pod_address: IPv4Address


class ConfigError(LabError):
    """The container cannot be configured: the kubelet reports CreateContainerConfigError and tries again."""


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace each `$(NAME)` that is known; `$$(NAME)` is a literal `$(NAME)`, an unknown one stays."""

    def replacement(match: re.Match[str]) -> str:
        if match.group(0) == "$$":
            return "$"
        return variables.get(match.group(1), match.group(0))

    return _REFERENCE.sub(replacement, text)


def command_of(container: Object, variables: Mapping[str, str]) -> tuple[str, ...]:
    """Return the command, expanded; empty leaves the choice to the image."""
    return tuple(expand(word, variables) for word in container.get("command") or ())


def args_of(container: Object, variables: Mapping[str, str]) -> tuple[str, ...]:
    """Return the arguments, expanded; empty leaves the choice to the image."""
    return tuple(expand(word, variables) for word in container.get("args") or ())


def configmap_names(pod: Object) -> set[str]:
    """Return the ConfigMaps that the pod's environment and volumes name."""
    spec = pod["spec"]
    names = {volume["configMap"]["name"] for volume in spec.get("volumes") or () if volume.get("configMap")}
    for container in [*spec["containers"], *(spec.get("initContainers") or ())]:
        sources = [entry.get("configMapRef") for entry in container.get("envFrom") or ()]
        sources += [entry.get("valueFrom", {}).get("configMapKeyRef") for entry in container.get("env") or ()]
        names |= {source["name"] for source in sources if source}
    return names


def environment_of(pod: Object, container: Object, configmaps: ConfigMaps, place: Place) -> dict[str, str]:
    """Return the variables: envFrom first, then env in order, each seeing those before it.

    Raises:
        ConfigError: a ConfigMap, key or field that is not optional is missing.
    """
    variables: dict[str, str] = {}
    for source in container.get("envFrom") or ():
        variables |= _from_configmap(source, configmaps)
    for entry in container.get("env") or ():
        if "valueFrom" not in entry:
            variables[entry["name"]] = expand(entry.get("value", ""), variables)
            continue
        value = _value_from(entry["valueFrom"], pod, configmaps, place)
        if value is not None:
            variables[entry["name"]] = value
    return variables


def _from_configmap(source: Object, configmaps: ConfigMaps) -> dict[str, str]:
    if not (reference := source.get("configMapRef")):
        raise ConfigError("envFrom: only configMapRef is supported in this lab: use a ConfigMap")
    data = _data(reference, configmaps)
    return {source.get("prefix", "") + name: value for name, value in data.items()}


def _data(reference: Object, configmaps: ConfigMaps) -> dict[str, str]:
    configmap = configmaps.get(reference["name"])
    if configmap is not None:
        return configmap.get("data") or {}
    if reference.get("optional"):
        return {}
    raise ConfigError(f'configmap "{reference["name"]}" not found')


def _value_from(source: Object, pod: Object, configmaps: ConfigMaps, place: Place) -> str | None:
    if reference := source.get("configMapKeyRef"):
        return _configmap_key(reference, pod, configmaps)
    if field := source.get("fieldRef"):
        return field_value(field["fieldPath"], pod, place)
    raise ConfigError("env: only configMapKeyRef and fieldRef are supported in this lab: use one of them")


def _configmap_key(reference: Object, pod: Object, configmaps: ConfigMaps) -> str | None:
    data = _data(reference, configmaps)
    if reference["key"] in data:
        return data[reference["key"]]
    if reference.get("optional"):
        return None
    where = f"{pod['metadata']['namespace']}/{reference['name']}"
    raise ConfigError(f"couldn't find key {reference['key']} in ConfigMap {where}")


def field_value(path: str, pod: Object, place: Place) -> str:
    """Return the pod's field at *path*, as the downward API has it.

    Source: kubernetes, pkg/fieldpath/fieldpath.go.
    """
    metadata, spec = pod["metadata"], pod["spec"]
    if subscript := _SUBSCRIPT.fullmatch(path):
        which, name = subscript.groups()
        return str((labels_of(pod) if which == "labels" else metadata.get("annotations") or {}).get(name, ""))
    fields = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata["namespace"],
        "metadata.uid": metadata["uid"],
        "spec.nodeName": place.node_name,
        "spec.serviceAccountName": spec.get("serviceAccountName", ""),
        "status.hostIP": str(place.host_address),
        "status.hostIPs": str(place.host_address),
        "status.podIP": str(place.pod_address),
        "status.podIPs": str(place.pod_address),
    }
    if path not in fields:
        raise ConfigError(f"unsupported fieldPath: {path}")
    return str(fields[path])
