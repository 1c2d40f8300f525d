"""Measure rx_cometd beside others.

    python -m benchmarks --write-docs        # everything, into docs/performance.md: a quarter of an
                                             # hour on two cores
    python -m benchmarks --quick             # receiving alone, about a minute
    python -m benchmarks receive-1 channels --rounds 5 --json results.json --pictures pictures
    python -m benchmarks --write-docs --from results.json

A load generator runs in a process of its own, and so does each peer, one at a time. All cases take
turns, for as many rounds as there is time for, and what counts are the medians of the ratios of the
rounds: absolute figures are the machine's. "Speed beside" says how many times as fast a case is as
the one named, per second of CPU time of its process and per second of wall clock. A peer that is
not there, or fails, is reported as failed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.generator import generator
from benchmarks.page import blocks, fill, pictures
from benchmarks.report import Measured, as_json, measured_of, table
from benchmarks.runs import measure, unmeasured
from benchmarks.workloads import GROUPS

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_ROUNDS: Final = 7
_PAGE: Final = Path(__file__).parents[1] / "docs" / "performance.md"


def main() -> None:
    """Run what the command line asks for."""
    options = _parser().parse_args()
    if options.results is not None:
        _keep(json.loads(options.results.read_text()), options)
        return
    measured: Measured = []
    for measured in _rounds(options):
        # After each round: a run that is stopped was not for nothing.
        _keep(as_json(measured), options)
    for group, outcomes in measured:
        print(table(group, outcomes), end="\n\n")


def _rounds(options: argparse.Namespace) -> Iterator[Measured]:
    """Measure round by round, for as many as there is time for; gives all so far after each."""
    chosen = [g for g in GROUPS if g.name in options.groups or (not options.groups and g.quick)]
    if not options.groups and not options.quick:
        chosen = list(GROUPS)
    scale = options.scale or (0.2 if options.quick else 1.0)
    measured: Measured = [(group, unmeasured(group)) for group in chosen]
    begun = time.monotonic()
    longest = 0.0
    with generator() as address:
        for number in range(options.rounds or (1 if options.quick else _MOST_ROUNDS)):
            now = time.monotonic()
            if number and now - begun + longest > options.minutes * 60:
                break
            for group, outcomes in measured:
                measure(group, outcomes, address, scale)
                print(".", end="", file=sys.stderr, flush=True)
            yield measured
            taken = time.monotonic() - now
            longest = max(longest, taken)
            print(f" round {number + 1}: {taken:.0f} s", file=sys.stderr, flush=True)


def _keep(results: dict[str, Any], options: argparse.Namespace) -> None:
    """Write figures where the command line wants them."""
    measured = measured_of(results)
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    if options.pictures is not None:
        _draw(measured, options.pictures)
    if options.write_docs is not None:
        page = options.write_docs.read_text()
        options.write_docs.write_text(fill(page, blocks(results)))
        shown = pictures(page)
        drawn = [(group, outcomes) for group, outcomes in measured if group.name in shown]
        _draw(drawn, options.write_docs.parent / "pictures")


def _draw(measured: Measured, directory: Path) -> None:
    from benchmarks.pictures import draw  # noqa: PLC0415 - the plotting library is slow to load

    directory.mkdir(parents=True, exist_ok=True)
    for group, outcomes in measured:
        draw(group, outcomes, directory)


def _parser() -> argparse.ArgumentParser:
    summary = (__doc__ or "").splitlines()[0]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=summary)
    names = [group.name for group in GROUPS]
    parser.add_argument(
        "groups",
        nargs="*",
        # What argparse checks where none is given.
        choices=[*names, []],
        metavar="GROUP",
        help=f"what to measure, everything if left out: {', '.join(names)}",
    )
    parser.add_argument("--quick", action="store_true", help="receiving alone, one short round")
    parser.add_argument("--rounds", type=int, help="how many times each case is run, at most")
    parser.add_argument("--minutes", type=float, default=17.0, help="what all may take (17)")
    parser.add_argument("--scale", type=float, help="messages, as a part of the full run (1)")
    parser.add_argument("--json", type=Path, help="the file to write all figures to")
    parser.add_argument("--from", type=Path, dest="results", help="such a file, measured before")
    parser.add_argument(
        "--write-docs",
        type=Path,
        nargs="?",
        const=_PAGE,
        metavar="PAGE",
        help="write the figures into a page (docs/performance.md)",
    )
    parser.add_argument("--pictures", type=Path, help="the directory to draw SVG files in")
    return parser


if __name__ == "__main__":
    main()
