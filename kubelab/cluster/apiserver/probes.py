"""Probes and life cycle hooks of containers: their defaults and what they must be.

Source: kubernetes, pkg/apis/core/v1/defaults.go (SetDefaults_Probe) and
pkg/apis/core/validation/validation.go (validateProbe, validateLifecycle, validateHandler).
"""

from collections.abc import Iterator

from kubelab.cluster.apiserver.fields import (
    FieldError,
    forbidden_field,
    http_header,
    invalid_value,
    not_negative,
    port_number,
    port_number_or_name,
    required,
    unsupported_value,
    word,
)
from kubelab.cluster.objects import Object

PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_HOOKS = ("postStart", "preStop")
_DEFAULTS = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
_SCHEMES = ("HTTP", "HTTPS")


# Defaults


def set_defaults(container: Object) -> None:
    for name in PROBES:
        if (probe := container.get(name)) is not None:
            _set_probe_defaults(probe)
    for name in _HOOKS:
        _set_handler_defaults((container.get("lifecycle") or {}).get(name) or {})


def _set_probe_defaults(probe: Object) -> None:
    for key, value in _DEFAULTS.items():
        probe[key] = probe.get(key) or value
    _set_handler_defaults(probe)
    if (grpc := probe.get("grpc")) is not None:
        grpc.setdefault("service", "")


def _set_handler_defaults(handler: Object) -> None:
    if (http_get := handler.get("httpGet")) is not None:
        http_get["path"] = http_get.get("path") or "/"
        http_get["scheme"] = http_get.get("scheme") or "HTTP"


# Validation


def validate(container: Object, grace_period_s: int | None, field: str) -> Iterator[FieldError]:
    for name in _HOOKS:
        if (hook := (container.get("lifecycle") or {}).get(name)) is not None:
            yield from _handler(hook, grace_period_s, f"{field}.lifecycle.{name}")
    for name in PROBES:
        if (probe := container.get(name)) is not None:
            yield from _probe(probe, name, f"{field}.{name}")


def validate_absent(container: Object, field: str) -> Iterator[FieldError]:
    """Init containers run to their end: nobody asks how they are."""
    for name in ("lifecycle", *PROBES):
        if container.get(name) is not None:
            detail = "may not be set for init containers without restartPolicy=Always"
            yield forbidden_field(f"{field}.{name}", detail)


def _probe(probe: Object, name: str, field: str) -> Iterator[FieldError]:
    yield from _handler(probe, None, field)
    for key in ("initialDelaySeconds", *_DEFAULTS):
        yield from not_negative(probe.get(key), f"{field}.{key}")
    grace_period_s, place = (
        probe.get("terminationGracePeriodSeconds"),
        f"{field}.terminationGracePeriodSeconds",
    )
    if grace_period_s is not None and grace_period_s <= 0:
        yield invalid_value(place, grace_period_s, "must be greater than 0")
    if name == "readinessProbe":
        if grace_period_s is not None:
            yield invalid_value(place, grace_period_s, "must not be set for readinessProbes")
    elif probe.get("successThreshold", 1) != 1:
        yield invalid_value(f"{field}.successThreshold", probe["successThreshold"], "must be 1")


def _handler(handler: Object, grace_period_s: int | None, field: str) -> Iterator[FieldError]:
    chosen = [name for name in _HANDLERS if handler.get(name) is not None]
    if not chosen:
        yield required(field, "must specify a handler type")
        return
    name, *others = chosen
    yield from _action(name, handler[name], grace_period_s, f"{field}.{name}")
    for other in others:
        yield forbidden_field(f"{field}.{other}", "may not specify more than 1 handler type")


def _action(name: str, action: Object, grace_period_s: int | None, field: str) -> Iterator[FieldError]:
    if name == "exec":
        if not action.get("command"):
            yield required(f"{field}.command")
    elif name == "httpGet":
        yield from _http_get(action, field)
    elif name == "tcpSocket":
        yield from port_number_or_name(action.get("port", 0), f"{field}.port")
    elif name == "grpc":
        yield from port_number(action.get("port", 0), f"{field}.port")
    else:
        seconds = action.get("seconds", 0)
        if grace_period_s is not None and not 0 <= seconds <= grace_period_s:
            detail = f"must be non-negative and less than terminationGracePeriodSeconds ({grace_period_s})"
            yield invalid_value(field, seconds, detail)


def _http_get(action: Object, field: str) -> Iterator[FieldError]:
    yield from port_number_or_name(action.get("port", 0), f"{field}.port")
    if (scheme := action.get("scheme", "HTTP")) not in _SCHEMES:
        yield unsupported_value(f"{field}.scheme", scheme, _SCHEMES)
    for header in action.get("httpHeaders") or ():
        yield from word(header.get("name", ""), f"{field}.httpHeaders", http_header)
