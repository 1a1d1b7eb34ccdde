"""Label selectors and field selectors: from text or JSON to a yes or no about an object.

Source: kubernetes, apimachinery/pkg/labels/selector.go (grammar and error texts), apimachinery/pkg/fields/
selector.go, apimachinery/pkg/apis/meta/v1/helpers.go (LabelSelectorAsSelector).
Left out: which fields a resource can be selected by. That is the API server's table; here every path does.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

Object = Mapping[str, Any]


class SelectorError(ValueError):
    """A selector that cannot be understood, in upstream's words. The API server answers 400."""


class Operator(StrEnum):
    """Upstream's spelling in error messages, and nearly that of selectors."""

    IN = "in"
    NOT_IN = "notin"
    EQUALS = "="
    DOUBLE_EQUALS = "=="
    NOT_EQUALS = "!="
    GREATER_THAN = "gt"
    LESS_THAN = "lt"
    EXISTS = "exists"
    DOES_NOT_EXIST = "!"


BINARY_OPERATORS = tuple(Operator)[:7]
EQUALITY = (Operator.EQUALS, Operator.DOUBLE_EQUALS, Operator.NOT_EQUALS)
INEQUALITY = (Operator.GREATER_THAN, Operator.LESS_THAN)
MEMBERSHIP = (Operator.IN, Operator.NOT_IN)
EXISTENCE = (Operator.EXISTS, Operator.DOES_NOT_EXIST)


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one label. Make it with `requirement`, which checks it."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        match self.operator:
            case Operator.EXISTS:
                return value is not None
            case Operator.DOES_NOT_EXIST:
                return value is None
            case Operator.NOT_IN | Operator.NOT_EQUALS:
                return value not in self.values
            case Operator.GREATER_THAN | Operator.LESS_THAN:
                return self._compares(value)
            case _:
                return value in self.values

    def _compares(self, value: str | None) -> bool:
        if value is None or not _INTEGER.fullmatch(value):
            return False
        difference = int(value) - int(self.values[0])
        return difference > 0 if self.operator is Operator.GREATER_THAN else difference < 0

    def __str__(self) -> str:
        values = ",".join(sorted(self.values))
        match self.operator:
            case Operator.EXISTS:
                return self.key
            case Operator.DOES_NOT_EXIST:
                return f"!{self.key}"
            case Operator.IN | Operator.NOT_IN:
                return f"{self.key} {self.operator} ({values})"
            case Operator.GREATER_THAN | Operator.LESS_THAN:
                return f"{self.key}{'>' if self.operator is Operator.GREATER_THAN else '<'}{values}"
            case _:
                return f"{self.key}{self.operator}{values}"


def requirement(key: str, operator: Operator, values: Iterable[str] = ()) -> Requirement:
    """Return a checked requirement.

    Raises:
        SelectorError: with all that is wrong about it.
    """
    made = Requirement(key, operator, tuple(dict.fromkeys(values)))
    problems = list(_problems(made))
    if len(problems) > 1:
        raise SelectorError(f"[{', '.join(problems)}]")
    if problems:
        raise SelectorError(problems[0])
    return made


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """All requirements must hold; without any, everything matches. `str` can be parsed again."""

    requirements: tuple[Requirement, ...] = ()
    nothing: bool = False

    def matches(self, labels: Mapping[str, str]) -> bool:
        return not self.nothing and all(wanted.matches(labels) for wanted in self.requirements)

    def __bool__(self) -> bool:
        """False when it lets everything through."""
        return self.nothing or bool(self.requirements)

    def __str__(self) -> str:
        return ",".join(map(str, self.requirements))


EVERYTHING = LabelSelector()
NOTHING = LabelSelector(nothing=True)


def parse_labels(text: str) -> LabelSelector:
    """Return the selector that `kubectl -l` writes: `a=b,c!=d,e in (x,y),f notin (z),g,!h,i>1`.

    Raises:
        SelectorError: *text* is none.
    """
    return _selector(_Parser(text).requirements())


def label_selector(spec: Object | None) -> LabelSelector:
    """Return the selector of a `LabelSelector` object: None selects nothing, an empty one everything.

    Raises:
        SelectorError: an expression is invalid.
    """
    if spec is None:
        return NOTHING
    equal = [requirement(k, Operator.EQUALS, (v,)) for k, v in (spec.get("matchLabels") or {}).items()]
    return _selector(equal + [_expression(expression) for expression in spec.get("matchExpressions") or ()])


