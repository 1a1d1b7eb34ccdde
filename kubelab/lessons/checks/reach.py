"""Whether something answers at an address when a machine asks.

Source: RFC 9293, section 3.10.7.1: a closed port answers a SYN with a reset, and that is an answer too.
"""

from dataclasses import dataclass
from typing import ClassVar

from kubelab.lessons.question import Question


@dataclass(frozen=True, slots=True)
class Reach(Question[bool]):
    machine: str
    address: str

    far: ClassVar[bool] = True
