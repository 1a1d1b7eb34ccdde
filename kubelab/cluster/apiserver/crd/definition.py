"""CustomResourceDefinitions: their defaults, what makes them valid, what they warn of.

Source: kubernetes, staging/src/k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/{v1/defaults,
v1/conversion,validation/validation}.go, pkg/apihelpers/helpers.go, pkg/registry/customresourcedefinition.
Upstream validates a form in which what all versions have in common is at the top; so its errors say
`spec.validation.openAPIV3Schema` rather than `spec.versions[0].schema.openAPIV3Schema`. So do these.
Left out: conversion webhooks (refused); CEL rules are kept and, as the warning says, not carried out.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from kubelab.cluster.apiserver.columns import Cells, Column
from kubelab.cluster.apiserver.crd import formats, schema_rules, selectable
from kubelab.cluster.apiserver.crd.structural import LIST_TYPE, RULES, Schema, items, walk
from kubelab.cluster.apiserver.fields import (
    FieldError,
    dns_1035_label,
    dns_subdomain,
    forbidden_field,
    immutable,
    invalid_value,
    required,
)
from kubelab.cluster.apiserver.fields import unsupported_value as unsupported
from kubelab.cluster.apiserver.kind import Write
from kubelab.cluster.clock import rfc3339
from kubelab.cluster.objects import Object, Resource

DEFINITIONS = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)
CLEANUP_FINALIZER = "customresourcecleanup.apiextensions.k8s.io"
APPROVAL = "api-approved.kubernetes.io"
_COMMON = {
    "schema": "validation",
    "subresources": "subresources",
    "additionalPrinterColumns": "additionalPrinterColumns",
    "selectableFields": "selectableFields",
}
_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
_COLUMN_FORMATS = ("byte", "date", "date-time", "double", "float", "int32", "int64", "password")
_DEPRECATION_LENGTH_MAX = 256

COLUMNS = (
    Column("Name", description="Name must be unique within a namespace."),
    Column("Scope", description="Cluster/Namespaced"),
    Column("Versions", description="Served versions"),
    Column("Created At", "date", description="CreationTimestamp is the time when this object was created."),
    Column("Group", priority=1, description="API group"),
    Column("Kind", priority=1, description="CustomResource kind"),
    Column("ShortNames", priority=1, description="Short names"),
    Column("Established", "boolean", priority=1, description="Established status"),
)


def cells(crd: Object, _: datetime) -> Cells:
    spec, names = crd["spec"], crd["spec"]["names"]
    served = [each for each in spec["versions"] if each.get("served")]
    versions = sorted(each["name"] + ("(storage)" if each.get("storage") else "") for each in served)
    metadata, short_names = crd["metadata"], ",".join(names.get("shortNames") or ())
    return [
        *(metadata["name"], spec["scope"], ",".join(versions), metadata["creationTimestamp"]),
        *(spec["group"], names["kind"], short_names, is_true(crd, "Established")),
    ]


# Conditions


def condition(crd: Object, type_: str) -> Object | None:
    conditions = (crd.get("status") or {}).get("conditions") or ()
    return next((each for each in conditions if each["type"] == type_), None)


def is_true(crd: Object, type_: str) -> bool:
    found = condition(crd, type_)
    return found is not None and found["status"] == "True"


def with_condition(crd: Object, wanted: dict[str, str], now: datetime) -> Object:
    """Return *crd* with the condition; its time is kept while its status is the same."""
    old = condition(crd, wanted["type"])
    since = old["lastTransitionTime"] if old and old["status"] == wanted["status"] else rfc3339(now)
    new: Object = {"lastTransitionTime": since} | wanted
    status = crd.get("status") or {}
    others = {each["type"]: each for each in status.get("conditions") or ()}
    conditions = list((others | {wanted["type"]: new}).values())
    return crd | {"status": status | {"conditions": conditions}}


def terminating(crd: Object, now: datetime) -> Object:
    """Return *crd* as it is once it was asked to go: its objects go first."""
    metadata = crd["metadata"]
    finalizers = list(metadata.get("finalizers") or ())
    if CLEANUP_FINALIZER not in finalizers:
        finalizers.append(CLEANUP_FINALIZER)
    pending = {
        "type": "Terminating",
        "status": "True",
        "reason": "InstanceDeletionPending",
        "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
    }
    return with_condition(crd | {"metadata": metadata | {"finalizers": finalizers}}, pending, now)


# Defaults and what the server sets


def set_defaults(crd: Object) -> None:
    spec = crd["spec"] = dict(crd.get("spec") or {})
    names = spec["names"] = dict(spec.get("names") or {})
    kind = names.get("kind") or ""
    if not names.get("singular") and kind:
        names["singular"] = kind.lower()
    if not names.get("listKind") and kind:
        names["listKind"] = f"{kind}List"
    spec.setdefault("conversion", {"strategy": "None"})
    webhook = (spec["conversion"].get("webhook") or {}).get("clientConfig") or {}
    if service := webhook.get("service"):
        service.setdefault("port", 443)


def prepare_create(crd: Object, _: Write) -> None:
    crd["status"] = {"conditions": [], "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": []}
    _note_storage(crd)


def prepare_update(crd: Object, _: Object, write: Write) -> None:
    if not write.subresource:
        _note_storage(crd)


def _note_storage(crd: Object) -> None:
    """Every version that ever was the stored one is noted, until someone says that nothing is left of it."""
    storage = storage_version(crd)
    stored = (crd.get("status") or {}).get("storedVersions") or []
    if storage and storage not in stored:
        crd["status"] = (crd.get("status") or {}) | {"storedVersions": [*stored, storage]}


def storage_version(crd: Object) -> str:
    versions = crd["spec"].get("versions") or ()
    return next((str(each.get("name")) for each in versions if each.get("storage")), "")


# Validation


def validate(crd: Object) -> Iterator[FieldError]:
    yield from _name(crd)
    spec = with_common_parts(crd["spec"])
    yield from _spec(spec, "spec")
    status = crd.get("status") or {}
    yield from _names(status.get("acceptedNames") or {}, "status.acceptedNames")
    yield from _stored_versions(status.get("storedVersions") or [], spec.get("versions") or [])
    if spec.get("preserveUnknownFields"):
        why = (
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in "
            "spec.versions[*].schema instead"
        )
        yield invalid_value("spec.preserveUnknownFields", True, why)


def validate_update(new: Object, old: Object) -> Iterator[FieldError]:
    yield from _approval(new, old)
    places = [("group",), ("names", "plural")]
    if is_true(old, "Established"):
        places = [("scope",), ("names", "kind"), *places]
    for place in places:
        before, after = (_at(each["spec"], place) for each in (old, new))
        if before != after:
            yield immutable(f"spec.{'.'.join(place)}", after)


def validate_create(crd: Object) -> Iterator[FieldError]:
    return _approval(crd, None)


def validate_status(new: Object, _: Object) -> Iterator[FieldError]:
    return _names((new.get("status") or {}).get("acceptedNames") or {}, "status.acceptedNames")


def _at(spec: Object, place: Sequence[str]) -> Any:
    for name in place:
        spec = (spec or {}).get(name) or {}
    return spec or ""


def _name(crd: Object) -> Iterator[FieldError]:
    names, group = crd["spec"].get("names") or {}, crd["spec"].get("group") or ""
    name = crd["metadata"].get("name") or ""
    if name and name != f"{names.get('plural') or ''}.{group}":
        yield invalid_value("metadata.name", name, 'must be spec.names.plural+"."+spec.group')


def _approval(crd: Object, old: Object | None) -> Iterator[FieldError]:
    """Groups of the Kubernetes community need an approval, or a word that they have none."""
    if not re.search(r"(^|\.)(k8s|kubernetes)\.io$", crd["spec"].get("group") or ""):
        return
    state, given = _approval_state(crd)
    if old is not None and _approval_state(old)[0] == state:
        return
    see = "see https://github.com/kubernetes/enhancements/pull/1111"
    why = f'protected groups must have approval annotation "{APPROVAL}"'
    if state == "missing":
        yield required(f"metadata.annotations[{APPROVAL}]", f"{why}, {see}")
    elif state == "invalid":
        why += f' with either a URL or a reason starting with "unapproved", {see}'
        yield invalid_value(f"metadata.annotations[{APPROVAL}]", given, why)


def _approval_state(crd: Object) -> tuple[str, str]:
    given = str((crd["metadata"].get("annotations") or {}).get(APPROVAL) or "")
    if not given:
        return "missing", given
    if given.startswith("unapproved"):
        return "bypassed", given
    url = urlsplit(given)
    return ("approved" if url.scheme and url.netloc else "invalid"), given


def with_common_parts(spec: Object) -> Object:
    """Return *spec* with what all versions have in common at its top, where upstream validates it."""
    versions: list[Object] = spec.get("versions") or []
    if not versions:
        return spec
    common = {
        key: versions[0].get(key)
        for key in _COMMON
        if all(version.get(key) == versions[0].get(key) for version in versions)
    }
    rest = [{key: value for key, value in each.items() if key not in common} for each in versions]
    top = {_COMMON[key]: value for key, value in common.items() if value is not None}
    return spec | {"versions": rest} | top


def _spec(spec: Object, path: str) -> Iterator[FieldError]:
    yield from _group(spec.get("group") or "", f"{path}.group")
    scope = spec.get("scope") or ""
    if not scope:
        yield required(f"{path}.scope")
    elif scope not in {"Cluster", "Namespaced"}:
        yield unsupported(f"{path}.scope", scope, ("Cluster", "Namespaced"))
    versions: list[Object] = spec.get("versions") or []
    yield from _schemas_there(spec, versions, path)
    yield from _versions(spec, versions, path)
    names: Object = spec.get("names") or {}
    for name in ("plural", "singular", "kind", "listKind"):
        if not names.get(name):
            yield required(f"{path}.names.{name}")
    yield from _names(names, f"{path}.names")
    has_status = any("status" in (each or {}) for each in _subresources(spec, versions))
    yield from _parts(spec, path, has_status=has_status, schema_key="validation")
    yield from _conversion(spec.get("conversion"), f"{path}.conversion")


def _group(group: str, path: str) -> Iterator[FieldError]:
    if not group:
        yield required(path)
    elif wrong := list(dns_subdomain(group)):
        yield invalid_value(path, group, ",".join(wrong))
    elif "." not in group:
        yield invalid_value(path, group, "should be a domain with at least one dot")


def _schemas_there(spec: Object, versions: Sequence[Object], path: str) -> Iterator[FieldError]:
    if (spec.get("validation") or {}).get("openAPIV3Schema") is not None:
        return
    for index, version in enumerate(versions):
        if (version.get("schema") or {}).get("openAPIV3Schema") is None:
            yield required(f"{path}.versions[{index}].schema.openAPIV3Schema")


def _subresources(spec: Object, versions: Sequence[Object]) -> list[Object | None]:
    return [spec.get("subresources"), *(version.get("subresources") for version in versions)]


def _versions(spec: Object, versions: Sequence[Object], path: str) -> Iterator[FieldError]:
    for index, version in enumerate(versions):
        place = f"{path}.versions[{index}]"
        name = version.get("name") or ""
        if wrong := list(dns_1035_label(name)):
            yield invalid_value(f"{place}.name", name, ",".join(wrong))
        yield from _deprecation(version, place)
        own = version.get("subresources") or spec.get("subresources") or {}
        yield from _parts(version, place, has_status="status" in own, schema_key="schema")
    names = [version.get("name") for version in versions]
    if len(set(names)) != len(names):
        yield invalid_value(f"{path}.versions", list(versions), "must contain unique version names")
    if sum(bool(version.get("storage")) for version in versions) != 1:
        why = "must have exactly one version marked as storage version"
        yield invalid_value(f"{path}.versions", list(versions), why)
    if versions and (wrong := list(dns_1035_label(names[0] or ""))):
        yield invalid_value(f"{path}.version", names[0], ",".join(wrong))


def _deprecation(version: Object, path: str) -> Iterator[FieldError]:
    warning = version.get("deprecationWarning")
    if warning is None:
        return
    place = f"{path}.deprecationWarning"
    if not version.get("deprecated"):
        yield invalid_value(place, warning, "can only be set for deprecated versions")
        return
    if len(warning.encode()) > _DEPRECATION_LENGTH_MAX:
        yield invalid_value(place, warning, f"must be <= {_DEPRECATION_LENGTH_MAX} characters long")
    if not warning:
        yield invalid_value(place, warning, "must not be an empty string")
    for index, character in enumerate(warning):
        if not character.isprintable():
            why = "must only contain printable UTF-8 characters; non-printable character found at index"
            yield invalid_value(place, warning, f"{why} {index}")
            return


def _parts(holder: Object, path: str, *, has_status: bool, schema_key: str) -> Iterator[FieldError]:
    """Yield what is wrong with schema, subresources, columns and selectable fields, wherever they are."""
    schema: Schema | None = (holder.get(schema_key) or {}).get("openAPIV3Schema")
    if schema is not None:
        place = f"{path}.{schema_key}.openAPIV3Schema"
        yield from schema_rules.validate(schema, place, has_status=has_status)
    yield from _scale((holder.get("subresources") or {}).get("scale"), f"{path}.subresources.scale")
    for index, column in enumerate(holder.get("additionalPrinterColumns") or ()):
        yield from _column(column, f"{path}.additionalPrinterColumns[{index}]")
    if (fields := holder.get("selectableFields")) and schema is not None:
        yield from selectable.validate(fields, schema, f"{path}.selectableFields")


def _names(names: Object, path: str) -> Iterator[FieldError]:
    for name in ("plural", "singular"):
        if (value := names.get(name)) and (wrong := list(dns_1035_label(value))):
            yield invalid_value(f"{path}.{name}", value, ",".join(wrong))
    for name in ("kind", "listKind"):
        if (value := names.get(name)) and (wrong := list(dns_1035_label(value.lower()))):
            why = f"may have mixed case, but should otherwise match: {','.join(wrong)}"
            yield invalid_value(f"{path}.{name}", value, why)
    yield from _words(names.get("shortNames"), f"{path}.shortNames")
    if names.get("kind") and names.get("kind") == names.get("listKind"):
        yield invalid_value(f"{path}.listKind", names["kind"], "kind and listKind may not be the same")
    yield from _words(names.get("categories"), f"{path}.categories")


def _words(words: Sequence[str] | None, path: str) -> Iterator[FieldError]:
    for index, word in enumerate(words or ()):
        if wrong := list(dns_1035_label(word)):
            yield invalid_value(f"{path}[{index}]", word, ",".join(wrong))


def _column(column: Object, path: str) -> Iterator[FieldError]:
    if not column.get("name"):
        yield required(f"{path}.name")
    types, formats_ = ",".join(_COLUMN_TYPES), ",".join(_COLUMN_FORMATS)
    if not (type_ := column.get("type")):
        yield required(f"{path}.type", f"must be one of {types}")
    elif type_ not in _COLUMN_TYPES:
        yield invalid_value(f"{path}.type", type_, f"must be one of {types}")
    if (format_ := column.get("format")) and format_ not in _COLUMN_FORMATS:
        yield invalid_value(f"{path}.format", format_, f"must be one of {formats_}")
    yield from _simple_path(column.get("jsonPath") or "", f"{path}.JSONPath")


def _simple_path(text: str, path: str) -> Iterator[FieldError]:
    if not text:
        yield required(path)
    elif not text.startswith("."):
        yield invalid_value(path, text, "must be a simple json path starting with .")


def _scale(scale: Object | None, path: str) -> Iterator[FieldError]:
    if scale is None:
        return
    for name, below in (("specReplicasPath", ".spec"), ("statusReplicasPath", ".status")):
        text, place = scale.get(name) or "", f"{path}.{name}"
        if wrong := list(_simple_path(text, place)):
            yield from wrong
        elif not text.startswith(f"{below}."):
            yield invalid_value(place, text, f"should be a json path under {below}")
    if text := scale.get("labelSelectorPath"):
        place = f"{path}.labelSelectorPath"
        if wrong := list(_simple_path(text, place)):
            yield from wrong
        elif not text.startswith((".spec.", ".status.")):
            yield invalid_value(place, text, "should be a json path under either .spec or .status")


def _conversion(conversion: Object | None, path: str) -> Iterator[FieldError]:
    strategy = (conversion or {}).get("strategy") or ""
    if not strategy:
        yield required(f"{path}.strategy")
    elif strategy == "Webhook":
        why = "conversion webhooks are not served in this lab; use the strategy None"
        yield forbidden_field(f"{path}.strategy", why)
    elif strategy != "None":
        yield unsupported(f"{path}.strategy", strategy, ("None", "Webhook"))
    elif (webhook := (conversion or {}).get("webhook")) is not None:
        why = "should not be set when strategy is not set to Webhook"
        if webhook.get("clientConfig") is not None:
            yield forbidden_field(f"{path}.webhookClientConfig", why)
        if webhook.get("conversionReviewVersions"):
            yield forbidden_field(f"{path}.conversionReviewVersions", why)


def _stored_versions(stored: list[str], versions: Sequence[Object]) -> Iterator[FieldError]:
    path = "status.storedVersions"
    if not stored:
        yield invalid_value(path, stored, "must have at least one stored version")
        return
    for version in versions:
        if version.get("storage") and version.get("name") not in stored:
            yield invalid_value(path, stored, f"must have the storage version {version.get('name')}")
    there = {version.get("name") for version in versions}
    for index, name in enumerate(stored):
        if name not in there:
            why = (
                f"missing from spec.versions; {name} was previously a storage version, and must remain in "
                f"spec.versions until a storage migration ensures no data remains persisted in {name} and "
                f"removes {name} from status.storedVersions"
            )
            yield invalid_value(f"{path}[{index}]", name, why)


# Warnings


def warnings(crd: Object) -> Iterator[str]:
    """Yield what of *crd* is not carried out, here or by any server."""
    yield from dict.fromkeys(_every(crd, _unknown_formats))
    yield from sorted(set(_every(crd, _sets_of_objects)))
    rules = {place for version in _schemas(crd) for place in _rule_places(version, "")}
    for place in sorted(rules):
        yield f"{place}: x-kubernetes-validations (CEL rules) are not carried out in this lab"


def _schemas(crd: Object) -> Iterator[Schema]:
    for version in (crd.get("spec") or {}).get("versions") or ():
        if (schema := (version.get("schema") or {}).get("openAPIV3Schema")) is not None:
            yield schema


def _every(crd: Object, told: Callable[[Schema], Iterator[str]]) -> Iterator[str]:
    return (text for schema in _schemas(crd) for each in walk(schema) for text in told(each))


def _unknown_formats(schema: Schema) -> Iterator[str]:
    if (format_ := schema.get("format")) and not formats.supported(schema):
        yield f'unrecognized format "{format_}"'


def _sets_of_objects(schema: Schema) -> Iterator[str]:
    below = items(schema)
    if schema.get(LIST_TYPE) == "set" and below is not None and below.get("type") in {"object", "array"}:
        yield (
            f'x-kubernetes-list-type: set for items of type "{below["type"]}" is not supported by '
            "server-side apply or CEL validation rules"
        )


def _rule_places(schema: Schema, path: str) -> Iterator[str]:
    if schema.get(RULES):
        yield path or "the object itself"
    for name, each in (schema.get("properties") or {}).items():
        yield from _rule_places(each, f"{path}.{name}" if path else name)
    for key, mark in (("items", "[*]"), ("additionalProperties", ".*")):
        if isinstance(each := schema.get(key), dict):
            yield from _rule_places(each, f"{path}{mark}")
