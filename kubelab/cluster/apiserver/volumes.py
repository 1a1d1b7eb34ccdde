"""Volumes of pods: their defaults and what they must be.

Source: kubernetes, pkg/apis/core/v1/defaults.go and pkg/apis/core/validation/validation.go (ValidateVolumes).
Left out: the rules inside the sources that only a cloud's or vendor's plugin mounts (beyond the fields that
they need), which are kept as they came. A source that no version knows is dropped by the schema before.
"""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from kubelab.cluster import quantity
from kubelab.cluster.apiserver import label_selectors, paths
from kubelab.cluster.apiserver.downward_api import resource_reference, volume_field
from kubelab.cluster.apiserver.fields import (
    FieldError,
    choice,
    dns_label,
    duplicate,
    forbidden_field,
    indexed,
    invalid_value,
    required,
    unsupported_value,
    word,
)
from kubelab.cluster.apiserver.images import pull_policy
from kubelab.cluster.objects import Object

_MODE = 0o644
_TOKEN_EXPIRATION_S = 3600
_TOKEN_EXPIRATION_MIN_S = 600
_TOKEN_EXPIRATION_MAX_S = 1 << 32
_HOST_PATH_TYPES = (
    "",
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
)
_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_ORDER = (  # As upstream looks at them: the first one found is meant, the others are too many.
    "emptyDir",
    "hostPath",
    "gitRepo",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "secret",
    "nfs",
    "iscsi",
    "glusterfs",
    "flocker",
    "persistentVolumeClaim",
    "rbd",
    "cinder",
    "cephfs",
    "quobyte",
    "downwardAPI",
    "fc",
    "flexVolume",
    "configMap",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "storageos",
    "projected",
    "scaleIO",
    "csi",
    "ephemeral",
    "image",
)
_NEEDED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "gitRepo": ("repository",),
        "gcePersistentDisk": ("pdName",),
        "awsElasticBlockStore": ("volumeID",),
        "iscsi": ("targetPortal", "iqn"),
        "glusterfs": ("endpoints", "path"),
        "persistentVolumeClaim": ("claimName",),
        "rbd": ("monitors", "image"),
        "cinder": ("volumeID",),
        "cephfs": ("monitors",),
        "quobyte": ("registry", "volume"),
        "flexVolume": ("driver",),
        "azureFile": ("secretName", "shareName"),
        "azureDisk": ("diskName", "diskURI"),
        "vsphereVolume": ("volumePath",),
        "photonPersistentDisk": ("pdID",),
        "portworxVolume": ("volumeID",),
        "scaleIO": ("gateway", "system", "volumeName"),
        "csi": ("driver",),
        "ephemeral": ("volumeClaimTemplate",),
    }
)


# Defaults


def set_defaults(volume: Object) -> None:
    if not volume.keys() - {"name"}:
        volume["emptyDir"] = {}
    for name in ("configMap", "secret", "downwardAPI", "projected"):
        if (source := volume.get(name)) is not None:
            source.setdefault("defaultMode", _MODE)
    if (host_path := volume.get("hostPath")) is not None:
        host_path.setdefault("type", "")
    if (image := volume.get("image")) is not None and not image.get("pullPolicy"):
        image["pullPolicy"] = pull_policy(image.get("reference", ""))
    _set_claim_defaults(volume.get("ephemeral") or {})
    _set_field_defaults((volume.get("downwardAPI") or {}).get("items"))
    for source in (volume.get("projected") or {}).get("sources") or ():
        _set_field_defaults((source.get("downwardAPI") or {}).get("items"))
        if (token := source.get("serviceAccountToken")) is not None:
            token.setdefault("expirationSeconds", _TOKEN_EXPIRATION_S)


def _set_claim_defaults(ephemeral: Object) -> None:
    if (template := ephemeral.get("volumeClaimTemplate")) is not None:
        template.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")


def _set_field_defaults(files: list[Object] | None) -> None:
    for file in files or ():
        if (reference := file.get("fieldRef")) is not None:
            reference.setdefault("apiVersion", "v1")
        if (reference := file.get("resourceFieldRef")) is not None:
            reference.setdefault("divisor", "0")


