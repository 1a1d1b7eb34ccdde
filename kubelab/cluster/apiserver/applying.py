"""A request to apply a configuration: its options, its body, and the object that comes of it.

Source: kubernetes, staging/src/k8s.io/apiserver/pkg/endpoints/handlers/patch.go (applyPatcher);
create.go (prefixFromUserAgent); apimachinery/pkg/apis/meta/v1/validation/validation.go
(ValidatePatchOptions, ValidateFieldManager).
"""

from collections.abc import Iterator, Mapping
from typing import Any

from kubelab.cluster.apiserver import bodies, ownership, refusals
from kubelab.cluster.apiserver.fields import FieldError, invalid_value, required, too_long
from kubelab.cluster.apiserver.kind import Kind, Write
from kubelab.cluster.objects import Object, Resource

APPLY = "application/apply-patch+yaml"
MANAGER_BYTES_MAX = 128
_REPLICAS = ("spec", "replicas")


def manager_of(user_agent: str) -> str:
    """Return the field manager of who names none: `kubectl` of `kubectl/v1.37.0 (linux/amd64)`."""
    name = "".join(filter(str.isprintable, user_agent.partition("/")[0]))
    return name.encode()[:MANAGER_BYTES_MAX].decode(errors="ignore")


def check_options(query: Mapping[str, str], options: str, *, applies: bool = False) -> None:
    """Refuse a write whose query names a field manager that may not be, or lacks one that must.

    *options* is the kind of the query (CreateOptions, UpdateOptions, PatchOptions).
    """
    if errors := list(_problems(query, patches=options == "PatchOptions", applies=applies)):
        raise refusals.invalid(Resource("meta.k8s.io", "v1", "", options, namespaced=False), "", errors)


def _problems(query: Mapping[str, str], *, patches: bool, applies: bool) -> Iterator[FieldError]:
    manager = query.get("fieldManager", "")
    if applies and not manager:
        yield required("fieldManager", "is required for apply patch")
    if patches and not applies and "force" in query:
        yield FieldError(
            "FieldValueForbidden", "force", "Forbidden: may not be specified for non-apply patch"
        )
    if len(manager.encode()) > MANAGER_BYTES_MAX:
        yield too_long("fieldManager", MANAGER_BYTES_MAX)
    for position, character in enumerate(manager):
        if not character.isprintable():
            code = f"U+{ord(character):04X}"
            yield invalid_value("fieldManager", manager, f"invalid character {code} (at position {position})")


def configured(
    kind: Kind, live: Object | None, config: Object, name: str, write: Write, *, forced: bool
) -> Object:
    """Return what applying *config* makes of *live*, the object called *name* (None: there is none)."""
    whole = _of_scale(kind, config) if write.subresource == "scale" else config
    whole = whole | {"metadata": {"name": name, **_object(whole, "metadata")}}
    if live is None and (uid := whole["metadata"].get("uid")):
        why = f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
        raise refusals.conflict(kind.resource, name, why)
    return ownership.applied(kind, live, whole, write, force=forced)


def _of_scale(kind: Kind, config: Object) -> Object:
    """Return a configuration of the object whose `Scale` *config* is."""
    if (config.get("apiVersion"), config.get("kind")) != (bodies.SCALE.api_version, bodies.SCALE.kind):
        raise refusals.bad_request(
            f"invalid object type: {config.get('apiVersion')}, Kind={config.get('kind')}"
        )
    whole: Object = {"apiVersion": kind.resource.api_version, "kind": kind.resource.kind}
    whole["metadata"] = _object(config, "metadata")
    if (replicas := _object(config, "spec").get("replicas")) is not None:
        path = kind.custom.scale.replicas if kind.custom and kind.custom.scale else _REPLICAS
        whole |= _nested(path, replicas)
    return whole


def _object(config: Object, name: str) -> Object:
    found = config.get(name)
    if found is not None and not isinstance(found, dict):
        raise refusals.bad_request(f"error decoding patch: {name} is not an object")
    return found or {}


def _nested(path: tuple[str, ...], value: Any) -> Object:
    first, *rest = path
    return {first: _nested(tuple(rest), value) if rest else value}
