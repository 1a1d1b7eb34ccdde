"""The checks, one module per thing that they are about. Importing this package registers them all."""

from kubelab.lessons.checks import (
    address,
    api_object,
    combinators,
    link,
    mount,
    namespace,
    pod,
    process,
    route,
    rule,
)
from kubelab.lessons.checks.check import CHECKS, Check, Finding, Measure, Needs, Scope, judge

__all__ = [
    "CHECKS",
    "Check",
    "Finding",
    "Measure",
    "Needs",
    "Scope",
    "address",
    "api_object",
    "combinators",
    "judge",
    "link",
    "mount",
    "namespace",
    "pod",
    "process",
    "route",
    "rule",
]
