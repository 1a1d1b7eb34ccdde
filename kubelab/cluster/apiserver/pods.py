"""Pods and pod templates: their defaults, what they must be, and what may change.

Source: kubernetes, pkg/apis/core/v1/defaults.go, pkg/apis/core/validation/validation.go and
pkg/registry/core/pod/strategy.go.
Left out: the defaults and checks of features that the kubelet here has not: ephemeral containers, host
namespaces, security contexts, affinity, resize in place. Their fields are kept as they came.
"""

from collections.abc import Iterator
from typing import Any

from kubelab.cluster import quantity
from kubelab.cluster.apiserver.fields import (
    FieldError,
    at_least,
    choice,
    config_key,
    dns_label,
    dns_subdomain,
    duplicate,
    env_name,
    forbidden_field,
    invalid_value,
    labels,
    not_found_value,
    not_negative,
    port_name,
    port_number,
    required,
    unique,
    word,
)
from kubelab.cluster.apiserver.metadata import annotations
from kubelab.cluster.objects import Object

GRACE_PERIOD_S = 30
RESTART_POLICIES = ("Always", "OnFailure", "Never")
_DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_MESSAGE_POLICIES = ("File", "FallbackToLogsOnError")
_PROTOCOLS = ("TCP", "UDP", "SCTP")
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc")
_SELECTORS_OF_ENV = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")


# Defaults


def set_defaults(pod: Object) -> None:
    spec = pod.setdefault("spec", {})
    set_spec_defaults(spec)
    spec.setdefault("enableServiceLinks", True)


def set_template_defaults(template: Object) -> None:
    set_spec_defaults(template.setdefault("spec", {}))


def set_spec_defaults(spec: Object) -> None:
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("schedulerName", "default-scheduler")
    spec.setdefault("securityContext", {})
    spec.setdefault("terminationGracePeriodSeconds", GRACE_PERIOD_S)
    for volume in spec.get("volumes") or ():
        _set_volume_defaults(volume)
    for container in _all_containers(spec):
        _set_container_defaults(container)


def _all_containers(spec: Object) -> list[Object]:
    return [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]


def _set_volume_defaults(volume: Object) -> None:
    if not volume.keys() - {"name"}:
        volume["emptyDir"] = {}
    for source in ("configMap", "secret", "downwardAPI", "projected"):
        if source in volume:
            volume[source].setdefault("defaultMode", 0o644)
    if "hostPath" in volume:
        volume["hostPath"].setdefault("type", "")


def _set_container_defaults(container: Object) -> None:
    container.setdefault("imagePullPolicy", _pull_policy(container.get("image", "")))
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    _set_resource_defaults(container.setdefault("resources", {}))
    for port in container.get("ports") or ():
        port.setdefault("protocol", "TCP")
    for variable in container.get("env") or ():
        if reference := (variable.get("valueFrom") or {}).get("fieldRef"):
            reference.setdefault("apiVersion", "v1")
    for name in _PROBES:
        if name in container:
            _set_probe_defaults(container[name])


def _pull_policy(image: str) -> str:
    """`:latest`, said or meant, is pulled each time."""
    name, _, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    return "Always" if not digest and tag in {"", "latest"} else "IfNotPresent"


def _set_resource_defaults(resources: Object) -> None:
    """A limit without a request is its own request."""
    if limits := resources.get("limits"):
        resources["requests"] = limits | (resources.get("requests") or {})


def _set_probe_defaults(probe: Object) -> None:
    for key, value in (
        ("timeoutSeconds", 1),
        ("periodSeconds", 10),
        ("successThreshold", 1),
        ("failureThreshold", 3),
    ):
        probe[key] = probe.get(key) or value
    if "httpGet" in probe:
        probe["httpGet"].setdefault("path", "/")
        probe["httpGet"].setdefault("scheme", "HTTP")


def initial_status(pod: Object) -> Object:
    return {"phase": "Pending", "qosClass": qos_class(pod["spec"])}


def qos_class(spec: Object) -> str:
    """Guaranteed: cpu and memory limited everywhere and requests equal; BestEffort: nothing asked for.

    Source: kubernetes, pkg/apis/core/v1/helper/qos/qos.go.
    """
    resources = [container.get("resources") or {} for container in _all_containers(spec)]
    wanted = [_compute(each.get("requests")) for each in resources]
    limited = [_compute(each.get("limits")) for each in resources]
    if not any(wanted) and not any(limited):
        return "BestEffort"
    complete = all(limits.keys() == {"cpu", "memory"} for limits in limited)
    return "Guaranteed" if complete and wanted == limited else "Burstable"


def _compute(quantities: dict[str, Any] | None) -> dict[str, Any]:
    parsed = {name: quantity.parse(value).nanos for name, value in (quantities or {}).items()}
    return {name: value for name, value in parsed.items() if name in {"cpu", "memory"} and value}