_EXPRESSION_OPERATORS = {
    "In": Operator.IN,
    "NotIn": Operator.NOT_IN,
    "Exists": Operator.EXISTS,
    "DoesNotExist": Operator.DOES_NOT_EXIST,
}


def _expression(expression: Object) -> Requirement:
    name = expression.get("operator", "")
    if name not in _EXPRESSION_OPERATORS:
        raise SelectorError(f'"{name}" is not a valid label selector operator')
    return requirement(expression.get("key", ""), _EXPRESSION_OPERATORS[name], expression.get("values") or ())


def _selector(requirements: Iterable[Requirement]) -> LabelSelector:
    return LabelSelector(tuple(sorted(requirements, key=lambda wanted: wanted.key)))


_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_PREFIX = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")

_NAME_RULE = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    f"'{_NAME.pattern}')"
)
_OPTIONAL_PREFIX = " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
_PREFIX_RULE = (
    "prefix part a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for "
    f"validation is '{_PREFIX.pattern}')"
)
_VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must "
    "start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used "
    "for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)


def _problems(wanted: Requirement) -> Iterator[str]:
    if wrong := _key_problem(wanted.key):
        yield f'key: Invalid value: "{wanted.key}": {wrong}'
    if wrong := _count_problem(wanted):
        shown = "[" + ",".join(f'"{value}"' for value in wanted.values) + "]"
        yield f"values: Invalid value: {shown}: {wrong}"
    for index, value in enumerate(wanted.values):
        if wanted.operator in INEQUALITY and not _INTEGER.fullmatch(value):
            rule = "for 'Gt', 'Lt' operators, the value must be an integer"
            yield f'values[{index}]: Invalid value: "{value}": {rule}'
        if wrong := _value_problem(value):
            yield f'values[{index}][{wanted.key}]: Invalid value: "{value}": {wrong}'


def _key_problem(key: str) -> str:
    """Return what keeps *key* from being `[prefix/]name`; "" if nothing does."""
    prefix, slash, name = key.rpartition("/")
    if "/" in prefix or (slash and not name):
        return (
            f"a qualified name {_NAME_RULE}{_OPTIONAL_PREFIX}"
            if "/" in prefix
            else "name part must be non-empty"
        )
    if slash and (len(prefix) > 253 or not _PREFIX.fullmatch(prefix)):
        return _PREFIX_RULE if prefix else "prefix part must be non-empty"
    if len(name) > 63:
        return "name part must be no more than 63 bytes"
    return "" if _NAME.fullmatch(name) else f"name part {_NAME_RULE}"


def _value_problem(value: str) -> str:
    if len(value) > 63:
        return "must be no more than 63 bytes"
    return "" if not value or _NAME.fullmatch(value) else _VALUE_RULE


def _count_problem(wanted: Requirement) -> str:
    number = len(wanted.values)
    if wanted.operator in MEMBERSHIP and not number:
        return "for 'in', 'notin' operators, values set can't be empty"
    if wanted.operator in EQUALITY and number != 1:
        return "exact-match compatibility requires one single value"
    if wanted.operator in EXISTENCE and number:
        return "values set must be empty for exists and does not exist"
    if wanted.operator in INEQUALITY and number != 1:
        return "for 'Gt', 'Lt' operators, exactly one value is required"
    return ""


_TOKEN = re.compile(r"==|!=|[=!(),<>]|[^\s=!(),<>]+")
_SYMBOLS = frozenset(("==", "!=", "=", "!", "(", ")", ",", "<", ">"))
_END = ""

_TEXT_OPERATORS = {
    "in": Operator.IN,
    "notin": Operator.NOT_IN,
    "=": Operator.EQUALS,
    "==": Operator.DOUBLE_EQUALS,
    "!=": Operator.NOT_EQUALS,
    ">": Operator.GREATER_THAN,
    "<": Operator.LESS_THAN,
}


def _is_word(token: str) -> bool:
    return token != _END and token not in _SYMBOLS


