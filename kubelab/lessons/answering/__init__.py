"""Answers the checks' questions from the live state: one module per kind of question.

A near question is answered by `look`, within a look at the live state; a far one by `ask`, beside the
looks. Both are generic functions: a module registers its own with `@look.register` or `@ask.register`.
Importing this package registers them all.
"""

from kubelab.lessons.answering import (
    api_request,
    cgroup,
    file,
    hostname,
    image_layout,
    objects,
    reach,
    requests,
    store,
    store_key,
)
from kubelab.lessons.answering.answer import INTERVAL_S, ask, look

__all__ = [
    "INTERVAL_S",
    "api_request",
    "ask",
    "cgroup",
    "file",
    "hostname",
    "image_layout",
    "look",
    "objects",
    "reach",
    "requests",
    "store",
    "store_key",
]
