"""Do the values of an object fit its schema? In the words of upstream's validator.

Source: k8s.io/kube-openapi/pkg/validation/{validate,errors}; kubernetes, staging/src/k8s.io/apiextensions-
apiserver/pkg/apiserver/validation/{validation,ratcheting}.go (what becomes of its errors; an update may keep
what was wrong before: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/
custom-resource-definitions/#validation-ratcheting).
Left out: x-kubernetes-validations (CEL); the keywords that no structural schema has (patternProperties,
dependencies, uniqueItems, $ref).
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from kubelab.cluster.apiserver.crd import formats, patterns
from kubelab.cluster.apiserver.crd.structural import (
    INT_OR_STRING,
    LIST_MAP_KEYS,
    LIST_TYPE,
    MAP_TYPE,
    Schema,
    additional,
    items,
    properties,
)
from kubelab.cluster.apiserver.fields import FieldError, invalid_value, required, too_long, too_many

ABSENT = object()  # There is no former value to compare with.
_INT_BITS = {"int32": 32}
_FLOAT32_MAX = 3.4028234663852886e38
_NO_PLACE = "<nil>"  # How Go prints the path of an error that has none.


@dataclass(slots=True)
class Result:
    """What is wrong, and how many questions were asked: of several schemas the closest one explains most."""

    errors: list[FieldError] = field(default_factory=list)
    matches: int = 0

    def merge(self, other: "Result") -> None:
        self.add(*other.errors)
        self.matches += other.matches

    def add(self, *errors: FieldError) -> None:
        self.errors += [each for each in errors if each not in self.errors]


def errors(value: Any, schema: Schema, old: Any = ABSENT, path: str = "") -> list[FieldError]:
    """Return what of *value* does not fit; what is as it was in *old* is let be.

    The fields of the errors begin with *path*, the sentences, as upstream has it, below it.
    """
    found = _validate(value, schema, "", old).errors
    return [_placed(each, path) for each in found] if path else found


def _placed(error: FieldError, path: str) -> FieldError:
    if error.field == _NO_PLACE:
        return FieldError(error.reason, path, error.message)
    place = error.field if error.field.startswith("[") else f".{error.field}"
    return FieldError(error.reason, f"{path}{place if error.field else ''}", error.message)


def _validate(value: Any, schema: Schema, path: str, old: Any) -> Result:
    result = _checked(value, schema, path, old)
    if result.errors and old is not ABSENT and _same(value, old):
        return Result()
    return result


def _same(value: Any, old: Any) -> bool:
    encode = msgspec.json.Encoder(order="sorted").encode
    return encode(value) == encode(old)


def _checked(value: Any, schema: Schema, path: str, old: Any) -> Result:
    result = Result()
    if value is None:
        result.add(*_type_errors(value, schema, path), *_enum_errors(value, schema, path))
        return result
    for applies, check in _CHECKS:
        if applies(value, schema):
            result.merge(check(value, schema, path, old))
            result.matches += 1
    result.matches += 1
    return result


# Types


def types_of(schema: Schema) -> tuple[str, ...]:
    if schema.get(INT_OR_STRING):
        return ("integer", "string")
    return (schema["type"],) if schema.get("type") else ()


def _json_type(value: Any) -> tuple[str, str]:
    """Return type and format as upstream sees a decoded value."""
    if isinstance(value, bool):
        return "boolean", ""
    if isinstance(value, int):
        return "integer", "int64"
    if isinstance(value, float):
        return "number", "float64"
    if isinstance(value, str):
        return "string", ""
    return ("array" if isinstance(value, list) else "object"), ""


def _type_errors(value: Any, schema: Schema, path: str) -> Iterator[FieldError]:
    types, format_ = types_of(schema), formats.supported(schema)
    if value is None:
        if types and not schema.get("nullable"):
            yield _wrong_type(path, ",".join(types), "null")
        return
    if not types and not format_:
        return
    type_, value_format = _json_type(value)
    fits = (
        type_ in types
        or (type_ == "number" and "integer" in types and value.is_integer())
        or (type_ == "integer" and "number" in types)
    )
    is_text_or_list = isinstance(value, str | list)
    if format_ and not is_text_or_list and not fits:
        yield _wrong_type(path, format_, value_format)
    elif format_ and is_text_or_list and not {"number", "integer"} & set(types):
        return  # The format itself is asked next.
    elif not fits:
        yield _wrong_type(path, ",".join(types), type_)


def _wrong_type(path: str, wanted: str, given: str) -> FieldError:
    sentence = f"{path} in body must be of type {wanted}: {_quoted(given)}"
    message = f"Invalid value: {_quoted(given)}: {sentence}"
    return FieldError("FieldValueTypeInvalid", path, message)


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()


def _invalid(path: str, value: Any, sentence: str) -> FieldError:
    return invalid_value(path, value, f"{path} in body {sentence}")


def _unplaced(sentence: str) -> FieldError:
    """An error that upstream knows no field for."""
    return invalid_value(_NO_PLACE, "", sentence)


def _check_type(value: Any, schema: Schema, path: str, _: Any) -> Result:
    found = list(_type_errors(value, schema, path))
    return Result(found, 0 if found else 1)


# Enums, strings, numbers


def _enum_errors(value: Any, schema: Schema, path: str) -> Iterator[FieldError]:
    choices = schema.get("enum") or ()
    if not choices or (value is not None and any(_equal(value, each) for each in choices)):
        return
    shown = ", ".join(_quoted(each if isinstance(each, str) else _json(each)) for each in choices)
    given = _quoted("null") if value is None else _json(value)
    message = f"Unsupported value: {given}: supported values: {shown}"
    yield FieldError("FieldValueNotSupported", path, message)


def _equal(value: Any, choice: Any) -> bool:
    if isinstance(value, bool) or isinstance(choice, bool):
        return value is choice
    return bool(value == choice)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _check_enum(value: Any, schema: Schema, path: str, _: Any) -> Result:
    return Result(list(_enum_errors(value, schema, path)))


def _check_string(value: str, schema: Schema, path: str, _: Any) -> Result:
    """Return the first thing that is wrong with a string."""
    longest, shortest = schema.get("maxLength"), schema.get("minLength")
    if longest is not None and len(value) > longest:
        return Result([too_long(path, int(longest))])
    if shortest is not None and len(value) < shortest:
        return Result([_invalid(path, value, f"should be at least {int(shortest)} chars long")])
    pattern = schema.get("pattern")
    if pattern and not patterns.compiled(pattern).search(value):
        return Result([_invalid(path, value, f"should match '{pattern}'")])
    return Result()


def _check_format(value: str, schema: Schema, path: str, _: Any) -> Result:
    format_ = formats.supported(schema)
    check = formats.check(format_)
    if check is None or check(value):
        return Result()
    sentence = f"{path} in body must be of type {format_}: {_quoted(value)}"
    return Result([FieldError("FieldValueTypeInvalid", path, f"Invalid value: {_quoted(value)}: {sentence}")])


def _check_number(value: float, schema: Schema, path: str, _: Any) -> Result:
    result = Result(matches=1)
    result.add(*_range_errors(value, schema, path))
    factor, highest, lowest = schema.get("multipleOf"), schema.get("maximum"), schema.get("minimum")
    if factor is not None:
        result.add(*_multiple_errors(value, factor, path))
    if highest is not None:
        limit, exclusive = _as_given(highest, value), bool(schema.get("exclusiveMaximum"))
        if value > limit or (exclusive and value == limit):
            than = "less than" if exclusive else "less than or equal to"
            result.add(_invalid(path, value, f"should be {than} {go_number(limit)}"))
    if lowest is not None:
        limit, exclusive = _as_given(lowest, value), bool(schema.get("exclusiveMinimum"))
        if value < limit or (exclusive and value == limit):
            than = "greater than" if exclusive else "greater than or equal to"
            result.add(_invalid(path, value, f"should be {than} {go_number(limit)}"))
    return result


def _range_errors(value: float, schema: Schema, path: str) -> Iterator[FieldError]:
    type_, format_ = schema.get("type"), formats.supported(schema)
    if type_ == "integer":
        limit = 1 << (_INT_BITS.get(format_, 64) - 1)
        fits = float(value).is_integer() and -limit <= value < limit
    else:
        fits = type_ != "number" or format_ != "float" or abs(value) <= _FLOAT32_MAX
    if not fits:
        kind = f"{type_} with format {format_}" if format_ else f"{type_} (default format)"
        yield _unplaced(f"Checked value must be of type {kind} in {path}")


def _multiple_errors(value: float, factor: float, path: str) -> Iterator[FieldError]:
    if isinstance(value, int):
        factor = int(factor)
    if factor <= 0:
        sentence = f"factor MultipleOf declared for {path} must be positive: {go_number(factor)}"
        yield invalid_value(path, factor, sentence)
    elif isinstance(value, int):
        if value % factor:
            yield _invalid(path, value, f"should be a multiple of {go_number(factor)}")
    elif not _is_whole(1 / factor * value if factor < 1 else value / factor):
        yield _invalid(path, value, f"should be a multiple of {go_number(factor)}")


def _is_whole(number: float) -> bool:
    """As upstream: nearly a whole number is one, since floats are what they are."""
    if not math.isfinite(number):
        return False
    return number.is_integer() or abs(number - round(number)) < 1e-9 * max(1.0, abs(number))


def _as_given(limit: float, value: float) -> float:
    """A limit for an integer loses its fraction, as upstream converts it."""
    return int(limit) if isinstance(value, int) else limit


def go_number(number: float) -> str:
    """Return *number* as Go's %v prints it."""
    if isinstance(number, int):
        return str(number)
    return str(int(number)) if number.is_integer() and abs(number) < 1e21 else repr(number)


