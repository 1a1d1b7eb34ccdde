"""A pod's volumes as the runtime's mounts: configMap, emptyDir and hostPath.

Source: kubernetes, pkg/volume/configmap/configmap.go (MakePayload), pkg/volume/hostpath/host_path.go.
Left out: other volume types; subPath; a ConfigMap's later changes (its files are those of the container's
start); file modes.
"""

import base64
from collections.abc import Mapping
from pathlib import Path

from kubelab.cluster.node.environment import ConfigError, ConfigMaps
from kubelab.cluster.objects import Object
from kubelab.cluster.runtime.cri import Mount


class VolumeError(ConfigError):
    """A volume cannot be had; the sentence is that of upstream's FailedMount event."""

    def __init__(self, volume: str, why: ConfigError) -> None:
        super().__init__(f'MountVolume.SetUp failed for volume "{volume}" : {why}')


def mounts_of(pod: Object, container: Object, configmaps: ConfigMaps) -> tuple[Mount, ...]:
    """Return the container's mounts.

    Raises:
        VolumeError: a volume cannot be had.
    """
    volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes") or ()}
    return tuple(_mounted(volumes, entry, configmaps) for entry in container.get("volumeMounts") or ())


def _mounted(volumes: Mapping[str, Object], entry: Object, configmaps: ConfigMaps) -> Mount:
    try:
        return _mount(volumes, entry, configmaps)
    except ConfigError as why:
        raise VolumeError(entry["name"], why) from why


def _mount(volumes: Mapping[str, Object], entry: Object, configmaps: ConfigMaps) -> Mount:
    volume = volumes.get(entry["name"])
    if volume is None:
        raise ConfigError("it is not in the pod: add it to spec.volumes")
    if entry.get("subPath") or entry.get("subPathExpr"):
        raise ConfigError("this lab has no subPath: mount the whole volume")
    destination, read_only = entry["mountPath"], bool(entry.get("readOnly"))
    if "configMap" in volume:
        return Mount(destination, files=_files(volume, configmaps), read_only=True)
    if "hostPath" in volume:
        return Mount(destination, source=Path(volume["hostPath"]["path"]), read_only=read_only)
    if "emptyDir" in volume:
        return Mount(destination, volume=volume["name"], read_only=read_only)
    kind = next((name for name in volume if name != "name"), "no")
    raise ConfigError(f"this lab has configMap, emptyDir and hostPath, not {kind}")


def _files(volume: Object, configmaps: ConfigMaps) -> dict[str, bytes]:
    source = volume["configMap"]
    configmap = configmaps.get(source["name"])
    if configmap is None and source.get("optional"):
        return {}
    if configmap is None:
        raise ConfigError(f'configmap "{source["name"]}" not found')
    contents = {name: value.encode() for name, value in (configmap.get("data") or {}).items()}
    contents |= {name: base64.b64decode(v) for name, v in (configmap.get("binaryData") or {}).items()}
    return _projected(source, contents) if source.get("items") else contents


def _projected(source: Object, contents: Mapping[str, bytes]) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for item in source["items"]:
        if item["key"] in contents:
            files[item["path"]] = contents[item["key"]]
        elif not source.get("optional"):
            raise ConfigError(f"references non-existent config key: {item['key']}")
    return files