# Validation


def validate(volumes: list[Object], field: str) -> Iterator[FieldError]:
    seen: set[str] = set()
    for place, volume in indexed(volumes, field):
        yield from _source(volume, place)
        name = volume.get("name", "")
        if not name:
            yield required(f"{place}.name")
        else:
            yield from word(name, f"{place}.name", dns_label)
        if name in seen:
            yield duplicate(f"{place}.name", name)
        seen.add(name)


def _source(volume: Object, field: str) -> Iterator[FieldError]:
    sources = [name for name in _ORDER if volume.get(name) is not None]
    sources += sorted(volume.keys() - {"name", *_ORDER})
    if not sources:
        yield required(field, "must specify a volume type")
        return
    name, *others = sources
    yield from _contents(name, volume[name], f"{field}.{name}")
    for other in others:
        yield forbidden_field(f"{field}.{other}", "may not specify more than 1 volume type")


def _contents(name: str, source: Object, field: str) -> Iterator[FieldError]:
    for key in _NEEDED.get(name, ()):
        if not source.get(key):
            yield required(f"{field}.{key}")
    if name in _RULES:
        yield from _RULES[name](source, field)


def _empty_dir(source: Object, field: str) -> Iterator[FieldError]:
    limit = source.get("sizeLimit")
    if limit is not None and quantity.parse(limit).nanos < 0:
        yield forbidden_field(f"{field}.sizeLimit", "SizeLimit field must be a valid resource quantity")


def _host_path(source: Object, field: str) -> Iterator[FieldError]:
    if not (path := source.get("path")):
        yield required(f"{field}.path")
        return
    yield from paths.no_backsteps(path, f"{field}.path")
    yield from choice(source.get("type"), f"{field}.type", _HOST_PATH_TYPES)


def _nfs(source: Object, field: str) -> Iterator[FieldError]:
    for key in ("server", "path"):
        if not source.get(key):
            yield required(f"{field}.{key}")
    if not (path := source.get("path", "")).startswith("/"):
        yield invalid_value(f"{field}.path", path, "must be an absolute path")


def _secret(source: Object, field: str) -> Iterator[FieldError]:
    yield from _keys(source, "secretName", field)


def _config_map(source: Object, field: str) -> Iterator[FieldError]:
    yield from _keys(source, "name", field)


def _keys(source: Object, name: str, field: str) -> Iterator[FieldError]:
    if not source.get(name):
        yield required(f"{field}.{name}")
    yield from paths.mode(source.get("defaultMode"), f"{field}.defaultMode")
    for place, item in indexed(source.get("items"), f"{field}.items"):
        yield from _key_to_path(item, place)


def _key_to_path(item: Object, field: str) -> Iterator[FieldError]:
    for key in ("key", "path"):
        if not item.get(key):
            yield required(f"{field}.{key}")
    yield from paths.relative_unreserved(item.get("path", ""), f"{field}.path")
    yield from paths.mode(item.get("mode"), f"{field}.mode")


def _downward_api(source: Object, field: str) -> Iterator[FieldError]:
    yield from paths.mode(source.get("defaultMode"), f"{field}.defaultMode")
    for file in source.get("items") or ():
        yield from _downward_api_file(file, field)


def _downward_api_file(file: Object, field: str) -> Iterator[FieldError]:
    if not file.get("path"):
        yield required(f"{field}.path")
    yield from paths.relative_unreserved(file.get("path", ""), f"{field}.path")
    reference, resource = file.get("fieldRef"), file.get("resourceFieldRef")
    if reference is not None:
        yield from volume_field(reference, f"{field}.fieldRef")
        if resource is not None:
            detail = "fieldRef and resourceFieldRef can not be specified simultaneously"
            yield invalid_value(field, "resource", detail)
    elif resource is not None:
        yield from resource_reference(resource, f"{field}.resourceFieldRef", in_volume=True)
    else:
        yield required(field, "one of fieldRef and resourceFieldRef is required")
    yield from paths.mode(file.get("mode"), f"{field}.mode")


