"""Progress as a file that people can keep, hand in or take to another machine: JSON, or CSV for spreadsheets.

JSON has all of it. CSV has one line per step, and the lesson's own columns on each; a lesson without a step
has one line with an empty step; the journal is not in it. A learner's or the machine's own words (an answer,
an outcome) that a spreadsheet would take for a formula, or that have control characters, are written there as
a JSON string.
Format 1 had no skipped steps, predictions, completions and journal; it is read as well, and so is a CSV
without their columns. Files are read warily, for a teacher imports those of strangers. Pure.
"""

import csv
import datetime
import io
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import yaml

from kubelab.language import Text
from kubelab.lessons import schema
from kubelab.lessons.located import LessonError, Node, unknown
from kubelab.lessons.merge import merge
from kubelab.lessons.record import Completion, Entry, Event, LessonRecord, StepRecord

FORMAT = 2
FORMATS = (1, FORMAT)
HINTS_MAX = 99
COUNT_MAX = 9999  # Of a completion: steps, and hints in all of them.
FileFormat = Literal["csv", "json"]

COLUMNS_1 = ("lesson", "step", "passed", "hints", "hints-at-pass", "at", "seed", "variables")
COLUMNS = (*COLUMNS_1, "skipped", "answer", "outcome", "outcome-choice", "completions")
YES = "yes"
INTEGER_DIGITS_MAX = 99

_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,6})?", re.ASCII)
_NOT_PLAIN = re.compile('^$|^[=+\\-@"]|[\x00-\x1f\x7f-\x9f]')  # What spreadsheets run: OWASP, CSV Injection.


@dataclass(frozen=True, slots=True)
class _File:
    format: int
    lessons: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class _Line:
    """An `Entry` as a lesson's journal has it."""

    at: str
    what: str
    step: str = ""
    detail: str = ""


def export(records: Sequence[LessonRecord], format_: FileFormat) -> str:
    return _to_csv(records) if format_ == "csv" else _to_json(records)


def parse(text: str, file: str) -> tuple[LessonRecord, ...]:
    """Read what `export` wrote; which of the two formats it is shows in its first character.

    Raises:
        LessonError: it is neither, or a value is not as it must be; with file and line.
    """
    text = text.removeprefix("\ufeff")  # What some spreadsheets write first.
    try:
        if text.lstrip().startswith(("{", "[")):
            return _parse_json(text, file)
        return _records(_csv_nodes(text, file))
    except RecursionError as error:
        problem = Text("tiene demasiados niveles anidados.", "it is nested too deeply.")
        raise LessonError(file, 1, problem) from error


def _parse_json(text: str, file: str) -> tuple[LessonRecord, ...]:
    value = _json_value(text, file)
    try:
        return _records(_json_nodes(_place(value, None, file)))
    except LessonError:  # Only now: to find out the lines takes a hundred times as long as all the rest.
        return _records(_json_nodes(_place(value, _composed(text), file)))


def _records(nodes: Iterable[Node]) -> tuple[LessonRecord, ...]:
    return merge((), [_record(node) for node in nodes])


def _record(node: Node) -> LessonRecord:
    """Read a lesson, and refuse what the types allow and progress cannot be."""
    entries = node.mapping()
    record = schema.read(LessonRecord, Node(_without_journal(entries), node.file, node.line))
    if not record.lesson:
        raise node.error("falta el id de la lección.", "the lesson's id is missing.")
    for step, place in zip(record.steps, _items(entries, "steps"), strict=True):
        _check_step(step, place)
    for one, place in zip(record.completions, _items(entries, "completions"), strict=True):
        _check_completion(one, place)
    journal = tuple(_entry(record.lesson, place) for place in _items(entries, "journal"))
    return replace(record, journal=journal)


def _without_journal(entries: Mapping[str, Node]) -> dict[str, Node]:
    return {key: value for key, value in entries.items() if key != "journal"}


def _items(entries: Mapping[str, Node], key: str) -> list[Node]:
    return entries[key].sequence() if key in entries else []


def _check_step(step: StepRecord, place: Node) -> None:
    if not step.step:
        raise place.error("falta el id del paso.", "the step's id is missing.")
    for hints in (step.hints, step.hints_at_pass or 0):
        _check_hints(hints, HINTS_MAX, place)
    if step.passed is not None:
        _check_time(step.passed, place)


def _check_completion(one: Completion, place: Node) -> None:
    _check_time(one.at, place)
    _check_hints(one.hints, COUNT_MAX, place)
    if not 0 <= one.skipped <= one.steps <= COUNT_MAX:
        raise place.error(
            f"de {one.steps} pasos no se saltan {one.skipped}.",
            f"of {one.steps} steps, {one.skipped} cannot be skipped.",
        )


