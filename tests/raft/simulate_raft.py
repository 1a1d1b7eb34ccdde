"""Run many simulated clusters, each from a seed: `make simulate`, or with --seed one of them once more; with
--mutants say how many of the seeds find each rule that is broken on purpose."""

import argparse
import os
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed

from raft_mutants import MUTANTS
from raft_simulation import World

from kubelab.cluster.raft.raft import Raft

CHUNK_RUNS = 50


def fails(seed: int) -> str | None:
    """Return what is wrong in the run of *seed*."""
    return _what_is_wrong(World(seed))


def _what_is_wrong(world: World) -> str | None:
    """The core's own assertions count too."""
    try:
        world.run()
    except AssertionError as error:
        return f"{type(error).__name__}: {error}"
    return None


def seeds_that_find(broken: type[Raft], seeds: Iterable[int]) -> Iterator[tuple[int, str, int]]:
    """Yield the seeds that bring to light that a rule is *broken*, with what is wrong then and the steps."""
    for seed in seeds:
        world = World(seed, raft_class=broken)
        wrong = _what_is_wrong(world)
        if wrong is not None:
            yield seed, wrong, world.steps


def search(name: str, seeds: range) -> str:
    """Return a line on how *seeds* find a broken rule, and which of them is the quickest to."""
    broken = next(broken for broken in MUTANTS if broken.__name__ == name)
    found = list(seeds_that_find(broken, seeds))
    if not found:
        return f"{name}: found by none of {len(seeds)}"
    seed, wrong, steps = min(found, key=lambda each: each[2])
    return f"{name}: found by {len(found)} of {len(seeds)}, in {steps} steps by seed {seed}: {wrong}"


def search_all(seeds: range, jobs: int) -> int:
    with ProcessPoolExecutor(jobs) as pool:
        searches = [pool.submit(search, broken.__name__, seeds) for broken in MUTANTS]
        for done in as_completed(searches):
            print(done.result(), flush=True)
    return 0


def run(first: int, count: int) -> tuple[int, list[tuple[int, str]]]:
    failures = [(seed, wrong) for seed in range(first, first + count) if (wrong := fails(seed)) is not None]
    return count, failures


def replay_command(seed: int) -> str:
    return f"python tests/raft/simulate_raft.py --seed {seed}"


def replay(seed: int) -> int:
    transcript: list[str] = []
    world = World(seed, transcript=transcript)
    try:
        world.run()
    finally:
        print("\n".join(transcript))
        print(world.faults)
    print(
        f"seed {seed}: {world.steps} steps, {len(world.history.writes)} writes, {world.history.reads} reads"
    )
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, help="run this one alone and print what happened")
    parser.add_argument("--mutants", action="store_true", help="look for rules broken on purpose instead")
    options = parser.parse_args()
    if options.mutants:
        return search_all(range(options.first, options.first + options.runs), options.jobs)
    if options.seed is not None:
        return replay(options.seed)
    began = time.monotonic()
    done, failures = 0, []
    with ProcessPoolExecutor(options.jobs) as pool:
        chunks = [
            pool.submit(run, first, min(CHUNK_RUNS, options.first + options.runs - first))
            for first in range(options.first, options.first + options.runs, CHUNK_RUNS)
        ]
        for chunk in as_completed(chunks):
            count, found = chunk.result()
            done += count
            for seed, wrong in found:
                failures.append(seed)
                print(f"\nseed {seed}: {wrong}\n  replay: {replay_command(seed)}")
            rate = done / (time.monotonic() - began)
            print(
                f"\r{done} of {options.runs} runs, {rate:.0f}/s, {len(failures)} failed", end="", flush=True
            )
    print(f"\n{done} runs in {time.monotonic() - began:.0f} s, {len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
