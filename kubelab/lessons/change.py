"""One thing that is otherwise than when the step began, for the "what changed" of app and plain mode."""

from dataclasses import dataclass
from enum import StrEnum

from kubelab.language import Text


class Sign(StrEnum):
    NEW = "+"
    GONE = "-"
    OTHER = "~"


class About(StrEnum):
    """What kind of thing it is; in the order in which they are shown."""

    OBJECT = "object"
    PROCESS = "process"
    NAMESPACE = "namespace"
    CGROUP = "cgroup"
    MOUNT = "mount"
    LINK = "link"
    ADDRESS = "address"
    ROUTE = "route"
    RULE = "rule"
    STORE = "store"


@dataclass(frozen=True, slots=True)
class Change:
    """`place` is the machine, "" for the cluster as a whole. `what` names the thing and, for `~`, what of it
    is now which: "memory.max of demo: max → 33554432"."""

    sign: Sign
    about: About
    place: str
    what: Text
