"""The two languages of the lab: every text that people read is a `Text`, so neither can be forgotten."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

Language = Literal["es", "en"]
LANGUAGES: tuple[Language, ...] = get_args(Language)


@dataclass(frozen=True, slots=True)
class Text:
    """One sentence or label in both languages; `{name}` fields are filled by `format`."""

    es: str
    en: str

    def in_(self, language: Language) -> str:
        return self.es if language == "es" else self.en

    def format(self, **values: object) -> "Text":
        return Text(self.es.format(**values), self.en.format(**values))

    def __str__(self) -> str:
        return self.in_(preferred())


def preferred(environment: Mapping[str, str] = os.environ) -> Language:
    """Return the language that KUBELAB_LANG or the locale asks for; English if it is neither of ours."""
    for name in ("KUBELAB_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        if value := environment.get(name):
            code = value[:2].lower()
            return "es" if code == "es" else "en"
    return "en"
