"""Go types that kubectl does not carry, as lightkube-models tells of them: CustomResourceDefinition's.

The package's Python annotations say which fields there are and of which type; what they leave open (what
is in a mapping, how wide a number is) is said here.
Source: kubernetes, staging/src/k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1/{types,marshal,
types_jsonschema}.go.
Left out: protobuf's field numbers; kubectl sends these objects as JSON.
"""

import re
from collections.abc import Iterator, Mapping

from kubelab.cluster.apiserver import descriptions
from kubelab.cluster.apiserver.go_types import GoField, GoKind, GoType, GoTypes

PACKAGE = "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
_META = "k8s.io/apimachinery/pkg/apis/meta/v1"
_FREE = (
    "CustomResourceSubresourceStatus",
    "JSON",
    "JSONSchemaPropsOrArray",
    "JSONSchemaPropsOrBool",
    "JSONSchemaPropsOrStringArray",
)
_VALUES_OF: Mapping[str, str] = {
    "definitions": "JSONSchemaProps",
    "dependencies": "JSONSchemaPropsOrStringArray",
    "patternProperties": "JSONSchemaProps",
    "properties": "JSONSchemaProps",
}
_INT32 = frozenset({"port", "priority"})
_SCALARS = {"str": GoKind.STRING, "bool": GoKind.BOOL, "float": GoKind.FLOAT64}
_CLASS = re.compile(r"^class (\w+)\(DictMixin\):\n(.*?)(?=^class |^\w+ = |\Z)", re.DOTALL | re.MULTILINE)
_FIELD = re.compile(r"^    (\w+): '([^']+)' ?=?(.*)$", re.MULTILINE)
_JSON_NAME = re.compile(r'"json": "([^"]+)"')


def declare(types: GoTypes) -> None:
    """Make the types known to *types*; 2 ms."""
    classes = dict(_CLASS.findall(descriptions.source("apiextensions_v1")))
    declared = {name: types.declare(f"{PACKAGE}.{name}", GoKind.STRUCT) for name in (*classes, *_FREE)}
    reader = _Reader(types, declared)
    for name, body in classes.items():
        types.declare_fields(declared[name], list(reader.fields(body)))


class _Reader:
    def __init__(self, types: GoTypes, declared: Mapping[str, GoType]) -> None:
        self._types = types
        self._declared = declared
        self._scalars = {name: types.declare("", kind) for name, kind in _SCALARS.items()}
        self._int32 = types.declare("", GoKind.INT32)
        self._int64 = types.declare("", GoKind.INT64)

    def fields(self, body: str) -> Iterator[GoField]:
        for attribute, annotation, rest in _FIELD.findall(body):
            given = _JSON_NAME.search(rest)
            name = given[1] if given else attribute
            plain = re.sub(r"^Optional\[(.*)\]$", r"\1", annotation)
            yield GoField(name, name, self._type(name, plain), omit_empty=plain != annotation)

    def _type(self, name: str, annotation: str) -> GoType:
        if inner := re.fullmatch(r"List\[(.*)\]", annotation):
            return self._types.declare("", GoKind.SLICE, self._type(name, inner[1]))
        if annotation == "dict":
            return self._types.declare("", GoKind.MAP, self._declared[_VALUES_OF[name]])
        if annotation == "int":
            return self._int32 if name in _INT32 else self._int64
        if annotation.startswith("meta_v1."):
            return self._types.of_name(f"{_META}.{annotation.removeprefix('meta_v1.')}")
        return self._scalars.get(annotation) or self._declared[annotation]
