"""Let simulated days pass: `python -m bookkit.simulation --seed 7` for one, told line by line, `--seeds 200` for many."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import chain
from pathlib import Path

from bookkit.simulation.day import SIZES, Unwell, judge_days, run_day

TOGETHER = 25                 # days with one beginning


def told(seed: int, size: str, log: Path | None) -> int:
    """Let one day pass, and tell what happened; 1 if it went wrong."""
    began = time.process_time()
    with contextlib.ExitStack() as files:
        try:
            outcome = run_day(seed, size, files.enter_context(log.open("w")) if log else None)
        except (Unwell, ValueError) as error:
            print(error)
            return 1
    print("\n".join(outcome.told))
    print(f"{outcome.lines} lines of history, {outcome.requests} requests, {time.process_time() - began:.1f} s of a processor; "
          f"history {outcome.digest}")
    return 0


def main() -> int:
    """Say of each seed what came of it; 1 if one went wrong."""
    parser = argparse.ArgumentParser(prog="python -m bookkit.simulation", description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="quarter")
    parser.add_argument("--seed", type=int, help="one day, told line by line")
    parser.add_argument("--log", type=Path, help="with --seed: where to write the whole history")
    parser.add_argument("--seeds", type=int, default=1, help="so many days, from --first on")
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    if given.seed is not None:
        return told(given.seed, given.size, given.log)
    began, failed, seeds = time.perf_counter(), list[int](), range(given.first, given.first + given.seeds)
    some = max(1, min(TOGETHER, len(seeds) // given.jobs))
    shares = [seeds[start:start + some] for start in range(0, len(seeds), some)]
    with ProcessPoolExecutor(given.jobs) as pool:
        for seed, well, line in chain.from_iterable(pool.map(judge_days, shares, [given.size] * len(shares))):
            failed += [] if well else [seed]
            print(line, flush=True)
    print(f"{len(seeds)} times {given.size} in {time.perf_counter() - began:.0f} s; went wrong: {failed or 'none'}")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
