"""Simulated clusters keep Raft's promises, and the simulation finds what breaks them.

`make simulate` runs many more; a failing seed says how to replay it.
"""

import pytest
from raft_faults import PROFILES
from raft_mutants import MUTANTS
from raft_simulation import World
from simulate_raft import fails, replay_command, seeds_that_find

from kubelab.cluster.raft.raft import Raft

SEEDS = range(50)
CHUNK = 10
SEARCHED = 1000
"""Where a seed is of no use any more, since Raft draws otherwise: in so many of them there is another."""


@pytest.mark.parametrize("first", range(SEEDS.start, SEEDS.stop, CHUNK))
def test_promises_are_kept(first: int) -> None:
    for seed in range(first, first + CHUNK):
        wrong = fails(seed)
        assert wrong is None, f"{wrong}\nreplay: {replay_command(seed)}"


def test_the_seeds_have_all_kinds_of_bad_luck() -> None:
    assert {World(seed).faults.profile for seed in SEEDS} == set(PROFILES)


def test_a_seed_replays_exactly() -> None:
    transcripts: list[list[str]] = [[], []]
    for transcript in transcripts:
        World(7, transcript=transcript).run()
    assert transcripts[0] == transcripts[1]
    assert len(transcripts[0]) > 100


@pytest.mark.parametrize("broken", MUTANTS, ids=lambda broken: broken.__name__)
def test_a_broken_rule_is_found(broken: type[Raft]) -> None:
    """In a world as any other run has it, in which Raft itself keeps its promises."""
    found = next(seeds_that_find(broken, (MUTANTS[broken], *range(SEARCHED))), None)
    assert found is not None, f"{SEARCHED} runs did not find: {broken.__doc__}"
    seed, wrong, _ = found
    assert fails(seed) is None, f"{wrong}, also by the rules: {replay_command(seed)}"
