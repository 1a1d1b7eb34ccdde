"""Answers as YAML, with sorted keys as upstream's.

Source: kubernetes, staging/src/k8s.io/apimachinery/pkg/runtime/serializer/json/json.go.
"""

import re
from typing import Any

import yaml

# What no reader of YAML takes for anything but text: not a number, a date, a boolean of 1.1, a key.
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9/._-]*")
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
_LINE = 2**20


def as_yaml(value: Any) -> bytes:
    text: str = yaml.dump(value, Dumper=_Dumper, width=_LINE, allow_unicode=True, default_flow_style=False)
    return text.encode()


class _Dumper(yaml.SafeDumper):
    """Text stays text whoever reads it: readers differ in what they take for numbers, dates and booleans."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    is_plain = _PLAIN.fullmatch(text) and text.lower() not in _WORDS
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if is_plain else '"')


_Dumper.add_representer(str, _text)
