"""What of this host the attempts look for, and what they told."""

import itertools
import json
import os
from dataclasses import dataclass
from pathlib import Path

ATTEMPTS = Path(__file__).with_name("attempts.py")


@dataclass
class Outside:
    """A file, a process, sockets and addresses of this host: all harmless to find."""

    canary: Path
    environment: dict[str, str]

    @property
    def arguments(self) -> tuple[str, ...]:
        return "python3", "-I", "-S", "-c", ATTEMPTS.read_text(), str(self.canary), str(os.getpid())


def through(output: str) -> dict[str, str]:
    """Return the attempts that came through, and what they got. Every one must have told."""
    told = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    assert [each["attempt"] for each in told] == list(_names()), output
    return {each["attempt"]: each["got"] for each in told if each["got"]}


def _names() -> list[str]:
    lines = itertools.pairwise(ATTEMPTS.read_text().splitlines())
    return [line.split()[1].partition("(")[0] for before, line in lines if before == "@attempt"]
