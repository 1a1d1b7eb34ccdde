"""What is asked of the live state because a check wants to know it: frozen values, answered at every look.

Most of what a lesson is about is observed anyway (processes, API objects). A file, a counter of a cgroup or
whether an address answers is looked at only while a check asks. A question is a frozen dataclass that derives
from `Question[A]`; `answering` says how each is answered, with an A or with `Unseen`. Pure.
"""

from typing import ClassVar, Generic, TypeVar

A = TypeVar("A", covariant=True)


class Question(Generic[A]):
    """Derive from it with a frozen dataclass; equal questions are asked once.

    `far`: the answer comes over a network and takes its time, so it is asked for beside the looks, every
    `answering.INTERVAL_S`; otherwise it is read from this kernel within each look, in far less than a
    millisecond.
    """

    __slots__ = ()
    far: ClassVar[bool] = False
