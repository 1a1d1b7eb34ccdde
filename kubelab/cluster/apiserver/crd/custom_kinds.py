"""The kinds that a CustomResourceDefinition brings: one for each version that is served.

Source: kubernetes, staging/src/k8s.io/apiextensions-apiserver/pkg/apiserver/customresource_handler.go,
pkg/registry/customresource/{strategy,status_strategy,validator}.go. Objects are kept in the stored version;
between versions only apiVersion changes (conversion None).
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any

import msgspec

from kubelab.cluster.apiserver import schema as go_schema
from kubelab.cluster.apiserver.columns import Column
from kubelab.cluster.apiserver.crd import embedded, list_types, printing, scale, selectable, values
from kubelab.cluster.apiserver.crd.defaulting import drop_nulls, set_defaults
from kubelab.cluster.apiserver.crd.definition import is_true, storage_version
from kubelab.cluster.apiserver.crd.pruning import prune
from kubelab.cluster.apiserver.crd.structural import EMBEDDED, LIST_TYPE, Schema, properties, walk
from kubelab.cluster.apiserver.fields import FieldError, invalid_value, label_key
from kubelab.cluster.apiserver.kind import Custom, Kind, ScalePaths, Write
from kubelab.cluster.apiserver.quoting import quoted
from kubelab.cluster.apiserver.versions import copied
from kubelab.cluster.objects import Object, Resource

_STANDARD_FINALIZERS = frozenset({"orphan", "foregroundDeletion", "kubernetes"})
_KUBERNETES_VERSION = re.compile(r"v(\d+)(?:(alpha|beta)(\d+))?")
_STAGES = {"alpha": 0, "beta": 1, None: 2}


def kinds_of(crd: Object) -> tuple[Kind, ...]:
    """Return the kinds of an established definition, the version that clients prefer first."""
    versions = sorted(crd["spec"]["versions"], key=lambda each: version_order(each["name"]))
    kinds: dict[str, Kind] = {}
    for version in versions:
        kind = _kind(crd, version, MappingProxyType(kinds))
        kinds[kind.resource.api_version] = kind
    return tuple(
        kind for kind, version in zip(kinds.values(), versions, strict=True) if version.get("served")
    )


def version_order(name: str) -> tuple[Any, ...]:
    """Return a key that sorts v10 before v2 before v1 before v1beta2 before v1alpha1 before foo.

    Source: kubernetes, staging/src/k8s.io/apimachinery/pkg/version/helpers.go.
    """
    match = _KUBERNETES_VERSION.fullmatch(name)
    if match is None:
        return (1, 0, 0, 0, name)
    return (0, -_STAGES[match[2]], -int(match[1]), -int(match[3] or 0), name)


def _kind(crd: Object, version: Object, all_versions: Mapping[str, Kind]) -> Kind:
    spec, names = crd["spec"], crd["status"]["acceptedNames"]
    resource = Resource(
        spec["group"],
        version["name"],
        names["plural"],
        names["kind"],
        namespaced=spec["scope"] == "Namespaced",
    )
    own = version.get("subresources") or {}
    rules = _Rules(resource, version, storage_version(crd), scale.paths(own.get("scale")))
    definitions = version.get("additionalPrinterColumns") or ()
    columns: tuple[Column, ...] = printing.columns(definitions)
    return Kind(
        resource,
        "",
        names["singular"],
        columns,
        printing.cells(definitions),
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        subresources=tuple(name for name in ("scale", "status") if name in own),
        set_defaults=rules.set_defaults,
        prepare_create=rules.prepare_create,
        prepare_update=rules.prepare_update,
        validate_create=rules.validate_create,
        validate_update=rules.validate_update,
        validate_parts={"status": rules.validate_status},
        computed_fields={
            selectable.name(each): _field(each) for each in version.get("selectableFields") or ()
        },
        unconditional_update=False,
        warnings=finalizer_warnings,
        custom=Custom(
            rules.schema,
            names["listKind"],
            storage_version(crd),
            rules.fit,
            rules.read,
            rules.write,
            rules.scale,
            _deprecation(crd, version),
            terminating="deletionTimestamp" in crd["metadata"] or is_true(crd, "Terminating"),
            versions=all_versions,
        ),
    )


def _field(field: Object) -> Callable[[Object], str]:
    return lambda obj: selectable.value(obj, field)


def _deprecation(crd: Object, version: Object) -> str:
    if not version.get("deprecated"):
        return ""
    if (told := version.get("deprecationWarning")) is not None:
        return str(told)
    group, kind = crd["spec"]["group"], crd["spec"]["names"]["kind"]
    order = version_order(version["name"])
    newer = [
        each["name"]
        for each in crd["spec"]["versions"]
        if each.get("served") and not each.get("deprecated") and version_order(each["name"]) < order
    ]
    instead = f"; use {group}/{min(newer, key=version_order)} {kind}" if newer else ""
    return f"{group}/{version['name']} {kind} is deprecated{instead}"


def finalizer_warnings(obj: Object) -> Iterator[str]:
    """Yield what is unwise about the names of the finalizers."""
    for finalizer in obj["metadata"].get("finalizers") or ():
        told = f"metadata.finalizers: {quoted(finalizer)}: "
        yield from (told + detail for detail in label_key(finalizer))
        if "/" not in finalizer and finalizer not in _STANDARD_FINALIZERS:
            path = " including a path (/)" if "." in finalizer else ""
            yield (
                f"{told}prefer a domain-qualified finalizer name{path} to avoid accidental conflicts with "
                "other finalizer writers"
            )


class _Rules:
    """What one version does with its objects."""

    def __init__(self, resource: Resource, version: Object, stored: str, paths: ScalePaths | None) -> None:
        self.schema: Object = (version.get("schema") or {}).get("openAPIV3Schema") or {}
        self.scale = paths
        self._resource = resource
        self._stored_version = f"{resource.group}/{stored}"
        self._has_status = "status" in (version.get("subresources") or {})

    @cached_property
    def _said(self) -> frozenset[str]:
        """What is said anywhere in the schema, so that what nothing asks for is not looked for."""
        return frozenset(key for each in walk(self.schema) for key in each if key.startswith("x-"))

    @property
    def _has_embedded(self) -> bool:
        return EMBEDDED in self._said

    @property
    def _has_lists(self) -> bool:
        return LIST_TYPE in self._said

    # What comes in

    def fit(self, obj: Object) -> tuple[Object, list[str]]:
        """Return *obj* with the fields that the schema knows, and what was strictly wrong with it.

        Raises:
            schema.MismatchError: its metadata, or that of an object in it, has a wrong type.
        """
        problems = list(go_schema.all_duplicates(obj))
        fitted: Object = go_schema.plain(obj)
        for name in ("apiVersion", "kind"):
            if not isinstance(fitted.get(name, ""), str):
                raise go_schema.MismatchError(
                    f"{name} accessor error: {fitted[name]} is of the type {type(fitted[name]).__name__}, "
                    "expected string"
                )
        if "metadata" in fitted:
            fitted["metadata"], wrong = embedded.fit_metadata(fitted["metadata"])
            problems += [each for each in wrong if not each.startswith("duplicate")]
        problems += [f"unknown field {quoted(path)}" for path in self._known(fitted)]
        if self._has_embedded:
            mistyped, unknown = embedded.fit(fitted, self.schema)
            if mistyped:
                raise go_schema.MismatchError(str(mistyped[0]))
            problems += unknown
        return fitted, problems

    def _known(self, obj: Object) -> list[str]:
        """Take from *obj* what the schema does not know; return where that was."""
        unknown = prune(obj, self.schema, root=True)
        drop_nulls({key: obj[key] for key in obj if key != "metadata"}, self.schema)
        for name in [key for key, value in obj.items() if value is None]:
            if not properties(self.schema).get(name, {}).get("nullable"):
                del obj[name]
        return unknown

    def set_defaults(self, obj: Object) -> None:
        self._known(obj)
        set_defaults(obj, self.schema)

    # Storage

    def read(self, obj: Object) -> Object:
        """Return a stored object as this version shows it."""
        shown = obj
        if obj["apiVersion"] != self._resource.api_version:
            shown = obj | {"apiVersion": self._resource.api_version}
        changed = copied(shown)
        self.set_defaults(changed)
        return shown if changed == shown else changed

    def write(self, obj: Object) -> Object:
        if obj["apiVersion"] == self._stored_version:
            return obj
        return obj | {"apiVersion": self._stored_version}

    # What the server sets

    def prepare_create(self, obj: Object, _: Write) -> None:
        obj["metadata"]["generation"] = 1
        if self._has_status:
            obj.pop("status", None)

    def prepare_update(self, new: Object, old: Object, write: Write) -> None:
        if write.subresource == "status":
            self._keep_metadata(new, old)
            if not new.get("status") and "status" not in old:
                del new["status"]
        elif _without_metadata(new) != _without_metadata(old):
            new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1

    @staticmethod
    def _keep_metadata(new: Object, old: Object) -> None:
        """A status is written without its object's metadata, but for who manages which field."""
        managed = new["metadata"].get("managedFields")
        new["metadata"].clear()
        new["metadata"].update({k: v for k, v in old["metadata"].items() if k != "resourceVersion"})
        new["metadata"].pop("managedFields", None)
        if managed:
            new["metadata"]["managedFields"] = managed

    # Validation

    def validate_create(self, obj: Object) -> Iterator[FieldError]:
        yield from self._types(obj)
        yield from values.errors(obj, self.schema)
        yield from scale.validate(obj, self.scale)
        yield from self._embedded(obj)
        yield from self._lists(obj)

    def validate_update(self, new: Object, old: Object) -> Iterator[FieldError]:
        yield from self._types(new)
        yield from values.errors(new, self.schema, old)
        yield from scale.validate(new, self.scale)
        yield from self._embedded(new)
        yield from self._new_duplicates(new, old)

    def validate_status(self, new: Object, old: Object) -> Iterator[FieldError]:
        status: Schema | None = properties(self.schema).get("status")
        if status is not None and "status" in new:
            before = old.get("status", values.ABSENT)
            yield from values.errors(new["status"], status, before, path="status")
        yield from scale.validate(new, self.scale, only_status=True)
        yield from self._new_duplicates(new, old)

    def _types(self, obj: Object) -> Iterator[FieldError]:
        for name, wanted in (("kind", self._resource.kind), ("apiVersion", self._resource.api_version)):
            if obj[name] != wanted:
                yield invalid_value(name, obj[name], f"must be {wanted}")

    def _embedded(self, obj: Object) -> Iterator[FieldError]:
        return embedded.invalid(obj, self.schema) if self._has_embedded else iter(())

    def _lists(self, obj: Object) -> Iterator[FieldError]:
        return list_types.duplicates(obj, self.schema) if self._has_lists else iter(())

    def _new_duplicates(self, new: Object, old: Object) -> Iterator[FieldError]:
        """Lists that held something twice before may still do."""
        if not any(self._lists(old)):
            yield from self._lists(new)


def _without_metadata(obj: Object) -> bytes:
    rest = {key: value for key, value in obj.items() if key != "metadata"}
    return msgspec.json.encode(rest, order="sorted")
