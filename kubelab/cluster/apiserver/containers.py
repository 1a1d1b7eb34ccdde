"""Containers of pods, of all three sorts: their defaults and what they must be.

Source: kubernetes, pkg/apis/core/v1/defaults.go (SetDefaults_Container) and
pkg/apis/core/validation/validation.go (validateContainers, validateInitContainers,
validateEphemeralContainers, ValidateVolumeMounts).
Left out: the rules of resizePolicy and of restartPolicyRules, which are kept as they came.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from kubelab.cluster.apiserver import environment, paths, probes, resource_names, security_contexts
from kubelab.cluster.apiserver.fields import (
    FieldError,
    choice,
    dns_label,
    duplicate,
    forbidden_field,
    indexed,
    invalid_value,
    not_found_value,
    port_name,
    port_number,
    required,
    unsupported_value,
    word,
)
from kubelab.cluster.apiserver.images import pull_policy
from kubelab.cluster.objects import Object

SIDECAR = "Always"  # The restart policy of an init container that runs beside the others.
_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_MESSAGE_POLICIES = ("File", "FallbackToLogsOnError")
PROTOCOLS = ("SCTP", "TCP", "UDP")
_PROPAGATIONS = ("Bidirectional", "HostToContainer", "None")
_NOT_EPHEMERAL = ("ports", "resources", *probes.PROBES, "lifecycle", "resizePolicy", "restartPolicy")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What of a pod its containers refer to."""

    volumes: dict[str, Object] = field(default_factory=dict)
    claims: frozenset[str] = frozenset()
    grace_period_s: int | None = None
    host_users: bool = True


# Defaults


def set_defaults(container: Object) -> None:
    for key, value in (
        ("imagePullPolicy", pull_policy(container.get("image", ""))),
        ("terminationMessagePath", "/dev/termination-log"),
        ("terminationMessagePolicy", "File"),
    ):
        container[key] = container.get(key) or value
    container.setdefault("resources", {})
    for port in container.get("ports") or ():
        port["protocol"] = port.get("protocol") or "TCP"
    for variable in container.get("env") or ():
        environment.set_defaults(variable)
    probes.set_defaults(container)


def set_request_defaults(container: Object) -> None:
    """A limit without a request is its own request, in pods (templates are kept as they came)."""
    resources = container.get("resources") or {}
    if limits := resources.get("limits"):
        resources["requests"] = limits | (resources.get("requests") or {})


def set_host_port_defaults(container: Object) -> None:
    """In the network of its node a container's ports are the node's."""
    for port in container.get("ports") or ():
        if port.get("containerPort"):
            port["hostPort"] = port.get("hostPort") or port["containerPort"]


# Validation


def validate(spec: Object, around: Surroundings, place: str) -> Iterator[FieldError]:
    """Yield what is wrong with the containers of a pod's *spec*, at *place*."""
    containers = spec.get("containers") or []
    if not containers:
        yield required(f"{place}.containers")
    yield from _regular(containers, around, f"{place}.containers")
    names = {container.get("name", "") for container in containers}
    yield from _init(spec.get("initContainers") or [], names, around, f"{place}.initContainers")
    yield from _ephemeral(spec, around, f"{place}.ephemeralContainers")


def _regular(containers: list[Object], around: Surroundings, place: str) -> Iterator[FieldError]:
    names: set[str] = set()
    for where, container in indexed(containers, place):
        yield from _common(container, around, where)
        name = container.get("name", "")
        if name in names:
            yield duplicate(f"{where}.name", name)
        names.add(name)
        yield from probes.validate(container, around.grace_period_s, where)
        if container.get("restartPolicy") is not None:
            yield forbidden_field(f"{where}.restartPolicy", "may not be set for non-init containers")
    yield from _host_port_conflicts(indexed(containers, place))


