"""Hooks: programs that the config names, called on the way with the container's state on their stdin.

Source: OCI runtime specification, config.md, POSIX-platform Hooks.
"""

import json
import subprocess
from collections.abc import Callable, Iterable
from typing import Any

from kubelab.cluster.errors import LabError
from kubelab.cluster.runtime.config import Hook
from kubelab.language import Text


class HookError(LabError):
    """A hook failed: the container is not to live."""


def run_hooks(name: str, hooks: Iterable[Hook], state: dict[str, Any]) -> None:
    """Call *hooks* one after the other.

    Raises:
        HookError: one cannot be called, ends with another code than 0, or takes too long.
    """
    for hook in hooks:
        _run(name, hook, json.dumps(state))


def call_poststop(hooks: Iterable[Hook], state: dict[str, Any], warn: Callable[[str], None]) -> None:
    """Call each hook; that one fails changes nothing for the others."""
    for hook in hooks:
        try:
            run_hooks("poststop", (hook,), state)
        except HookError as error:
            warn(str(error))


def _run(name: str, hook: Hook, state: str) -> None:
    env = {key: value for key, _, value in (each.partition("=") for each in hook.env)}
    try:
        done = subprocess.run(
            hook.args or (hook.path,),
            executable=hook.path,
            env=env,
            input=state,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=hook.timeout_s,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HookError(_FAILED.format(name=name, path=hook.path, reason=str(error))) from None
    if done.returncode:
        reason = f"exit {done.returncode}: {done.stdout.strip()[-1000:]}"
        raise HookError(_FAILED.format(name=name, path=hook.path, reason=reason))


_FAILED = Text(
    es="el hook {name} {path} ha fallado ({reason}): el contenedor no arranca",
    en="the {name} hook {path} failed ({reason}): the container is not started",
)
