"""Go types that kubectl does not carry, as lightkube-models tells of them: CustomResourceDefinition's.

The package's Python annotations say which fields there are and of which type; what they leave open (what
is in a mapping, how wide a number is, a field's number in protobuf, what is a pointer) is said here.
Source: kubernetes, staging/src/k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1/{types,marshal,
types_jsonschema}.go, generated.proto (as of 1.37).
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
_BYTES = frozenset({"caBundle"})
# Protobuf's field numbers by JSON name; a pointer's has a star: what it points to may be there and empty.
_NUMBERED = """
CustomResourceColumnDefinition name=1 type=2 format=3 description=4 priority=5 jsonPath=6
CustomResourceConversion strategy=1 webhook=*2
CustomResourceDefinition metadata=1 spec=2 status=3
CustomResourceDefinitionCondition
  type=1 status=2 lastTransitionTime=3 reason=4 message=5 observedGeneration=6
CustomResourceDefinitionList metadata=1 items=2
CustomResourceDefinitionNames plural=1 singular=2 shortNames=3 kind=4 listKind=5 categories=6
CustomResourceDefinitionSpec group=1 names=3 scope=4 versions=7 conversion=*9 preserveUnknownFields=10
CustomResourceDefinitionStatus conditions=1 acceptedNames=2 storedVersions=3 observedGeneration=4
CustomResourceDefinitionVersion
  name=1 served=2 storage=3 schema=*4 subresources=*5 additionalPrinterColumns=6 deprecated=7
  deprecationWarning=*8 selectableFields=9
CustomResourceSubresourceScale specReplicasPath=1 statusReplicasPath=2 labelSelectorPath=*3
CustomResourceSubresources status=*1 scale=*2
CustomResourceValidation openAPIV3Schema=*1
ExternalDocumentation description=1 url=2
JSONSchemaProps
  id=1 $schema=2 $ref=*3 description=4 type=5 format=6 title=7 default=*8 maximum=*9 exclusiveMaximum=10
  minimum=*11 exclusiveMinimum=12 maxLength=*13 minLength=*14 pattern=15 maxItems=*16 minItems=*17
  uniqueItems=18 multipleOf=*19 enum=20 maxProperties=*21 minProperties=*22 required=23 items=*24 allOf=25
  oneOf=26 anyOf=27 not=*28 properties=29 additionalProperties=*30 patternProperties=31 dependencies=32
  additionalItems=*33 definitions=34 externalDocs=*35 example=*36 nullable=37
  x-kubernetes-preserve-unknown-fields=*38 x-kubernetes-embedded-resource=39 x-kubernetes-int-or-string=40
  x-kubernetes-list-map-keys=41 x-kubernetes-list-type=*42 x-kubernetes-map-type=*43
  x-kubernetes-validations=44
SelectableField jsonPath=1
ServiceReference namespace=1 name=2 path=*3 port=*4
ValidationRule rule=1 message=2 messageExpression=3 reason=*4 fieldPath=5 optionalOldSelf=*6
WebhookClientConfig service=*1 caBundle=2 url=*3
WebhookConversion clientConfig=*2 conversionReviewVersions=3
"""
_ENTRY = re.compile(r"^(\w+)((?:\s+[\w$-]+=\*?\d+)+)", re.MULTILINE)
_NUMBER = re.compile(r"([\w$-]+)=(\*?)(\d+)")
_CLASS = re.compile(r"^class (\w+)\(DictMixin\):\n(.*?)(?=^class |^\w+ = |\Z)", re.DOTALL | re.MULTILINE)
_FIELD = re.compile(r"^    (\w+): '([^']+)' ?=?(.*)$", re.MULTILINE)
_JSON_NAME = re.compile(r'"json": "([^"]+)"')


def declare(types: GoTypes) -> None:
    """Make the types known to *types*; 2 ms."""
    classes = dict(_CLASS.findall(descriptions.source("apiextensions_v1")))
    declared = {name: types.declare(f"{PACKAGE}.{name}", GoKind.STRUCT) for name in (*classes, *_FREE)}
    reader = _Reader(types, declared)
    numbered = {name: _numbers(entry) for name, entry in _ENTRY.findall(_NUMBERED)}
    for name, body in classes.items():
        types.declare_fields(declared[name], list(reader.fields(body, numbered.get(name, {}))))


def _numbers(entry: str) -> dict[str, tuple[int, bool]]:
    """Return the number of each field, and whether it is a pointer."""
    return {name: (int(number), bool(star)) for name, star, number in _NUMBER.findall(entry)}


class _Reader:
    def __init__(self, types: GoTypes, declared: Mapping[str, GoType]) -> None:
        self._types = types
        self._declared = declared
        self._scalars = {name: types.declare("", kind) for name, kind in _SCALARS.items()}
        self._int32 = types.declare("", GoKind.INT32)
        self._int64 = types.declare("", GoKind.INT64)
        self._bytes = types.declare("", GoKind.SLICE, types.declare("", GoKind.UINT8))

    def fields(self, body: str, numbers: Mapping[str, tuple[int, bool]]) -> Iterator[GoField]:
        for attribute, annotation, rest in _FIELD.findall(body):
            given = _JSON_NAME.search(rest)
            name = given[1] if given else attribute
            plain = re.sub(r"^Optional\[(.*)\]$", r"\1", annotation)
            number, is_pointer = numbers.get(name, (0, False))
            type_ = self._type(name, plain)
            if is_pointer:
                type_ = self._types.declare("", GoKind.POINTER, type_)
            yield GoField(name, name, type_, number, omit_empty=plain != annotation)

    def _type(self, name: str, annotation: str) -> GoType:
        if inner := re.fullmatch(r"List\[(.*)\]", annotation):
            return self._types.declare("", GoKind.SLICE, self._type(name, inner[1]))
        if annotation == "dict":
            return self._types.declare("", GoKind.MAP, self._declared[_VALUES_OF[name]])
        if name in _BYTES:
            return self._bytes
        if annotation == "int":
            return self._int32 if name in _INT32 else self._int64
        if annotation.startswith("meta_v1."):
            return self._types.of_name(f"{_META}.{annotation.removeprefix('meta_v1.')}")
        return self._scalars.get(annotation) or self._declared[annotation]
