"""A lesson's Markdown, cut into steps: `## Title {#id}`, and in each the `:::` containers. Pure.

::: hint                one rung of the ladder: observe, locate, method, command
::: message <id>        what to say about a wrong attempt
::: predict             a question to answer before the command is run; the list at its end are the choices,
                        each with its id: `- Killed {#killed}`
::: choice <id>         what to say to who predicted that and was wrong
::: debrief             shown when the step is passed
"""

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.container import container_plugin
from mdit_py_plugins.front_matter import front_matter_plugin

from kubelab.language import Text
from kubelab.lessons.located import LessonError, printable, suggestion

CONTAINERS = ("hint", "message", "predict", "choice", "debrief")
_ID = re.compile(r"^(?P<title>.*?)\s*\{#(?P<id>[a-z][a-z0-9-]*)\}\s*$")
_CHOICE = re.compile(r"^[-*] (?P<text>.*?)\s*\{#(?P<id>[a-z0-9][a-z0-9-]*)\}\s*$")


@dataclass(frozen=True, slots=True)
class PredictionProse:
    """One language's text of a `::: predict`; `choices` by id."""

    line: int
    question: str
    choices: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class StepProse:
    """One language's text of a step, as Markdown. `body` is without the predictions, `quoted` has them in
    their places, as quotations. `explanations` are those of choices."""

    id: str
    title: str
    line: int
    body: str
    hints: tuple[str, ...] = ()
    messages: Mapping[str, str] = field(default_factory=dict)
    debrief: str = ""
    quoted: str = ""
    predictions: tuple[PredictionProse, ...] = ()
    explanations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed es.md or en.md: its front matter as YAML text, and its steps."""

    file: str
    front_matter: str
    text: str
    steps: tuple[StepProse, ...]


def _any_container(params: str, *_: object) -> bool:
    """Accept every `:::` word, so that a misspelt one is an error and not text."""
    return bool(params.strip())


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark").use(front_matter_plugin)
    parser.disable(["inline", "text_join"])  # Half of the time, and only where blocks begin and end is asked.
    container_plugin(parser, "any", validate=_any_container)
    return parser


def parse_document(text: str, file: str) -> Document:
    """Cut *text* into front matter and steps.

    Raises:
        LessonError: there is no front matter, or a heading or container is not as format 1 has it.
    """
    tokens = _parser().parse(printable(text, file))
    if not tokens or tokens[0].type != "front_matter":
        raise _error(
            file,
            1,
            "el archivo empieza con un bloque YAML entre ---.",
            "the file begins with YAML between ---.",
        )
    lines = text.splitlines()
    end = _span(tokens[0])[1]
    intro, *sections = _sections(tokens, lines, end)
    steps = tuple(_step(section, tokens, lines, file) for section in sections)
    if steps and (preface := "\n".join(lines[slice(*intro)]).strip()):
        first = steps[0]
        steps = (_with_preface(first, preface), *steps[1:])
    return Document(file, tokens[0].content, "\n".join(lines[end:]), steps)


def _with_preface(step: StepProse, preface: str) -> StepProse:
    return replace(step, body=f"{preface}\n\n{step.body}", quoted=f"{preface}\n\n{step.quoted}")


def _sections(tokens: list[Token], lines: list[str], first: int) -> list[tuple[int, int]]:
    """Return the line ranges between the headings of level 2; the first is what comes before them."""
    starts = [_span(token)[0] for token in tokens if token.type == "heading_open" and token.tag == "h2"]
    edges = [first, *starts, len(lines)]
    return list(itertools.pairwise(edges))


def _step(section: tuple[int, int], tokens: list[Token], lines: list[str], file: str) -> StepProse:
    start, end = section
    heading = _ID.match(lines[start].removeprefix("##").strip())
    if heading is None:
        raise _error(
            file,
            start + 1,
            "el título de un paso lleva su id: «## Título {#id}».",
            "a step's title carries its id: “## Title {#id}”.",
        )
    parts = _Parts()
    kept = set(range(start + 1, end))
    for name, argument, first, last in _containers(tokens, lines, start, end, file):
        inner = "\n".join(lines[first + 1 : last]).strip()
        kept -= set(range(first, last + 1))
        if name == "predict":
            parts.predictions[first] = inner
        else:
            parts.add(name, argument, inner, file, first + 1)
    return StepProse(
        id=heading["id"],
        title=heading["title"],
        line=start + 1,
        body=_body(lines, kept, {}, start + 1, end),
        hints=tuple(parts.hints),
        messages=parts.messages,
        debrief=parts.debrief,
        quoted=_body(lines, kept, parts.predictions, start + 1, end),
        predictions=tuple(_prediction(text, line + 1) for line, text in parts.predictions.items()),
        explanations=parts.explanations,
    )


def _prediction(text: str, line: int) -> PredictionProse:
    """Take the choices off the end of a question; each stands on one line."""
    lines = text.splitlines()
    choices: dict[str, str] = {}
    while lines and (match := _CHOICE.match(lines[-1].strip())):
        choices[match["id"]] = match["text"]
        lines.pop()
    return PredictionProse(line, "\n".join(lines).strip(), dict(reversed(choices.items())))


@dataclass(slots=True)
class _Parts:
    hints: list[str] = field(default_factory=list)
    messages: dict[str, str] = field(default_factory=dict)
    debrief: str = ""
    predictions: dict[int, str] = field(default_factory=dict)
    explanations: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, argument: str, inner: str, file: str, line: int) -> None:
        if name == "hint":
            self.hints.append(inner)
        elif name == "debrief":
            self.debrief = inner
        elif not argument:
            raise _error(
                file,
                line,
                f"este bloque lleva un id: «::: {name} id».",
                f"this block has an id: “::: {name} id”.",
            )
        elif name == "choice":
            self.explanations[argument] = inner
        else:
            self.messages[argument] = inner


def _containers(
    tokens: list[Token], lines: list[str], start: int, end: int, file: str
) -> Iterator[tuple[str, str, int, int]]:
    """Yield name, argument, first and last line of each container of a section."""
    for token in tokens:
        if token.type != "container_any_open" or token.level or not start <= _span(token)[0] < end:
            continue
        first, last = _span(token)
        name, _, argument = token.info.strip().partition(" ")
        if name not in CONTAINERS:
            hint = suggestion(name, CONTAINERS)
            raise _error(
                file,
                first + 1,
                f"no hay bloque «{name}»; {hint.es}",
                f"there is no block “{name}”; {hint.en}",
            )
        closing = last if last < len(lines) and lines[last].strip() == ":::" else last - 1
        if not lines[closing].strip().startswith(":::") or closing == first:
            raise _error(
                file,
                first + 1,
                f"falta el ::: que cierra «{name}».",
                f"the ::: that closes “{name}” is missing.",
            )
        yield name, argument.strip(), first, closing


def _body(lines: list[str], kept: set[int], predictions: Mapping[int, str], start: int, end: int) -> str:
    """Return the prose without containers; a prediction stays in its place, as a quotation."""
    body: list[str] = []
    for number in range(start, end):
        if number in kept:
            body.append(lines[number])
        elif number in predictions:
            body.extend(f"> {line}".rstrip() for line in predictions[number].splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(body)).strip()


def _span(token: Token) -> tuple[int, int]:
    assert token.map is not None
    return token.map[0], token.map[1]


def _error(file: str, line: int, es: str, en: str) -> LessonError:
    return LessonError(file, line, Text(es, en))