class _Parser:
    """Upstream's recursive descent; `in` and `notin` are words except where an operator is due."""

    def __init__(self, text: str) -> None:
        self._tokens = _TOKEN.findall(text)
        self._position = 0

    def requirements(self) -> Iterator[Requirement]:
        if self._ahead == _END:
            return
        if not self._starts_requirement():
            raise SelectorError(f"found '{self._ahead}', expected: !, identifier, or 'end of string'")
        while True:
            yield self._requirement()
            if (found := self._take()) == _END:
                return
            if found != ",":
                raise SelectorError(f"found '{found}', expected: ',' or 'end of string'")
            if not self._starts_requirement():
                raise SelectorError(f"found '{self._ahead}', expected: identifier after ','")

    @property
    def _ahead(self) -> str:
        return self._tokens[self._position] if self._position < len(self._tokens) else _END

    def _take(self) -> str:
        found = self._ahead
        self._position += 1
        return found

    def _starts_requirement(self) -> bool:
        return self._ahead == "!" or _is_word(self._ahead)

    def _requirement(self) -> Requirement:
        try:
            return self._parse_requirement()
        except SelectorError as error:
            raise SelectorError(f"unable to parse requirement: {error}") from None

    def _parse_requirement(self) -> Requirement:
        negated = self._ahead == "!" and bool(self._take())
        if not _is_word(key := self._take()):
            raise SelectorError(f"found '{key}', expected: identifier")
        if wrong := _key_problem(key):
            raise SelectorError(f'<nil>: Invalid value: "{key}": {wrong}')
        if negated:
            return requirement(key, Operator.DOES_NOT_EXIST)
        if self._ahead in (_END, ","):
            return requirement(key, Operator.EXISTS)
        operator = self._operator()
        values = self._set() if operator in MEMBERSHIP else self._exact()
        return requirement(key, operator, values)

    def _operator(self) -> Operator:
        if (found := self._take()) in _TEXT_OPERATORS:
            return _TEXT_OPERATORS[found]
        raise SelectorError(f"found '{found}', expected: {', '.join(BINARY_OPERATORS)}")

    def _exact(self) -> tuple[str, ...]:
        if self._ahead in (_END, ","):
            return ("",)
        if _is_word(found := self._take()):
            return (found,)
        raise SelectorError(f"found '{found}', expected: identifier")

    def _set(self) -> tuple[str, ...]:
        """Parse `(x,,y)`; nothing between commas is the empty value."""
        if (found := self._take()) != "(":
            raise SelectorError(f"found '{found}' expected: '('")
        values = [self._value()]
        while (found := self._take()) == ",":
            values.append(self._value())
        if found != ")":
            raise SelectorError(f"found '{found}', expected: ',' or ')'")
        return tuple(sorted(set(values)))

    def _value(self) -> str:
        return self._take() if _is_word(self._ahead) else ""


@dataclass(frozen=True, slots=True)
class FieldTerm:
    """`field` is a path as `status.phase`. A field that is absent equals both "" and false."""

    field: str
    value: str
    negated: bool = False

    def matches(self, obj: Object) -> bool:
        actual = _field_text(obj, self.field)
        equal = actual == self.value or (not actual and self.value == "false")
        return equal != self.negated

    def __str__(self) -> str:
        value = re.sub(r"([\\,=])", r"\\\1", self.value)
        return f"{self.field}{'!=' if self.negated else '='}{value}"


@dataclass(frozen=True, slots=True)
class FieldSelector:
    """All terms must hold; without any, everything matches. `str` can be parsed again."""

    terms: tuple[FieldTerm, ...] = ()

    def matches(self, obj: Object) -> bool:
        return all(term.matches(obj) for term in self.terms)

    def __bool__(self) -> bool:
        """False when it lets everything through."""
        return bool(self.terms)

    def __str__(self) -> str:
        return ",".join(map(str, self.terms))


def parse_fields(text: str) -> FieldSelector:
    """Return the selector that `kubectl --field-selector` writes: `metadata.name=x,spec.nodeName!=`.

    Raises:
        SelectorError: *text* is none.
    """
    return FieldSelector(tuple(_field_term(part, text) for part in sorted(_FIELD_TERM.findall(text)) if part))


_FIELD_TERM = re.compile(r"(?:\\.|\\$|[^,\\])+", re.DOTALL)


def _field_term(part: str, selector: str) -> FieldTerm:
    match = re.match(r"(.*?)(!=|==|=)(.*)", part, re.DOTALL)
    if not match:
        raise SelectorError(f"invalid selector: '{selector}'; can't understand '{part}'")
    return FieldTerm(match[1], _unescape(match[3]), negated=match[2] == "!=")


def _unescape(value: str) -> str:
    """Take the backslashes from `\\\\`, `\\,` and `\\=`."""
    rest = re.sub(r"\\[\\,=]", "", value)
    if match := re.search(r"\\.?", rest, re.DOTALL):
        raise SelectorError(f"invalid field selector: invalid escape sequence: {match[0]}")
    if "=" in rest:
        raise SelectorError(f"invalid field selector: unescaped character in value: {ord('=')}")
    return re.sub(r"\\([\\,=])", r"\1", value)


def _field_text(obj: Object, path: str) -> str:
    value: Any = obj
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