def grace_period_s(pod: Object, asked_s: int | None) -> int:
    """Return how long *pod* may take to end: nothing at all if no process of it can run (any more).

    Source: kubernetes, pkg/registry/core/pod/strategy.go (CheckGracefulDelete).
    """
    if not pod["spec"].get("nodeName") or pod.get("status", {}).get("phase") in {"Succeeded", "Failed"}:
        return 0
    period_s = (
        asked_s if asked_s is not None else pod["spec"].get("terminationGracePeriodSeconds", GRACE_PERIOD_S)
    )
    return 1 if period_s < 0 else int(period_s)


# Validation


def validate(pod: Object) -> Iterator[FieldError]:
    yield from validate_spec(pod.get("spec") or {}, "spec")


def validate_template(template: Object, field: str) -> Iterator[FieldError]:
    metadata = template.get("metadata") or {}
    yield from labels(metadata.get("labels"), f"{field}.labels")
    yield from annotations(metadata.get("annotations") or {}, f"{field}.annotations")
    yield from validate_spec(template.get("spec") or {}, f"{field}.spec")


def validate_spec(spec: Object, field: str) -> Iterator[FieldError]:
    volumes = spec.get("volumes") or []
    yield from _volumes(volumes, f"{field}.volumes")
    names = {volume.get("name", "") for volume in volumes}
    yield from _containers(spec, names, field)
    yield from choice(spec.get("restartPolicy"), f"{field}.restartPolicy", RESTART_POLICIES)
    yield from choice(spec.get("dnsPolicy"), f"{field}.dnsPolicy", _DNS_POLICIES)
    yield from not_negative(
        spec.get("terminationGracePeriodSeconds"), f"{field}.terminationGracePeriodSeconds"
    )
    yield from at_least(1, spec.get("activeDeadlineSeconds"), f"{field}.activeDeadlineSeconds")
    yield from labels(spec.get("nodeSelector"), f"{field}.nodeSelector")
    for name, check in (
        ("nodeName", dns_subdomain),
        ("serviceAccountName", dns_subdomain),
        ("hostname", dns_label),
    ):
        if spec.get(name):
            yield from word(spec[name], f"{field}.{name}", check)


def _containers(spec: Object, volumes: set[str], field: str) -> Iterator[FieldError]:
    containers, init_containers = spec.get("containers") or [], spec.get("initContainers") or []
    if not containers:
        yield required(f"{field}.containers")
    for index, container in enumerate(containers):
        yield from _container(container, volumes, f"{field}.containers[{index}]")
    for index, container in enumerate(init_containers):
        yield from _container(container, volumes, f"{field}.initContainers[{index}]")
    places = [f"{field}.containers[{index}].name" for index in range(len(containers))]
    places += [f"{field}.initContainers[{index}].name" for index in range(len(init_containers))]
    names = [container.get("name", "") for container in (*containers, *init_containers)]
    named = [(name, place) for name, place in zip(names, places, strict=True) if name]
    yield from unique([name for name, _ in named], lambda index: named[index][1])


def _container(container: Object, volumes: set[str], field: str) -> Iterator[FieldError]:
    if name := container.get("name"):
        yield from word(name, f"{field}.name", dns_label)
    else:
        yield required(f"{field}.name")
    yield from _image(container.get("image", ""), f"{field}.image")
    yield from choice(container.get("imagePullPolicy"), f"{field}.imagePullPolicy", _PULL_POLICIES)
    message_policy = container.get("terminationMessagePolicy")
    yield from choice(message_policy, f"{field}.terminationMessagePolicy", _MESSAGE_POLICIES)
    yield from _ports(container.get("ports") or [], f"{field}.ports")
    for index, variable in enumerate(container.get("env") or ()):
        yield from _variable(variable, f"{field}.env[{index}]")
    yield from _volume_mounts(container.get("volumeMounts") or [], volumes, f"{field}.volumeMounts")
    yield from _resources(container.get("resources") or {}, f"{field}.resources")
    for name in _PROBES:
        if name in container:
            yield from _probe(container[name], name, f"{field}.{name}")


def _image(image: str, field: str) -> Iterator[FieldError]:
    if not image:
        yield required(field)
    elif image.strip() != image:
        yield invalid_value(field, image, "must not have leading or trailing whitespace")


def _ports(ports: list[Object], field: str) -> Iterator[FieldError]:
    seen: set[str] = set()
    for index, port in enumerate(ports):
        place = f"{field}[{index}]"
        if name := port.get("name"):
            yield from word(name, f"{place}.name", port_name)
            if name in seen:
                yield duplicate(f"{place}.name", name)
            seen.add(name)
        if number := port.get("containerPort"):
            yield from port_number(number, f"{place}.containerPort")
        else:
            yield required(f"{place}.containerPort")
        yield from choice(port.get("protocol"), f"{place}.protocol", _PROTOCOLS)


