"""Processes that tests can tell from all others on this machine: each sleeps for a time of its own."""

import uuid
from pathlib import Path


def unlikely_seconds() -> str:
    """Return how long only one sleep on this machine sleeps."""
    return f"9{uuid.uuid4().int % 10**8}"


def is_running(command: str) -> bool:
    """Tell whether a process of exactly that command line is somewhere on this machine."""
    wanted = command.replace(" ", "\0") + "\0"
    for directory in Path("/proc").iterdir():
        if directory.name.isdecimal():
            try:
                if (directory / "cmdline").read_text() == wanted:
                    return True
            except OSError:
                continue
    return False