# Lists and objects


def _check_list(value: list[Any], schema: Schema, path: str, old: Any) -> Result:
    result, below = Result(), items(schema)
    if below is not None:
        for index, item in enumerate(value):
            result.merge(_validate(item, below, f"{path}[{index}]", _old_item(item, schema, old)))
    shortest, longest = schema.get("minItems"), schema.get("maxItems")
    if shortest is not None and len(value) < shortest:
        result.add(_invalid(path, len(value), f"should have at least {int(shortest)} items"))
    if longest is not None and len(value) > longest:
        result.add(too_many(path, len(value), int(longest)))
    result.matches += 1
    return result


def _old_item(item: Any, schema: Schema, old: Any) -> Any:
    """Return what *item* was: the items of a map have their keys to be known by, others nothing."""
    keys: Sequence[str] = schema.get(LIST_MAP_KEYS) or ()
    if schema.get(LIST_TYPE) != "map" or not isinstance(old, list) or not isinstance(item, dict):
        return ABSENT
    same = (
        each for each in old if isinstance(each, dict) and all(each.get(key) == item.get(key) for key in keys)
    )
    return next(same, ABSENT)


def _old_field(name: str, schema: Schema, path: str, old: Any) -> Any:
    if schema.get(MAP_TYPE) == "atomic" or not isinstance(old, dict):
        return ABSENT
    return ABSENT if not path and name in {"kind", "apiVersion"} else old.get(name, ABSENT)


