"""A container's environment and command line, as the pod's spec, its ConfigMaps and Secrets and the node give
them. Pure.

Source: kubernetes, pkg/kubelet/kubelet_pods.go (makeEnvironmentVariables), pkg/api/v1/resource/helpers.go
(ExtractContainerResourceValue) and third_party/forked/golang/expansion/expand.go ($(VAR) syntax).
Left out: Service variables.
"""

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from kubelab.cluster.errors import ApiError, LabError
from kubelab.cluster.objects import Object, labels_of
from kubelab.cluster.pods import container_resources
from kubelab.cluster.quantity import as_bytes, millicores

TOKEN_EXPIRATION_S = 3600
TokenKey = tuple[str, int]
"""For whom a token of the pod's account is ("": the API server), and for how many seconds."""


@dataclass(frozen=True, slots=True)
class Sources:
    """The ConfigMaps and Secrets of the pod's namespace that the pod names; None for one that is not
    there. And its account's tokens, or why there is none."""

    configmaps: Mapping[str, Object | None] = field(default_factory=dict)
    secrets: Mapping[str, Object | None] = field(default_factory=dict)
    tokens: Mapping[TokenKey, str | ApiError] = field(default_factory=dict)


_REFERENCE = re.compile(r"\$(?:\$|\(([^()]*)\))")
_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['(.+)'\]")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the pod runs: the fields that only its kubelet knows. `pod_address` None: it has none yet."""

    node_name: str
    host_address: IPv4Address
    pod_address: IPv4Address | None
    cpus: int = 1
    memory_bytes: int = 0


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


def all_containers(pod: Object) -> list[Object]:
    spec = pod["spec"]
    return [
        *(spec.get("initContainers") or ()),
        *spec["containers"],
        *(spec.get("ephemeralContainers") or ()),
    ]


def named_by_volumes(pod: Object) -> tuple[set[str], set[str]]:
    """Return the ConfigMaps and the Secrets that the pod's volumes name."""
    return _in_volumes(pod, "configMap", "name"), _in_volumes(pod, "secret", "secretName")


def named_by_environment(pod: Object) -> tuple[set[str], set[str]]:
    """Return the ConfigMaps and the Secrets that the environment of the pod's containers names."""
    return _in_environment(pod, "configMap"), _in_environment(pod, "secret")


def _in_volumes(pod: Object, kind: str, field_of_volume: str) -> set[str]:
    names = set()
    for volume in pod["spec"].get("volumes") or ():
        if source := volume.get(kind):
            names.add(source[field_of_volume])
        for part in (volume.get("projected") or {}).get("sources") or ():
            names |= {part[kind]["name"]} if part.get(kind) else set()
    return names


def _in_environment(pod: Object, kind: str) -> set[str]:
    names = set()
    for container in all_containers(pod):
        sources = [entry.get(f"{kind}Ref") for entry in container.get("envFrom") or ()]
        sources += [entry.get("valueFrom", {}).get(f"{kind}KeyRef") for entry in container.get("env") or ()]
        names |= {source["name"] for source in sources if source}
    return names


def environment_of(pod: Object, container: Object, sources: Sources, place: Place) -> dict[str, str]:
    """Return the variables: envFrom first, then env in order, each seeing those before it.

    Raises:
        ConfigError: a ConfigMap, Secret, key or field that is not optional is missing.
    """
    variables: dict[str, str] = {}
    for source in container.get("envFrom") or ():
        variables |= _from_all(source, sources)
    for entry in container.get("env") or ():
        if "valueFrom" not in entry:
            variables[entry["name"]] = expand(entry.get("value", ""), variables)
            continue
        value = _value_from(entry["valueFrom"], pod, container, sources, place)
        if value is not None:
            variables[entry["name"]] = value
    return variables


def _from_all(source: Object, sources: Sources) -> dict[str, str]:
    if reference := source.get("configMapRef"):
        data = _configmap_data(reference, sources)
    else:
        data = _secret_data(source["secretRef"], sources)
    return {source.get("prefix", "") + name: value for name, value in data.items()}