def _entry(lesson: str, place: Node) -> Entry:
    line = schema.read(_Line, place)
    _check_time(line.at, place)
    if line.what not in list(Event):
        raise unknown(place, Text("suceso", "event"), line.what, [event.value for event in Event])
    return Entry(line.at, lesson, line.step, Event(line.what), line.detail)


def _check_hints(hints: int, hints_max: int, place: Node) -> None:
    if not 0 <= hints <= hints_max:
        raise place.error(
            f"{hints} no es un número de pistas: va de 0 a {hints_max}.",
            f"{hints} is no number of hints: it goes from 0 to {hints_max}.",
        )


def _check_time(time: str, place: Node) -> None:
    """Times are compared as texts, so they must be written in full."""
    try:
        written_so = _TIME.fullmatch(time) and datetime.datetime.fromisoformat(time)
    except ValueError:
        written_so = None
    if not written_so:
        raise place.error(
            f"«{time}» no es una fecha como 2026-01-31 09:30:00.",
            f"“{time}” is no time like 2026-01-31 09:30:00.",
        )


def _step_fields(step: StepRecord) -> dict[str, Any]:
    return {
        "step": step.step,
        "passed": step.passed,
        "hints": step.hints,
        "hints-at-pass": step.hints_at_pass,
    }


def _lesson_fields(record: LessonRecord) -> dict[str, Any]:
    return {
        "lesson": record.lesson,
        "at": record.at,
        "seed": record.seed,
        "variables": dict(record.variables),
    }


def _to_json(records: Iterable[LessonRecord]) -> str:
    lessons = [_lesson_fields(record) | _lists(record) for record in records]
    return json.dumps({"format": FORMAT, "lessons": lessons}, indent=1, ensure_ascii=False) + "\n"


def _lists(record: LessonRecord) -> dict[str, Any]:
    return {
        "steps": [_json_step(step) for step in record.steps],
        "completions": _completions(record),
        "journal": [_json_entry(entry) for entry in record.journal],
    }


def _json_step(step: StepRecord) -> dict[str, Any]:
    outcome = {"value": step.outcome.value, "choice": step.outcome.choice} if step.outcome else None
    optional = {"skipped": step.skipped or None, "answer": step.answer or None, "outcome": outcome}
    return {key: value for key, value in (_step_fields(step) | optional).items() if value is not None}


def _completions(record: LessonRecord) -> list[dict[str, Any]]:
    return [
        {schema.yaml_name(key): value for key, value in asdict(completion).items()}
        for completion in record.completions
    ]


def _json_entry(entry: Entry) -> dict[str, str]:
    return {"at": entry.at, "step": entry.step, "what": entry.what.value, "detail": entry.detail}


