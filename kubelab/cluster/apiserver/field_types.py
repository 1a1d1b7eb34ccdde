"""The types of Kubernetes' objects as server-side apply sees them: kubectl's Go types with the merge markers.

Source: kubernetes/kube-openapi, pkg/schemaconv (what each Go type becomes); structured-merge-diff,
value/structreflect.go (what an object has in which nothing was set).
"""

from functools import cache
from typing import Any

from kubelab.cluster.apiserver import merge_topology, schema
from kubelab.cluster.apiserver.go_types import GoField, GoKind, GoType, GoTypes
from kubelab.cluster.apiserver.merge_topology import FieldTopology
from kubelab.cluster.apply import DEDUCED, ListType, MapType, Scalar, Type
from kubelab.cluster.objects import Object

OBJECT_META = "k8s.io/apimachinery/pkg/apis/meta/v1.ObjectMeta"
_UNTYPED = frozenset({schema.QUANTITY, schema.INT_OR_STRING, schema.TIME, schema.MICRO_TIME})
_FREE_FORM = schema.FREE_FORM | {schema.SCHEMA_OR_BOOL, schema.SCHEMA_OR_LIST, schema.SCHEMA_OR_STRINGS}
_ZERO: dict[str, Any] = {schema.QUANTITY: "0", schema.INT_OR_STRING: 0}


class FieldTypes:
    """The types of one kubectl, each made when it is first asked for."""

    def __init__(self, types: GoTypes) -> None:
        self._types = types
        self._structs: dict[str, Type] = {}

    def has(self, go_type: str) -> bool:
        return self._types.has(go_type)

    def of_name(self, go_type: str) -> Type:
        return self._of(self._types.of_name(go_type))

    def empty(self, go_type: str) -> Object:
        """Return the object of that type in which nothing was set: what Go writes nevertheless."""
        return self.empty_struct(self._types.of_name(go_type))

    def empty_struct(self, type_: GoType) -> Object:
        fields = self._types.json_fields(type_)
        return {name: self._zero(each.type) for name, each in fields.items() if self._is_written(each)}

    def is_struct(self, type_: GoType) -> bool:
        """Whether *type_* is a struct whose fields are the object's, and no scalar or free JSON."""
        return type_.kind is GoKind.STRUCT and type_.name not in _UNTYPED | _FREE_FORM

    def _of(self, type_: GoType, topology: FieldTopology | None = None) -> Type:
        type_ = self._types.pointed_to(type_)
        if type_.name in _UNTYPED:
            return Type(Scalar.UNTYPED)
        if type_.name == schema.DURATION:
            return Type(Scalar.STRING)
        if type_.name in _FREE_FORM or type_.kind is GoKind.INTERFACE:
            return DEDUCED
        if type_.kind is GoKind.STRUCT:
            return self._struct(type_, topology)
        if type_.kind is GoKind.MAP:
            atomic = topology is not None and topology.how == "atomic"
            return Type(map=MapType(element=self._of(self._types.element(type_)), atomic=atomic))
        if type_.kind is GoKind.SLICE:
            return self._list(type_, topology)
        return Type(_scalar(type_.kind))

    def _struct(self, type_: GoType, topology: FieldTopology | None) -> Type:
        if type_.name not in self._structs:
            fields: dict[str, Type] = {}
            made = Type(map=MapType(fields, atomic=merge_topology.of_type(type_.name).atomic))
            self._structs[type_.name] = made  # First: a type may contain itself.
            markers = merge_topology.of_type(type_.name).fields
            for name, each in self._types.json_fields(type_).items():
                fields[name] = self._of(each.type, markers.get(name))
        struct = self._structs[type_.name]
        if topology is None or struct.map is None or struct.map.atomic == (topology.how == "atomic"):
            return struct
        return Type(map=MapType(struct.map.fields, atomic=topology.how == "atomic"))

    def _list(self, type_: GoType, topology: FieldTopology | None) -> Type:
        go_element = self._types.element(type_)
        if go_element.kind is GoKind.UINT8:  # Bytes are base64 in JSON.
            return Type(Scalar.STRING)
        element = self._of(go_element)
        if topology is None or topology.how == "atomic":
            return Type(list=ListType(element))
        return Type(list=ListType(element, atomic=False, keys=topology.keys))

    def _is_written(self, field: GoField) -> bool:
        """Whether Go writes *field* if nothing was set; to `omitempty` a struct is never empty.

        A type that the binary does not carry does not tell a struct from a pointer to one.
        """
        is_struct = field.type.kind is GoKind.STRUCT and field.type.address > 0
        return not field.omit_zero and (not field.omit_empty or is_struct)

    def _zero(self, type_: GoType) -> Any:
        if type_.name in _ZERO:
            return _ZERO[type_.name]
        if type_.kind is GoKind.STRUCT:
            return None if type_.name in _UNTYPED | _FREE_FORM else self.empty_struct(type_)
        if type_.kind in {GoKind.SLICE, GoKind.MAP, GoKind.POINTER, GoKind.INTERFACE}:
            return None
        return {Scalar.STRING: "", Scalar.BOOLEAN: False}.get(_scalar(type_.kind), 0)


def _scalar(kind: GoKind) -> Scalar:
    if kind is GoKind.STRING:
        return Scalar.STRING
    return Scalar.BOOLEAN if kind is GoKind.BOOL else Scalar.NUMERIC


@cache
def bundled() -> FieldTypes:
    """Return the types of the kubectl that is installed with the lab."""
    return FieldTypes(schema.bundled().types)
