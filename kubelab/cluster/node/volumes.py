"""A pod's volumes: what they hold, and where its containers see them. Pure.

Source: kubernetes, pkg/volume/configmap/configmap.go and pkg/volume/secret/secret.go (MakePayload),
pkg/volume/projected/projected.go (collectData), pkg/volume/downwardapi/downwardapi.go (CollectData),
pkg/kubelet/kubelet_pods.go (makeMounts).
Left out: a token's mode of 0600 for pods of one user, cluster trust bundles (this lab issues none),
persistent volumes.
"""

import base64
from collections.abc import Iterator, Mapping

from kubelab.cluster.errors import ApiError
from kubelab.cluster.node.environment import (
    ConfigError,
    Place,
    Sources,
    all_containers,
    expand,
    field_value,
    resource_value,
    token_key,
)
from kubelab.cluster.objects import Object
from kubelab.cluster.quantity import as_bytes
from kubelab.cluster.runtime.cri import (
    EmptyDir,
    FilesVolume,
    HostPath,
    Mount,
    Volume,
    VolumeFile,
    volume_path,
)

MODE = 0o644
_PLUGINS = {
    "configMap": "configmap",
    "secret": "secret",
    "projected": "projected",
    "downwardAPI": "downward-api",
}


class VolumeError(ConfigError):
    """A volume cannot be had; the sentence is that of upstream's FailedMount event."""

    def __init__(self, volume: str, why: Exception) -> None:
        super().__init__(f'MountVolume.SetUp failed for volume "{volume}" : {why}')


def volumes_of(pod: Object, sources: Sources, place: Place) -> tuple[Volume, ...]:
    """Return the volumes that the pod's containers mount.

    Raises:
        VolumeError: one cannot be had.
    """
    mounted = {
        entry["name"] for container in all_containers(pod) for entry in container.get("volumeMounts") or ()
    }
    listed = {volume["name"]: volume for volume in pod["spec"].get("volumes") or ()}
    return tuple(_volume(pod, listed.get(name, {"name": name}), sources, place) for name in sorted(mounted))


def has_files_of_objects(pod: Object) -> bool:
    """Whether what a volume of the pod shows can change while it runs."""
    return any(kind in volume for volume in pod["spec"].get("volumes") or () for kind in _PLUGINS)


def mounts_of(pod: Object, container: Object, variables: Mapping[str, str]) -> tuple[Mount, ...]:
    """Return the container's mounts; its *variables* may be in a subPathExpr.

    Raises:
        ConfigError: a subPath leads out of its volume.
    """
    volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes") or ()}
    uid = pod["metadata"]["uid"]
    return tuple(
        _mount(uid, volumes[entry["name"]], entry, variables) for entry in container.get("volumeMounts") or ()
    )


def _mount(uid: str, volume: Object, entry: Object, variables: Mapping[str, str]) -> Mount:
    sub_path = entry.get("subPath") or expand(entry.get("subPathExpr", ""), variables)
    if sub_path.startswith("/") or ".." in sub_path.split("/"):
        raise ConfigError(f'subPath "{sub_path}" must be a relative path without ".."')
    return Mount(
        destination=entry["mountPath"],
        source=volume_path(uid, _bare(volume)),
        sub_path=sub_path,
        read_only=bool(entry.get("readOnly")) or any(kind in volume for kind in _PLUGINS),
        propagation=entry.get("mountPropagation", "None"),
    )


def _bare(volume: Object) -> Volume:
    """Return the volume without what is in it, which says where it is."""
    if "hostPath" in volume:
        return HostPath(volume["name"], volume["hostPath"]["path"])
    for kind, plugin in _PLUGINS.items():
        if kind in volume:
            return FilesVolume(volume["name"], plugin, {})
    return EmptyDir(volume["name"])


def _volume(pod: Object, volume: Object, sources: Sources, place: Place) -> Volume:
    try:
        return _made(pod, volume, sources, place)
    except ConfigError as why:
        raise VolumeError(volume["name"], why) from why