def _configmap_data(reference: Object, sources: Sources) -> dict[str, str]:
    configmap = _found(reference, sources.configmaps, "configmap")
    return (configmap or {}).get("data") or {}


def _secret_data(reference: Object, sources: Sources) -> dict[str, str]:
    secret = _found(reference, sources.secrets, "secret")
    data = (secret or {}).get("data") or {}
    return {name: base64.b64decode(value).decode(errors="replace") for name, value in data.items()}


def _found(reference: Object, objects: Mapping[str, Object | None], kind: str) -> Object | None:
    found = objects.get(reference["name"])
    if found is None and not reference.get("optional"):
        raise ConfigError(f'{kind} "{reference["name"]}" not found')
    return found


def _value_from(source: Object, pod: Object, container: Object, sources: Sources, place: Place) -> str | None:
    if reference := source.get("configMapKeyRef"):
        return _key(reference, pod, _configmap_data(reference, sources), "ConfigMap")
    if reference := source.get("secretKeyRef"):
        return _key(reference, pod, _secret_data(reference, sources), "Secret")
    if reference := source.get("resourceFieldRef"):
        return resource_value(reference, pod, container, place)
    if reference := source.get("fieldRef"):
        return field_value(reference["fieldPath"], pod, place)
    raise ConfigError(f"env: this lab takes no value from {next(iter(source), 'nothing')}")


def _key(reference: Object, pod: Object, data: Mapping[str, str], kind: str) -> str | None:
    if reference["key"] in data:
        return data[reference["key"]]
    if reference.get("optional"):
        return None
    where = f"{pod['metadata']['namespace']}/{reference['name']}"
    raise ConfigError(f"couldn't find key {reference['key']} in {kind} {where}")


def resource_value(reference: Object, pod: Object, container: Object | None, place: Place) -> str:
    """Return a container's request or limit, in units of the divisor, rounded up; a limit that is not set is
    what the node has."""
    name = reference.get("containerName")
    chosen = next((each for each in all_containers(pod) if each["name"] == name), container)
    if chosen is None:
        raise ConfigError(f"container {name} not found")
    kind, _, resource = reference["resource"].partition(".")
    if kind not in ("limits", "requests") or not resource:
        raise ConfigError(f"unsupported container resource : {reference['resource']}")
    measure = millicores if resource == "cpu" else as_bytes
    value = container_resources(chosen, kind).get(resource)
    if not value and kind == "limits":
        value = {"cpu": place.cpus * 1000, "memory": place.memory_bytes}.get(resource)
    divisor = measure(reference.get("divisor") or "1") or measure("1")
    return str(-(-(value or 0) // divisor))


def field_value(path: str, pod: Object, place: Place) -> str:
    """Return the pod's field at *path*, as the downward API has it.

    Source: kubernetes, pkg/fieldpath/fieldpath.go.
    """
    metadata, spec = pod["metadata"], pod["spec"]
    if path in ("metadata.labels", "metadata.annotations"):
        return _map_lines(metadata.get(path.partition(".")[2]) or {})
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
        "status.podIP": str(place.pod_address or ""),
        "status.podIPs": str(place.pod_address or ""),
    }
    if path not in fields:
        raise ConfigError(f"unsupported fieldPath: {path}")
    return str(fields[path])


def _map_lines(pairs: Mapping[str, str]) -> str:
    """Return labels or annotations as a downward API volume shows them. Source: FormatMap, there."""
    return "\n".join(f'{name}="{_escaped(value)}"' for name, value in sorted(pairs.items()))


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def token_keys(pod: Object) -> Iterator[TokenKey]:
    """Yield which tokens the pod's volumes project."""
    for volume in pod["spec"].get("volumes") or ():
        for source in (volume.get("projected") or {}).get("sources") or ():
            if wanted := source.get("serviceAccountToken"):
                yield token_key(wanted)


def token_key(source: Object) -> TokenKey:
    return source.get("audience", ""), source.get("expirationSeconds", TOKEN_EXPIRATION_S)
