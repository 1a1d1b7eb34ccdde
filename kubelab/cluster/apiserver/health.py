"""`/healthz`, `/livez` and `/readyz`: each a list of checks, one by one at a path of its own.

Source: kubernetes, staging/src/k8s.io/apiserver/pkg/server/healthz/healthz.go;
https://kubernetes.io/docs/reference/using-api/health-checks/.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

Check = Callable[[], Awaitable[str]]
"""Answers "" when all is well, otherwise what is not."""

ENDPOINTS = ("healthz", "livez", "readyz")


@dataclass(frozen=True, slots=True)
class Verdict:
    status: int
    text: str


class Health:
    """The checks of one server, by endpoint and name."""

    def __init__(self, checks: Mapping[str, Mapping[str, Check]]) -> None:
        self._checks = checks

    async def answer(self, path: str, excluded: Sequence[str], *, verbose: bool) -> Verdict | None:
        """Return what to answer at *path* (`/livez`, `/readyz/etcd`); None if there is nothing there."""
        endpoint, _, name = path.strip("/").partition("/")
        checks = self._checks.get(endpoint)
        if checks is None or (name and name not in checks):
            return None
        if name:
            checks = {name: checks[name]}
        failed, lines = [], []
        for each, check in checks.items():
            if each in excluded:
                lines.append(f"[+]{each} excluded: ok")
                continue
            why = await check()
            lines.append(f"[-]{each} failed: reason withheld" if why else f"[+]{each} ok")
            failed += [f"{each}: {why}"] if why else []
        unknown = [each for each in excluded if each not in self._checks[endpoint]]
        if unknown:
            names = ", ".join(f'"{each}"' for each in unknown)
            lines.append(f"warn: some health checks cannot be excluded: no matches for {names}")
        if failed:
            return Verdict(500, "\n".join([*lines, f"{endpoint} check failed", ""]))
        if not verbose:
            return Verdict(200, "ok")
        return Verdict(200, "\n".join([*lines, f"{endpoint} check passed", ""]))
