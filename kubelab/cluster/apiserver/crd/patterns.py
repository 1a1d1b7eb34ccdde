"""Go's regular expressions (RE2) by Python's: what a schema's `pattern` means.

Source: https://github.com/google/re2/wiki/Syntax. Bridged are these differences: `$` and `\\z` end the text,
with no line break after it; `[[:alpha:]]` and its like; `\\pL`, `\\p{Lu}` and their like for letters, digits.
Left out: what Python cannot say (other Unicode classes, flags in the middle); such a pattern is invalid.
Python backtracks where RE2 does not, so a nested repetition can be slow on a long text.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

_POSIX = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": r"\x00-\x7F",
    "blank": r"\t ",
    "cntrl": r"\x00-\x1F\x7F",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\t\n\v\f\r ",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}
_UNICODE = {"L": r"[^\W\d_]", "N": r"\d", "Nd": r"\d", "Lu": "[A-Z\u00c0-\u00d6\u00d8-\u00de]"}
_UNICODE["Ll"] = "[a-z\u00df-\u00f6\u00f8-\u00ff]"
_TOKEN = re.compile(
    r"\\Q(?P<quoted>.*?)(?:\\E|\Z)"
    r"|\\(?P<escape>p\{\w+\}|p\w|.)"
    r"|\[\[?:(?P<posix>\w+):\]"
    r"|(?P<end>\$)"
    r"|(?P<open>\[\^?\]?)"
    r"|(?P<other>.)",
    re.DOTALL,
)
_FLAGS = re.compile(r"\(\?([ims]+)\)")  # For the whole pattern; Python wants a scope.
_POSIX_CLASS = re.compile(r"\[:(\w+):\]")


class PatternError(ValueError):
    """The text is no regular expression that can be used here."""


@lru_cache(maxsize=4096)
def compiled(pattern: str) -> re.Pattern[str]:
    """Return *pattern* ready to search with.

    Raises:
        PatternError: it is none.
    """
    try:
        flags = _FLAGS.match(pattern)
        scope, rest = (flags[1], pattern[flags.end() :]) if flags else ("", pattern)
        return re.compile(f"(?a{scope}:{''.join(_translated(rest))})")
    except (re.error, OverflowError, RecursionError) as error:
        raise PatternError(f"error parsing regexp: {error}: `{pattern}`") from error


def _translated(pattern: str) -> Iterator[str]:
    position = 0
    while position < len(pattern):
        if pattern[position] == "[":
            end = _class_end(pattern, position)
            yield _character_class(pattern[position:end])
            position = end
            continue
        token = _TOKEN.match(pattern, position)
        assert token is not None
        position = token.end()
        yield _plain(token)


def _plain(token: re.Match[str]) -> str:
    if token["quoted"] is not None:
        return re.escape(token["quoted"])
    if token["end"]:
        return r"\Z"
    if (escape := token["escape"]) is None:
        return token[0]
    if escape == "z":
        return r"\Z"
    return _unicode(escape) if escape[0] == "p" and len(escape) > 1 else f"\\{escape}"


def _unicode(escape: str) -> str:
    name = escape[1:].strip("{}")
    if name not in _UNICODE:
        raise PatternError(f"error parsing regexp: invalid character class range: `\\{escape}`")
    return f"(?u:{_UNICODE[name]})"


def _class_end(pattern: str, start: int) -> int:
    """Return where the class ends that begins at *start*; the whole text if it does not."""
    position = start + 1
    position += pattern.startswith("^", position)
    position += pattern.startswith("]", position)
    while position < len(pattern):
        if pattern[position] == "]":
            return position + 1
        if posix := _POSIX_CLASS.match(pattern, position):
            position = posix.end()
        else:
            position += 2 if pattern[position] == "\\" else 1
    return len(pattern)


def _character_class(text: str) -> str:
    def named(posix: re.Match[str]) -> str:
        return _POSIX.get(posix[1]) or posix[0]

    inner = _POSIX_CLASS.sub(named, text[1:])
    return "[" + re.sub(r"(?<!\\)\[", r"\\[", inner)