def _projected(source: Object, field: str) -> Iterator[FieldError]:
    yield from paths.mode(source.get("defaultMode"), f"{field}.defaultMode")
    used: set[str] = set()
    for place, projection in indexed(source.get("sources"), f"{field}.sources"):
        for name, rule in _PROJECTIONS.items():
            if (part := projection.get(name)) is not None:
                yield from rule(part, f"{place}.{name}")
                yield from _paths_used(name, part, used, field)
        if len(projection) > 1:
            yield forbidden_field(place, "may not specify more than 1 volume type per source")


def _paths_used(name: str, part: Object, used: set[str], field: str) -> Iterator[FieldError]:
    """Two files of one projected volume cannot be in the same place."""
    files = part.get("items") or () if name != "clusterTrustBundle" else (part,)
    for path in filter(None, (file.get("path") for file in files)):
        if path in used:
            shown = part.get("name", path) if name in {"secret", "configMap"} else path
            yield invalid_value(field, shown, "conflicting duplicate paths")
        used.add(path)


def _projected_keys(part: Object, field: str) -> Iterator[FieldError]:
    if not part.get("name"):
        yield required(f"{field}.name")
    for place, item in indexed(part.get("items"), f"{field}.items"):
        yield from _key_to_path(item, place)


def _projected_fields(part: Object, field: str) -> Iterator[FieldError]:
    for file in part.get("items") or ():
        yield from _downward_api_file(file, field)


def _token(part: Object, field: str) -> Iterator[FieldError]:
    expiration_s, place = part.get("expirationSeconds", _TOKEN_EXPIRATION_S), f"{field}.expirationSeconds"
    if expiration_s < _TOKEN_EXPIRATION_MIN_S:
        yield invalid_value(place, expiration_s, "may not specify a duration less than 10 minutes")
    if expiration_s > _TOKEN_EXPIRATION_MAX_S:
        yield invalid_value(place, expiration_s, "may not specify a duration larger than 2^32 seconds")
    volume = field.partition(".sources[")[0]  # Upstream names the volume, not the source.
    if not (path := part.get("path")):
        yield required(f"{volume}.path")
    else:
        yield from paths.relative_unreserved(path, f"{volume}.path")


def _trust_bundle(part: Object, field: str) -> Iterator[FieldError]:
    name, signer = part.get("name"), part.get("signerName")
    if name is not None and signer is not None:
        yield invalid_value(field, part, "only one of name and signerName may be used")
    elif name is None and signer is None:
        yield required(field, "either name or signerName must be specified")
    elif name == "":
        yield required(f"{field}.name", "must be a valid object name")
    elif signer == "":
        yield required(f"{field}.signerName", "must be a valid signer name")
    yield from label_selectors.validate(part.get("labelSelector"), f"{field}.labelSelector")
    if not part.get("path"):
        yield required(f"{field}.path")
    yield from paths.relative_unreserved(part.get("path", ""), f"{field}.path")


def _image(source: Object, field: str) -> Iterator[FieldError]:
    if not source.get("reference"):
        yield required(f"{field}.reference")
    if (policy := source.get("pullPolicy")) not in _PULL_POLICIES:
        yield unsupported_value(f"{field}.pullPolicy", policy, _PULL_POLICIES)


Rule = Callable[[Object, str], Iterator[FieldError]]
_PROJECTIONS: Mapping[str, Rule] = {
    "secret": _projected_keys,
    "configMap": _projected_keys,
    "downwardAPI": _projected_fields,
    "serviceAccountToken": _token,
    "clusterTrustBundle": _trust_bundle,
}
_RULES: Mapping[str, Rule] = {
    "emptyDir": _empty_dir,
    "hostPath": _host_path,
    "nfs": _nfs,
    "secret": _secret,
    "configMap": _config_map,
    "downwardAPI": _downward_api,
    "projected": _projected,
    "image": _image,
}