def _to_csv(records: Iterable[LessonRecord]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for record in (one for one in records if one.begun or one.completions):
        lesson = _lesson_fields(record) | {"completions": _completions(record)}
        for column in ("variables", "completions"):
            lesson[column] = json.dumps(lesson[column], ensure_ascii=False)
        writer.writerows([lesson | _csv_step(step) for step in record.steps] or [lesson])
    return out.getvalue()


def _csv_step(step: StepRecord) -> dict[str, Any]:
    return _step_fields(step) | {
        "skipped": YES if step.skipped else "",
        "answer": _words(step.answer) if step.answer else "",
        "outcome": _words(step.outcome.value) if step.outcome else "",
        "outcome-choice": _words(step.outcome.choice) if step.outcome and step.outcome.choice else "",
    }


def _words(text: str) -> str:
    """Return *text* as a cell that is not empty, and that a spreadsheet shows and does not run."""
    return json.dumps(text) if _NOT_PLAIN.search(text) else text


def _json_value(text: str, file: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise LessonError(file, error.lineno, _NOT_JSON.format(why=error.msg)) from error
    except ValueError as error:  # A number of thousands of digits.
        raise LessonError(file, 1, _NOT_JSON.format(why=error)) from error


def _json_nodes(root: Node) -> list[Node]:
    known = schema.read(_File, root)
    if known.format not in FORMATS:
        raise root.mapping()["format"].error(
            f"el formato {known.format} no se conoce; este kubelab lee hasta el {FORMAT}.",
            f"format {known.format} is unknown; this kubelab reads up to {FORMAT}.",
        )
    return root.mapping()["lessons"].sequence()


def _composed(text: str) -> yaml.Node | None:
    """JSON is YAML but for some rare characters: its composer knows the lines, which json does not tell."""
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return None


def _place(value: Any, where: yaml.Node | None, file: str, line: int = 1) -> Node:
    line = where.start_mark.line + 1 if where else line
    if isinstance(value, dict):
        places = (
            {key.value: place for key, place in where.value} if isinstance(where, yaml.MappingNode) else {}
        )
        for key in value:
            _refuse_halves(key, file, line)
        entries = {key: _place(item, places.get(key), file, line) for key, item in value.items()}
        return Node(entries, file, line)
    if isinstance(value, list):
        items = where.value if isinstance(where, yaml.SequenceNode) else [None] * len(value)
        return Node([_place(item, at, file, line) for item, at in zip(value, items, strict=True)], file, line)
    if isinstance(value, str):
        _refuse_halves(value, file, line)
    return Node(value, file, line)


def _refuse_halves(text: str, file: str, line: int) -> None:
    if not text.isprintable() and any("\ud800" <= sign <= "\udfff" for sign in text):
        problem = Text("hay medio carácter Unicode.", "there is half a Unicode character.")
        raise LessonError(file, line, problem)


def _csv_nodes(text: str, file: str) -> list[Node]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    nodes: list[Node] = []
    try:
        header = next(reader, [])
        _check_header(header, file)
        begin = reader.line_num + 1
        for row in reader:
            if row:
                nodes.append(_row(header, row, file, begin))
            begin = reader.line_num + 1
    except csv.Error as error:
        problem = Text(f"no es CSV válido ({error}).", f"this is not valid CSV ({error}).")
        raise LessonError(file, reader.line_num, problem) from error
    return nodes


def _check_header(header: Sequence[str], file: str) -> None:
    place = Node(None, file, 1)
    for column in header:
        if column not in COLUMNS:
            raise unknown(place, Text("columna", "column"), column, COLUMNS)
    for column in COLUMNS:
        if header.count(column) > 1 or (column in COLUMNS_1 and column not in header):
            raise place.error(
                f"la columna «{column}» debe estar una vez.", f"the column “{column}” must be there once."
            )


def _row(header: Sequence[str], row: Sequence[str], file: str, line: int) -> Node:
    """Return a row as a lesson with one step, or none."""
    if len(row) != len(header):
        problem = Text(
            f"hay {len(row)} valores y no {len(header)}.", f"there are {len(row)} values, not {len(header)}."
        )
        raise LessonError(file, line, problem)
    cells = {key: Node(cell, file, line) for key, cell in zip(header, row, strict=True) if cell}
    blank = Node("", file, line)
    lesson = {key: cells.get(key, blank) for key in ("lesson", "at", "seed")}
    lesson["variables"] = _json_cell("variables", cells.get("variables", blank))
    if "completions" in cells:
        lesson["completions"] = _json_cell("completions", cells["completions"])
    step = _row_step(cells)
    return Node(lesson | {"steps": Node([Node(step, file, line)] if step else [], file, line)}, file, line)


def _row_step(cells: Mapping[str, Node]) -> dict[str, Node]:
    """Return what the row has of a step, as JSON would have it; empty if nothing."""
    step = {key: read(key, cells[key]) for key, read in _STEP_CELLS.items() if key in cells}
    seen = cells.get("outcome") or cells.get("outcome-choice")
    if seen:
        blank = Node("", seen.file, seen.line)
        value, choice = (_words_cell(key, cells.get(key, blank)) for key in ("outcome", "outcome-choice"))
        step["outcome"] = Node({"value": value, "choice": choice}, seen.file, seen.line)
    return step


def _text_cell(column: str, cell: Node) -> Node:
    return cell


def _json_cell(column: str, cell: Node) -> Node:
    try:
        return _place(json.loads(cell.value), None, cell.file, cell.line)
    except ValueError as error:
        raise LessonError(cell.file, cell.line, _BAD_CELL.format(column=column, why=error)) from error


def _words_cell(column: str, cell: Node) -> Node:
    return _json_cell(column, cell) if cell.value.startswith('"') else cell


def _yes_cell(column: str, cell: Node) -> Node:
    if cell.value != YES:
        raise cell.error(
            f"en {column} va {YES} o nada, y no «{cell.value}».",
            f"{YES} or nothing belongs in {column}, not “{cell.value}”.",
        )
    return replace(cell, value=True)


def _integer_cell(column: str, cell: Node) -> Node:
    if not cell.value.isascii() or not cell.value.isdigit() or len(cell.value) > INTEGER_DIGITS_MAX:
        raise cell.error(
            f"«{cell.value}» no es un número de pistas.", f"“{cell.value}” is no number of hints."
        )
    return replace(cell, value=int(cell.value))


_STEP_CELLS: Mapping[str, Callable[[str, Node], Node]] = {
    "step": _text_cell,
    "passed": _text_cell,
    "hints": _integer_cell,
    "hints-at-pass": _integer_cell,
    "skipped": _yes_cell,
    "answer": _words_cell,
}
_NOT_JSON = Text("no es JSON válido ({why}).", "this is not valid JSON ({why}).")
_BAD_CELL = Text("en {column} no hay JSON válido ({why}).", "{column} has no valid JSON ({why}).")
