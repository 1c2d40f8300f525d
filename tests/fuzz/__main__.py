"""Fuzzes for some minutes: ``python -m tests.fuzz [--minutes N] [--seed N] [--target NAME]``."""

from __future__ import annotations

import argparse
import logging
import sys
import time
import traceback

from tests.fuzz.targets import TARGETS


def main() -> int:
    """Run, and print how many cases there were; 1 at the first that fails, with its seed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0, help="of the first case")
    parser.add_argument("--target", choices=TARGETS, help="this one alone, for all of the time")
    told = parser.parse_args()
    logging.disable()  # what is skipped is logged, and all of this is
    targets = {told.target: (TARGETS[told.target][0], 1.0)} if told.target else TARGETS
    for name, (fuzz, share) in targets.items():
        end = time.monotonic() + told.minutes * 60 * share
        seed = told.seed
        while time.monotonic() < end:
            try:
                fuzz(seed)
            except Exception:
                traceback.print_exc()
                print(f"{name}: failed with seed {seed}")
                return 1
            seed += 1
        print(f"{name}: {seed - told.seed} cases", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