def _init(
    containers: list[Object], names: set[str], around: Surroundings, place: str
) -> Iterator[FieldError]:
    for where, container in indexed(containers, place):
        yield from _common(container, around, where)
        policy, name = container.get("restartPolicy"), container.get("name", "")
        yield from choice(policy, f"{where}.restartPolicy", (SIDECAR,))
        if name in names:
            yield duplicate(f"{where}.name", name)
        elif name:
            names.add(name)
        yield from _host_port_conflicts([(where, container)])  # They run one after another.
        if policy == SIDECAR:
            yield from probes.validate(container, around.grace_period_s, where)
        else:
            yield from probes.validate_absent(container, where)


def _ephemeral(spec: Object, around: Surroundings, place: str) -> Iterator[FieldError]:
    others = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    lasting = {container.get("name", "") for container in others}
    names = set(lasting)
    for where, container in indexed(spec.get("ephemeralContainers"), place):
        yield from _common(container, around, where)
        yield from image_without_spaces(container, where)
        name = container.get("name", "")
        if name in names:
            yield duplicate(f"{where}.name", name)
        names.add(name)
        yield from _only_ephemeral(container, lasting, where)


def _only_ephemeral(container: Object, lasting: set[str], place: str) -> Iterator[FieldError]:
    refused = "cannot be set for an Ephemeral Container"
    target = container.get("targetContainerName")
    if target and target not in lasting:
        yield not_found_value(f"{place}.targetContainerName", target)
    for key in _NOT_EPHEMERAL:
        if container.get(key):
            yield forbidden_field(f"{place}.{key}", refused)
    for where, mount in indexed(container.get("volumeMounts"), f"{place}.volumeMounts"):
        for key in ("subPath", "subPathExpr"):
            if mount.get(key):
                yield forbidden_field(f"{where}.{key}", refused)


def image_without_spaces(container: Object, place: str) -> Iterator[FieldError]:
    image = container.get("image", "")
    if image != image.strip():
        yield invalid_value(f"{place}.image", image, "must not have leading or trailing whitespace")


def _common(container: Object, around: Surroundings, place: str) -> Iterator[FieldError]:
    """Yield what is wrong with a container of any sort."""
    if name := container.get("name"):
        yield from word(name, f"{place}.name", dns_label)
    else:
        yield required(f"{place}.name")
    if not container.get("image"):
        yield required(f"{place}.image")
    policy = container.get("terminationMessagePolicy")
    yield from choice(policy, f"{place}.terminationMessagePolicy", _MESSAGE_POLICIES)
    yield from _ports(container.get("ports") or [], f"{place}.ports")
    yield from environment.validate(container.get("env") or [], f"{place}.env")
    yield from environment.validate_from(container.get("envFrom") or [], f"{place}.envFrom")
    yield from _mounts(container, around, f"{place}.volumeMounts")
    yield from _devices(container, around, f"{place}.volumeDevices")
    yield from choice(container.get("imagePullPolicy"), f"{place}.imagePullPolicy", _PULL_POLICIES)
    resources, claims = container.get("resources") or {}, set(around.claims)
    check = resource_names.container_name
    yield from resource_names.requirements(resources, check, claims, f"{place}.resources")
    context = container.get("securityContext") or {}
    yield from security_contexts.of_container(context, around.host_users, f"{place}.securityContext")


def _ports(ports: list[Object], place: str) -> Iterator[FieldError]:
    names: set[str] = set()
    for where, port in indexed(ports, place):
        if name := port.get("name"):
            yield from word(name, f"{where}.name", port_name)
            if name in names:
                yield duplicate(f"{where}.name", name)
            names.add(name)
        if number := port.get("containerPort"):
            yield from port_number(number, f"{where}.containerPort")
        else:
            yield required(f"{where}.containerPort")
        if number := port.get("hostPort"):
            yield from port_number(number, f"{where}.hostPort")
        if (protocol := port.get("protocol", "TCP")) not in PROTOCOLS:
            yield unsupported_value(f"{where}.protocol", protocol, PROTOCOLS)


