"""runc's command line: `[options] command [options] [arguments]`. Pure.

Source: runc, main.go, create.go, exec.go and their like; urfave/cli, whose options end at the first argument
and may have one dash or two.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

FLAG, VALUE, LIST = "flag", "value", "list"

GLOBAL = {
    "debug": FLAG,
    "log": VALUE,
    "log-format": VALUE,
    "root": VALUE,
    "criu": VALUE,
    "systemd-cgroup": FLAG,
    "cgroup-manager": VALUE,
    "rootless": VALUE,
    "version": FLAG,
    "help": FLAG,
}
_CREATE = {
    "bundle": VALUE,
    "config": VALUE,
    "console-socket": VALUE,
    "pid-file": VALUE,
    "no-pivot": FLAG,
    "no-new-keyring": FLAG,
    "preserve-fds": VALUE,
}
COMMANDS: Mapping[str, Mapping[str, str]] = {
    "create": _CREATE,
    "run": _CREATE | {"detach": FLAG, "keep": FLAG, "no-subreaper": FLAG},
    "start": {},
    "state": {},
    "kill": {"all": FLAG},
    "delete": {"force": FLAG},
    "exec": {
        "console-socket": VALUE,
        "cwd": VALUE,
        "env": LIST,
        "tty": FLAG,
        "user": VALUE,
        "additional-gids": LIST,
        "process": VALUE,
        "detach": FLAG,
        "pid-file": VALUE,
        "process-label": VALUE,
        "apparmor": VALUE,
        "no-new-privs": FLAG,
        "cap": LIST,
        "preserve-fds": VALUE,
        "cgroup": LIST,
        "ignore-paused": FLAG,
    },
    "list": {"format": VALUE, "quiet": FLAG},
    "ps": {"format": VALUE},
    "pause": {},
    "resume": {},
    "update": {
        "resources": VALUE,
        "cpu-share": VALUE,
        "cpu-quota": VALUE,
        "cpu-period": VALUE,
        "cpuset-cpus": VALUE,
        "cpuset-mems": VALUE,
        "memory": VALUE,
        "memory-swap": VALUE,
        "memory-reservation": VALUE,
        "pids-limit": VALUE,
    },
    "events": {"stats": FLAG, "interval": VALUE},
    "features": {},
    "spec": {"bundle": VALUE, "rootless": FLAG},
}
_SHORT = {
    "create": {"b": "bundle", "f": "config"},
    "run": {"b": "bundle", "d": "detach", "f": "config"},
    "kill": {"a": "all"},
    "delete": {"f": "force"},
    "exec": {
        "e": "env",
        "t": "tty",
        "u": "user",
        "g": "additional-gids",
        "p": "process",
        "d": "detach",
        "c": "cap",
    },
    "list": {"f": "format", "q": "quiet"},
    "ps": {"f": "format"},
    "update": {"r": "resources"},
    "spec": {"b": "bundle"},
    "": {"v": "version", "h": "help"},
}


class UsageError(Exception):
    """The command line is none of ours."""


@dataclass(slots=True)
class Options:
    flags: set[str] = field(default_factory=set)
    values: dict[str, str] = field(default_factory=dict)
    lists: dict[str, list[str]] = field(default_factory=dict)

    def number(self, name: str) -> int:
        """Return the option's number, 0 if it was not given. Raises UsageError: it is none."""
        text = self.values.get(name, "0")
        try:
            return int(text)
        except ValueError:
            raise UsageError(f"--{name} is no number: {text}") from None


@dataclass(frozen=True, slots=True)
class Arguments:
    general: Options
    command: str
    options: Options
    rest: tuple[str, ...]


def parse_arguments(argv: Sequence[str]) -> Arguments:
    """Return what *argv*, without the program's name, asks for; the command is "" if there is none.

    Raises:
        UsageError: there is no such option or command, or an option lacks its value.
    """
    words = iter(argv)
    general, first = _options(words, GLOBAL, _SHORT[""])
    if first is None:
        return Arguments(general, "", Options(), ())
    if first not in COMMANDS:
        raise UsageError(f"there is no command {first}")
    options, rest = _options(words, COMMANDS[first], _SHORT.get(first, {}))
    return Arguments(general, first, options, (*([] if rest is None else [rest]), *words))


def _options(
    words: Iterator[str], known: Mapping[str, str], short: Mapping[str, str]
) -> tuple[Options, str | None]:
    """Take the options off *words*; return them and the first word that is none."""
    options = Options()
    for word in words:
        if word == "--":
            return options, next(words, None)
        if not word.startswith("-") or word == "-":
            return options, word
        name, equals, value = word.lstrip("-").partition("=")
        name = short.get(name, name)
        if name not in known:
            raise UsageError(f"there is no option {word}")
        if known[name] == FLAG:
            _set_flag(options, name, value if equals else "true")
        else:
            _set_value(options, name, value if equals else next(words, None), known[name])
    return options, None


def _set_flag(options: Options, name: str, value: str) -> None:
    if value.lower() in ("true", "1"):
        options.flags.add(name)
    else:
        options.flags.discard(name)


def _set_value(options: Options, name: str, value: str | None, kind: str) -> None:
    if value is None:
        raise UsageError(f"--{name} needs a value")
    if kind == LIST:
        options.lists.setdefault(name, []).append(value)
    else:
        options.values[name] = value
