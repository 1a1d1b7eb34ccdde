"""The checks, one module per thing that they are about. Importing this package registers them all."""

from kubelab.lessons.checks import api_object, combinators, namespace, pod, process
from kubelab.lessons.checks.check import CHECKS, Check, Finding, Measure, Needs, Scope, judge

__all__ = [
    "CHECKS",
    "Check",
    "Finding",
    "Measure",
    "Needs",
    "Scope",
    "api_object",
    "combinators",
    "judge",
    "namespace",
    "pod",
    "process",
]