def _host_port_conflicts(
    containers: Iterator[tuple[str, Object]] | list[tuple[str, Object]],
) -> Iterator[FieldError]:
    taken: set[str] = set()
    for where, container in containers:
        for place, port in indexed(container.get("ports"), f"{where}.ports"):
            if not (number := port.get("hostPort")):
                continue
            shown = f"{port.get('protocol', '')}/{port.get('hostIP', '')}/{number}"
            if shown in taken:
                yield duplicate(f"{place}.hostPort", shown)
            taken.add(shown)


def _mounts(container: Object, around: Surroundings, place: str) -> Iterator[FieldError]:
    devices = container.get("volumeDevices") or ()
    device_names = {device.get("name", "") for device in devices}
    device_paths = {device.get("devicePath", "") for device in devices}
    mounted: set[str] = set()
    for where, mount in indexed(container.get("volumeMounts"), place):
        name, path = mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            yield required(f"{where}.name")
        if name not in around.volumes:
            yield not_found_value(f"{where}.name", name)
        if not path:
            yield required(f"{where}.mountPath")
        if path in mounted:
            yield invalid_value(f"{where}.mountPath", path, "must be unique")
        mounted.add(path)
        if name in device_names:
            yield invalid_value(f"{where}.name", name, "must not already exist in volumeDevices")
        if path in device_paths:
            detail = "must not already exist as a path in volumeDevices"
            yield invalid_value(f"{where}.mountPath", path, detail)
        yield from _sub_path(mount, around.volumes.get(name, {}), where, place)
        yield from _propagation(mount, container, place)


def _sub_path(mount: Object, volume: Object, where: str, place: str) -> Iterator[FieldError]:
    for key in ("subPath", "subPathExpr"):
        if path := mount.get(key):
            if "image" in volume:
                yield invalid_value(f"{where}.{key}", path, "not allowed in image volume sources")
            yield from paths.relative(path, f"{place}.{key}")
    if mount.get("subPath") and (expression := mount.get("subPathExpr")):
        detail = "subPathExpr and subPath are mutually exclusive"
        yield invalid_value(f"{where}.subPathExpr", expression, detail)


def _propagation(mount: Object, container: Object, place: str) -> Iterator[FieldError]:
    propagation = mount.get("mountPropagation")
    yield from choice(propagation, f"{place}.mountPropagation", _PROPAGATIONS)
    privileged = (container.get("securityContext") or {}).get("privileged")
    if propagation == "Bidirectional" and not privileged:
        detail = "Bidirectional mount propagation is available only to privileged containers"
        yield forbidden_field(f"{place}.mountPropagation", detail)
    recursive, where = mount.get("recursiveReadOnly"), f"{place}.recursiveReadOnly"
    yield from choice(recursive, where, ("Disabled", "Enabled", "IfPossible"))
    if recursive in {"Enabled", "IfPossible"}:
        if not mount.get("readOnly"):
            yield forbidden_field(where, "may only be specified when readOnly is true")
        if propagation not in {None, "None"}:
            detail = "may only be specified when mountPropagation is None or not specified"
            yield forbidden_field(where, detail)


def _devices(container: Object, around: Surroundings, place: str) -> Iterator[FieldError]:
    mounts = container.get("volumeMounts") or ()
    mounted = {mount.get("name", ""): mount.get("mountPath", "") for mount in mounts}
    for where, device in indexed(container.get("volumeDevices"), place):
        name, path = device.get("name", ""), device.get("devicePath", "")
        volume = around.volumes.get(name)
        if not name:
            yield required(f"{where}.name")
        if volume is None:
            yield not_found_value(f"{where}.name", name)
        elif not volume.keys() & {"persistentVolumeClaim", "ephemeral"}:
            detail = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"
            yield invalid_value(f"{where}.name", name, detail)
        if not path:
            yield required(f"{where}.devicePath")
        elif any(paths.no_backsteps(path, where)):
            yield invalid_value(f"{where}.devicePath", path, "can not contain backsteps ('..')")
        if name in mounted:
            yield invalid_value(f"{where}.name", name, "must not already exist in volumeMounts")
        if path in mounted.values():
            detail = "must not already exist as a path in volumeMounts"
            yield invalid_value(f"{where}.devicePath", path, detail)