def _made(pod: Object, volume: Object, sources: Sources, place: Place) -> Volume:
    name = volume["name"]
    if "emptyDir" in volume:
        return _empty_dir(name, volume["emptyDir"] or {})
    if "hostPath" in volume:
        return HostPath(name, volume["hostPath"]["path"], volume["hostPath"].get("type") or "")
    for kind, plugin in _PLUGINS.items():
        if kind in volume:
            files = dict(_files_of(kind, volume[kind] or {}, pod, sources, place))
            return FilesVolume(name, plugin, files)
    kind = next((key for key in volume if key != "name"), "")
    if not kind:
        raise ConfigError("it is not in the pod: add it to spec.volumes")
    raise ConfigError(f"this lab has no volumes of type {kind}")


def _empty_dir(name: str, source: Object) -> EmptyDir:
    limit = source.get("sizeLimit")
    return EmptyDir(name, source.get("medium") == "Memory", as_bytes(limit) if limit else None)


Files = Iterator[tuple[str, VolumeFile]]


def _files_of(kind: str, source: Object, pod: Object, sources: Sources, place: Place) -> Files:
    mode = source.get("defaultMode", MODE)
    match kind:
        case "configMap":
            yield from _of_configmap(source, sources, mode)
        case "secret":
            named = {"name": source.get("secretName") or source.get("name", "")}
            yield from _of_secret(source | named, sources, mode)
        case "downwardAPI":
            yield from _of_pod(source, pod, place, mode)
        case "projected":
            for part in source.get("sources") or ():
                for inner in part:
                    yield from _projected(inner, part[inner] | {"defaultMode": mode}, pod, sources, place)


def _projected(kind: str, source: Object, pod: Object, sources: Sources, place: Place) -> Files:
    if kind == "serviceAccountToken":
        return _of_token(source, sources)
    if kind not in _PLUGINS or kind == "projected":
        raise ConfigError(f"this lab projects no {kind}")
    return _files_of(kind, source, pod, sources, place)


def _of_token(source: Object, sources: Sources) -> Files:
    token = sources.tokens.get(token_key(source), "")
    if isinstance(token, ApiError):
        raise ConfigError(f"failed to fetch token: {token}")
    yield _path(source), VolumeFile(token.encode(), source["defaultMode"])


def _of_configmap(source: Object, sources: Sources, mode: int) -> Files:
    configmap = sources.configmaps.get(source["name"])
    if configmap is None and not source.get("optional"):
        raise ConfigError(f'configmap "{source["name"]}" not found')
    contents = {name: value.encode() for name, value in ((configmap or {}).get("data") or {}).items()}
    contents |= _decoded((configmap or {}).get("binaryData"))
    yield from _chosen(source, contents, mode)


def _of_secret(source: Object, sources: Sources, mode: int) -> Files:
    secret = sources.secrets.get(source["name"])
    if secret is None and not source.get("optional"):
        raise ConfigError(f'secret "{source["name"]}" not found')
    yield from _chosen(source, _decoded((secret or {}).get("data")), mode)


def _decoded(data: Mapping[str, str] | None) -> dict[str, bytes]:
    return {name: base64.b64decode(value) for name, value in (data or {}).items()}


def _chosen(source: Object, contents: Mapping[str, bytes], mode: int) -> Files:
    """Yield all, or those that `items` names, under their paths."""
    items = source.get("items") or [{"key": key, "path": key} for key in contents]
    for item in items:
        if item["key"] in contents:
            yield _path(item), VolumeFile(contents[item["key"]], item.get("mode") or mode)
        elif not source.get("optional"):
            raise ConfigError(f"references non-existent config key: {item['key']}")


def _of_pod(source: Object, pod: Object, place: Place, mode: int) -> Files:
    for item in source.get("items") or ():
        if field := item.get("fieldRef"):
            text = field_value(field["fieldPath"], pod, place)
        else:
            text = resource_value(item["resourceFieldRef"], pod, None, place)
        yield _path(item), VolumeFile(text.encode(), item.get("mode") or mode)


def _path(item: Object) -> str:
    path: str = item["path"]
    if path.startswith("/") or any(part in ("", ".", "..") for part in path.split("/")):
        raise ConfigError(f'"{path}" must be a relative path without ".."')
    return path