def _variable(variable: Object, field: str) -> Iterator[FieldError]:
    if name := variable.get("name"):
        yield from word(name, f"{field}.name", env_name)
    else:
        yield required(f"{field}.name")
    if (source := variable.get("valueFrom")) is None:
        return
    chosen = [selector for selector in _SELECTORS_OF_ENV if selector in source]
    if variable.get("value"):
        yield invalid_value(f"{field}.valueFrom", "", "may not be specified when `value` is not empty")
    if not chosen:
        yield invalid_value(
            f"{field}.valueFrom",
            "",
            f"must specify one of: {', '.join(f'`{each}`' for each in _SELECTORS_OF_ENV)}",
        )
    elif len(chosen) > 1:
        yield invalid_value(f"{field}.valueFrom", "", "may not have more than one field specified at a time")
    for selector in ("configMapKeyRef", "secretKeyRef"):
        if selector in source and not source[selector].get("key"):
            yield required(f"{field}.valueFrom.{selector}.key")
        elif selector in source:
            yield from word(source[selector]["key"], f"{field}.valueFrom.{selector}.key", config_key)


def _volumes(volumes: list[Object], field: str) -> Iterator[FieldError]:
    for index, volume in enumerate(volumes):
        if name := volume.get("name"):
            yield from word(name, f"{field}[{index}].name", dns_label)
        else:
            yield required(f"{field}[{index}].name")
        sources = volume.keys() - {"name"}
        if not sources:
            yield required(f"{field}[{index}]", "must specify a volume type")
        elif len(sources) > 1:
            second = sorted(sources)[1]
            yield forbidden_field(f"{field}[{index}].{second}", "may not specify more than 1 volume type")
    yield from unique([volume.get("name", "") for volume in volumes], lambda index: f"{field}[{index}].name")


def _volume_mounts(mounts: list[Object], volumes: set[str], field: str) -> Iterator[FieldError]:
    paths: set[str] = set()
    for index, mount in enumerate(mounts):
        name, path = mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            yield required(f"{field}[{index}].name")
        elif name not in volumes:
            yield not_found_value(f"{field}[{index}].name", name)
        if not path:
            yield required(f"{field}[{index}].mountPath")
        elif path in paths:
            yield invalid_value(f"{field}[{index}].mountPath", path, "must be unique")
        paths.add(path)


def _resources(resources: Object, field: str) -> Iterator[FieldError]:
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    for part, quantities in (("limits", limits), ("requests", requests)):
        for name, value in quantities.items():
            if quantity.parse(value).nanos < 0:
                detail = "must be greater than or equal to 0"
                yield invalid_value(f"{field}.{part}[{name}]", str(value), detail)
    for name in requests.keys() & limits.keys():
        if quantity.parse(requests[name]) > quantity.parse(limits[name]):
            detail = f"must be less than or equal to {name} limit of {limits[name]}"
            yield invalid_value(f"{field}.requests", str(requests[name]), detail)


def _probe(probe: Object, name: str, field: str) -> Iterator[FieldError]:
    handlers = [handler for handler in _HANDLERS if handler in probe]
    if not handlers:
        yield required(field, "must specify a handler type")
    elif len(handlers) > 1:
        yield forbidden_field(f"{field}.{handlers[1]}", "may not specify more than 1 handler type")
    for key in (
        "initialDelaySeconds",
        "timeoutSeconds",
        "periodSeconds",
        "successThreshold",
        "failureThreshold",
    ):
        yield from not_negative(probe.get(key), f"{field}.{key}")
    if name != "readinessProbe" and probe.get("successThreshold", 1) != 1:
        yield invalid_value(f"{field}.successThreshold", probe["successThreshold"], "must be 1")


_POD_UPDATE_DETAIL = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def validate_update(new: Object, old: Object) -> Iterator[FieldError]:
    """Yield what may not change in a pod: nearly all of its spec.

    Source: kubernetes, pkg/apis/core/validation/validation.go (ValidatePodUpdate).
    """
    yield from _container_images(new["spec"], "spec")
    if len(new["spec"].get("containers") or ()) != len(old["spec"].get("containers") or ()):
        yield forbidden_field("spec.containers", "pod updates may not add or remove containers")
    elif _fixed_part(new["spec"]) != _fixed_part(old["spec"]):
        yield forbidden_field("spec", _POD_UPDATE_DETAIL)
    kept = old["spec"].get("tolerations") or []
    if any(toleration not in (new["spec"].get("tolerations") or []) for toleration in kept):
        detail = "existing toleration can not be modified except its tolerationSeconds"
        yield forbidden_field("spec.tolerations", detail)


def _container_images(spec: Object, field: str) -> Iterator[FieldError]:
    for kind in ("containers", "initContainers"):
        for index, container in enumerate(spec.get(kind) or ()):
            yield from _image(container.get("image", ""), f"{field}.{kind}[{index}].image")


def _fixed_part(spec: Object) -> Object:
    fixed = {key: value for key, value in spec.items() if key not in {"activeDeadlineSeconds", "tolerations"}}
    for kind in ("containers", "initContainers"):
        if kind in fixed:
            fixed[kind] = [container | {"image": ""} for container in fixed[kind]]
    return fixed
