"""Simulated clusters keep Raft's promises, and the simulation finds what breaks them.

`make simulate` runs many more; a failing seed says how to replay it.
"""

import random
from dataclasses import replace

import pytest
from raft_faults import Faults, draw
from raft_mutants import HARD_TIMES
from raft_simulation import World
from simulate_raft import fails, replay_command

from kubelab.cluster.raft.raft import Raft

SEEDS = range(100)
CHUNK = 10
FOUND_BUGS = (2828, 4293)  # The commit on disk was ahead of the entries.


@pytest.mark.parametrize("first", range(SEEDS.start, SEEDS.stop, CHUNK))
def test_promises_are_kept(first: int) -> None:
    for seed in range(first, first + CHUNK):
        wrong = fails(seed)
        assert wrong is None, f"{wrong}\nreplay: {replay_command(seed)}"


@pytest.mark.parametrize("seed", FOUND_BUGS)
def test_what_once_failed_holds(seed: int) -> None:
    assert fails(seed) is None


def test_a_seed_replays_exactly() -> None:
    transcripts: list[list[str]] = [[], []]
    for transcript in transcripts:
        World(7, transcript=transcript).run()
    assert transcripts[0] == transcripts[1]
    assert len(transcripts[0]) > 100


@pytest.mark.parametrize("broken", HARD_TIMES, ids=lambda broken: broken.__name__)
def test_a_broken_rule_is_found(broken: type[Raft]) -> None:
    for seed in range(100):
        try:
            World(seed, faults=hard_times(seed, broken), raft_class=broken).run()
        except AssertionError:
            return
    pytest.fail(f"100 runs did not find: {broken.__doc__}")


def hard_times(seed: int, broken: type[Raft]) -> Faults:
    """Return what *seed* draws, but for what brings *broken* to light sooner."""
    return replace(draw(random.Random(seed)), **HARD_TIMES[broken])
