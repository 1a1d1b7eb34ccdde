"""The checker finds what is not linearizable, and nothing else."""

import random
from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st
from linearizability import UNKNOWN, GrowingSet, Model, Operation, Register, is_linearizable

SMALL = st.integers(0, 2)


def _operation(name: str, argument: object, result: object, called: float, returned: float) -> Operation:
    return Operation("x", name, argument, result, called, returned)


def _by_all_orders(model: Model, history: list[Operation]) -> bool:
    """Try every order that keeps who came wholly before whom, and every choice of the unknown ones."""
    unknown = [operation for operation in history if not operation.is_known]
    known = [operation for operation in history if operation.is_known]
    for choice in range(1 << len(unknown)):
        happened = known + [each for number, each in enumerate(unknown) if choice >> number & 1]
        if any(_is_an_order(model, order) for order in permutations(happened)):
            return True
    return False


def _is_an_order(model: Model, order: tuple[Operation, ...]) -> bool:
    state = model.first
    for position, operation in enumerate(order):
        if any(later.returned < operation.called for later in order[position + 1 :]):
            return False
        allowed, state = model.step(state, operation)
        if not allowed:
            return False
    return True


@st.composite
def _histories(draw: st.DrawFn) -> list[Operation]:
    history = []
    for _ in range(draw(st.integers(1, 4))):
        called = draw(st.integers(0, 8))
        returned = draw(st.one_of(st.just(UNKNOWN), st.integers(called + 1, 10)))
        name, argument, result = draw(
            st.one_of(
                st.tuples(st.just("write"), SMALL, st.none()),
                st.tuples(st.just("read"), st.none(), st.one_of(st.none(), SMALL)),
                st.tuples(st.just("swap"), st.tuples(SMALL, SMALL), st.booleans()),
            )
        )
        history.append(_operation(name, argument, result, called, returned))
    return history


@given(_histories())
@settings(max_examples=150)
def test_it_says_what_a_search_of_all_orders_says(history: list[Operation]) -> None:
    assert is_linearizable(Register(), history) == _by_all_orders(Register(), history)


@given(seed=st.integers(0, 1 << 32), length=st.integers(1, 120))
@settings(max_examples=30)
def test_what_took_effect_one_after_the_other_is_linearizable(seed: int, length: int) -> None:
    """Each operation has its effect at a moment of its own, and is called and returns around that."""
    chance = random.Random(seed)
    register: int | None = None
    elements: frozenset[int] = frozenset()
    registers, sets = [], []
    for moment in range(length):
        called, returned = moment - chance.random() * 6, moment + chance.random() * 6
        returned = UNKNOWN if chance.random() < 0.05 else returned
        old, new = chance.randrange(3), chance.randrange(3)
        match chance.randrange(3):
            case 0:
                registers.append(_operation("write", new, None, called, returned))
                register = new
            case 1:
                registers.append(_operation("read", None, register, called, returned))
            case _:
                registers.append(_operation("swap", (old, new), register == old, called, returned))
                register = new if register == old else register
        if chance.random() < 0.5:
            sets.append(_operation("add", moment, None, called, returned))
            elements |= {moment}
        else:
            sets.append(_operation("read", None, elements, called, returned))
    assert is_linearizable(Register(), registers)
    assert is_linearizable(GrowingSet(), sets)


def test_a_read_of_what_was_overwritten_before_is_found() -> None:
    history = [
        _operation("write", 1, None, 0, 1),
        _operation("write", 2, None, 2, 3),
        _operation("read", None, 1, 4, 5),
    ]
    assert not is_linearizable(Register(), history)
    assert is_linearizable(Register(), [*history[:2], _operation("read", None, 1, 2.5, 5)])


def test_a_lost_addition_is_found() -> None:
    history = [
        _operation("add", 1, None, 0, 1),
        _operation("add", 2, None, 0, 1),
        _operation("read", None, frozenset({2}), 2, 3),
    ]
    assert not is_linearizable(GrowingSet(), history)


def test_what_nobody_knows_the_outcome_of_may_have_happened_late_or_never() -> None:
    history = [
        _operation("write", 1, None, 0, 1),
        _operation("write", 2, None, 2, UNKNOWN),
        _operation("read", None, 1, 3, 4),
    ]
    assert is_linearizable(Register(), history)
    assert is_linearizable(Register(), [*history, _operation("read", None, 2, 5, 6)])
    seen = [*history, _operation("read", None, 2, 5, 6), _operation("read", None, 1, 7, 8)]
    assert not is_linearizable(Register(), seen)