def _check_object(value: dict[str, Any], schema: Schema, path: str, old: Any) -> Result:
    result, fields, rest = Result(), properties(schema), additional(schema)
    fewest, most = schema.get("minProperties"), schema.get("maxProperties")
    if fewest is not None and len(value) < fewest:
        result.add(_invalid(path, len(value), f"should have at least {int(fewest)} properties"))
    if most is not None and len(value) > most:
        result.add(too_many(path, len(value), int(most)))
    if schema.get("additionalProperties") is False:
        unknown = [name for name in value if name not in fields]
        result.add(*(invalid_value(path, n, f"{path}.{n} in body is a forbidden property") for n in unknown))
    for name, item in value.items():
        below = fields.get(name, rest)
        if below is not None:
            place = f"{path}.{name}" if path else name
            result.merge(_validate(item, below, place, _old_field(name, schema, path, old)))
    missing = [name for name in schema.get("required") or () if name not in value]
    result.add(*(required(f"{path}.{name}" if path else name) for name in missing))
    return result


# Junctors


def _check_junctors(value: Any, schema: Schema, path: str, old: Any) -> Result:
    result = Result(matches=1)
    if any_of := schema.get("anyOf"):
        result.merge(_any_of(value, any_of, path, old))
    if one_of := schema.get("oneOf"):
        result.merge(_one_of(value, one_of, path, old))
    if all_of := schema.get("allOf"):
        result.merge(_all_of(value, all_of, path, old))
    negated = schema.get("not")
    if negated is not None and not _checked(value, negated, path, old).errors:
        result.add(_unplaced(f"{_quoted(path)} must not validate the schema (not)"))
    return result


def _best(results: Sequence[Result]) -> Result:
    """Return the first of those that got farthest."""
    return max(results, key=lambda each: each.matches)


def _any_of(value: Any, schemas: Sequence[Schema], path: str, old: Any) -> Result:
    tried: list[Result] = []
    for each in schemas:
        tried.append(_checked(value, each, path, old))
        if not tried[-1].errors:
            return Result(matches=tried[-1].matches)
    result = Result([_unplaced(f"{_quoted(path)} must validate at least one schema (anyOf)")])
    result.merge(_best(tried))
    return result


def _one_of(value: Any, schemas: Sequence[Schema], path: str, old: Any) -> Result:
    tried = [_checked(value, each, path, old) for each in schemas]
    valid = [each for each in tried if not each.errors]
    if len(valid) == 1:
        return Result(matches=valid[0].matches)
    found = f"Found {len(valid)} valid alternatives" if valid else "Found none valid"
    sentence = f"{_quoted(path)} must validate one and only one schema (oneOf). {found}"
    result = Result([_unplaced(sentence)])
    if not valid:
        result.merge(_best(tried))
    return result


def _all_of(value: Any, schemas: Sequence[Schema], path: str, old: Any) -> Result:
    result = Result()
    tried = [_checked(value, each, path, old) for each in schemas]
    for each in tried:
        result.merge(each)
    valid = sum(not each.errors for each in tried)
    if valid != len(schemas):
        none = "" if valid else ". None validated"
        result.add(_unplaced(f"{_quoted(path)} must validate all the schemas (allOf){none}"))
    return result


Applies = Callable[[Any, Schema], bool]
Check = Callable[[Any, Schema, str, Any], Result]

_CHECKS: tuple[tuple[Applies, Check], ...] = (
    (lambda _, schema: bool(types_of(schema) or formats.supported(schema)), _check_type),
    (lambda *_: True, _check_junctors),
    (lambda value, _: isinstance(value, str), _check_string),
    (lambda value, schema: isinstance(value, str) and bool(formats.supported(schema)), _check_format),
    (lambda value, _: isinstance(value, int | float) and not isinstance(value, bool), _check_number),
    (lambda value, _: isinstance(value, list), _check_list),
    (lambda *_: True, _check_enum),
    (lambda value, _: isinstance(value, dict), _check_object),
)
