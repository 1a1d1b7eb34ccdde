"""How long ago something was, as kubectl's AGE columns say it; and how Go writes how long something takes.

Source: kubernetes, staging/src/k8s.io/apimachinery/pkg/util/duration/duration.go (HumanDuration);
https://pkg.go.dev/time#ParseDuration.
"""

import re
from datetime import datetime

_MINUTE_S, _HOUR_S, _DAY_S, _YEAR_S = 60, 3600, 86400, 365 * 86400
UNKNOWN = "<unknown>"
_UNITS_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": _MINUTE_S, "h": _HOUR_S}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")


def human_duration(duration_s: float) -> str:
    """Return *duration_s* in at most two units: `119s`, `9m5s`, `7h30m`, `7d3h`, `3y20d`."""
    seconds = int(duration_s)
    if seconds < -1:
        return "<invalid>"
    if seconds < 2 * _MINUTE_S:
        return f"{max(seconds, 0)}s"
    for below_s, unit_s, unit, rest_s, rest in (
        (10 * _MINUTE_S, _MINUTE_S, "m", 1, "s"),
        (3 * _HOUR_S, _MINUTE_S, "m", 0, ""),
        (8 * _HOUR_S, _HOUR_S, "h", _MINUTE_S, "m"),
        (2 * _DAY_S, _HOUR_S, "h", 0, ""),
        (8 * _DAY_S, _DAY_S, "d", _HOUR_S, "h"),
        (2 * _YEAR_S, _DAY_S, "d", 0, ""),
        (8 * _YEAR_S, _YEAR_S, "y", _DAY_S, "d"),
    ):
        if seconds < below_s:
            remainder = seconds % unit_s // rest_s if rest_s else 0
            return f"{seconds // unit_s}{unit}" + (f"{remainder}{rest}" if remainder else "")
    return f"{seconds // _YEAR_S}y"


def since(timestamp: str | None, now: datetime) -> str:
    """Return how long before *now* an RFC 3339 *timestamp* was."""
    if not timestamp:
        return UNKNOWN
    return human_duration((now - datetime.fromisoformat(timestamp)).total_seconds())


def parse_duration(text: str) -> float:
    """Return the seconds that Go's form of a duration (`1m30s`, `500ms`) means.

    Raises:
        ValueError: it means none.
    """
    unsigned = text.lstrip("+-")
    if unsigned == "0":
        return 0
    parts = _PART.findall(unsigned)
    if not parts or "".join(number + unit for number, unit in parts) != unsigned:
        raise ValueError(f'time: invalid duration "{text}"')
    seconds = sum(float(number) * _UNITS_S[unit] for number, unit in parts)
    return -seconds if text.startswith("-") else seconds
