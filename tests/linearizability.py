"""Is a history of concurrent operations linearizable? Wing and Gong's search, with Lowe's memory.

An operation takes effect at one moment between its call and its return. The search takes, over and over, an
operation that may be next (it was called before any other that is left has returned) and that the model
allows, and steps back when none is. It never looks twice at the same set of operations done with the same
state after it. What nobody knows the outcome of may take effect at any time after its call, or never.
Histories of several registers are checked one by one: linearizability is local.
Source: J. Wing and C. Gong, *Testing and verifying concurrent objects* (1993); G. Lowe, *Testing for
linearizability* (2017); A. Athalye's Porcupine, checker.go.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

UNKNOWN = float("inf")


@dataclass(frozen=True, slots=True)
class Operation:
    """`result` of one that never returned is None and counts for nothing."""

    object: Hashable
    name: str
    argument: Any
    result: Any
    called: float
    returned: float = UNKNOWN

    @property
    def is_known(self) -> bool:
        return self.returned != UNKNOWN


class Model(Protocol):
    first: Hashable

    def step(self, state: Any, operation: Operation) -> tuple[bool, Any]:
        """Return whether *operation* may have had its result in *state*, and the state after it."""

    def relevant(self, operations: Sequence[Operation]) -> Sequence[Operation]:
        """Leave out operations without which the answer is the same."""


class Register:
    """write(value) -> None; read() -> value; swap((old, new)) -> whether old was there."""

    first: Hashable = None

    def step(self, state: Any, operation: Operation) -> tuple[bool, Any]:
        match operation.name:
            case "write":
                return True, operation.argument
            case "read":
                return not operation.is_known or operation.result == state, state
            case _:
                old, new = operation.argument
                done = state == old
                return not operation.is_known or operation.result == done, new if done else state

    def relevant(self, operations: Sequence[Operation]) -> Sequence[Operation]:
        return [each for each in operations if each.is_known or each.name != "read"]


class GrowingSet:
    """add(element) -> None; read() -> all elements."""

    first: Hashable = frozenset()

    def step(self, state: Any, operation: Operation) -> tuple[bool, Any]:
        if operation.name == "add":
            return True, state | {operation.argument}
        return not operation.is_known or operation.result == state, state

    def relevant(self, operations: Sequence[Operation]) -> Sequence[Operation]:
        """What was perhaps added and never seen was added never, or at the end."""
        seen = {element for each in operations if each.name == "read" for element in each.result or ()}
        return [each for each in operations if each.is_known or each.argument in seen]


def is_linearizable(model: Model, history: Iterable[Operation]) -> bool:
    """Those of unknown outcome cost most: each may be at any place behind its call, so an object should have
    few of them."""
    by_object: dict[Hashable, list[Operation]] = defaultdict(list)
    for operation in history:
        by_object[operation.object].append(operation)
    return all(_is_linearizable(model, model.relevant(each)) for each in by_object.values())


@dataclass(slots=True, eq=False)
class _Event:
    """A call, or a return (`answer` is None), in the list of what is left."""

    number: int
    answer: "_Event | None" = None
    before: "_Event | None" = None
    after: "_Event | None" = None

    def take_out(self) -> None:
        assert self.before is not None
        self.before.after = self.after
        if self.after is not None:
            self.after.before = self.before

    def put_back(self) -> None:
        assert self.before is not None
        self.before.after = self
        if self.after is not None:
            self.after.before = self


def _is_linearizable(model: Model, operations: Sequence[Operation]) -> bool:
    head = _events(operations)
    left = sum(operation.is_known for operation in operations)
    state, done = model.first, 0
    seen: set[tuple[int, Hashable]] = set()
    taken: list[tuple[_Event, Hashable]] = []
    event = head.after
    while left:
        assert event is not None
        if event.answer is None:  # Whoever returned here must have been taken: one of those before is wrong.
            if not taken:
                return False
            event, state = taken.pop()
            done ^= 1 << event.number
            left += operations[event.number].is_known
            assert event.answer is not None
            event.answer.put_back()
            event.put_back()
            event = event.after
            continue
        allowed, after = model.step(state, operations[event.number])
        then = done | 1 << event.number
        if not allowed or (then, after) in seen:
            event = event.after
            continue
        seen.add((then, after))
        taken.append((event, state))
        state, done = after, then
        left -= operations[event.number].is_known
        event.take_out()
        event.answer.take_out()
        event = head.after
    return True


def _events(operations: Sequence[Operation]) -> _Event:
    """Return the head of a list of all calls and returns; of two at the same time the call is first."""
    timed: list[tuple[float, int, _Event]] = []
    for number, operation in enumerate(operations):
        answer = _Event(number)
        timed.append((operation.called, 0, _Event(number, answer)))
        timed.append((operation.returned, 1, answer))
    head = last = _Event(-1)
    for _, _, event in sorted(timed, key=lambda each: each[:2]):
        last.after, event.before = event, last
        last = event
    return head
