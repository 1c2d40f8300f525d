"""Measure rx_cometd beside others.

    python -m benchmarks                     # everything; takes the better part of an hour
    python -m benchmarks --quick             # receiving alone, about a minute
    python -m benchmarks receive-1 channels --rounds 5 --json results.json --pictures docs/pictures

A load generator runs in a process of its own, and so does each peer, one at a time. The cases of
a group take turns, round by round, and what counts are the medians of the ratios: absolute
figures are the machine's. "Speed beside" says how many times as fast a case is as the one named,
per second of CPU time of its process and per second of wall clock. A peer that is not there, or
fails, is reported as failed.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from benchmarks.generator import generator
from benchmarks.report import as_json, table
from benchmarks.runs import Outcome, measure
from benchmarks.workloads import GROUPS, Group


def main() -> None:
    """Run what the command line asks for."""
    options = _parser().parse_args()
    chosen = [g for g in GROUPS if g.name in options.groups or (not options.groups and g.quick)]
    if not options.groups and not options.quick:
        chosen = list(GROUPS)
    rounds = options.rounds or (1 if options.quick else 5)
    scale = options.scale or (0.2 if options.quick else 1.0)
    measured: list[tuple[Group, list[Outcome]]] = []
    with generator() as address:
        for group in chosen:
            outcomes = measure(group, address, rounds, scale)
            measured.append((group, outcomes))
            print(table(group, outcomes), end="\n\n", flush=True)
    if options.json is not None:
        options.json.write_text(json.dumps(as_json(measured), indent=1) + "\n")
    if options.pictures is not None:
        _draw(measured, options.pictures)


def _draw(measured: list[tuple[Group, list[Outcome]]], directory: Path) -> None:
    from benchmarks.pictures import draw  # noqa: PLC0415 - the plotting library is slow to load

    directory.mkdir(parents=True, exist_ok=True)
    for group, outcomes in measured:
        draw(group, outcomes, directory)


def _parser() -> argparse.ArgumentParser:
    summary = (__doc__ or "").splitlines()[0]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=summary)
    names = [group.name for group in GROUPS]
    parser.add_argument("groups", nargs="*", choices=[*names, []], help="what to measure")
    parser.add_argument("--quick", action="store_true", help="receiving alone, one short round")
    parser.add_argument("--rounds", type=int, help="how many times each case is run (5)")
    parser.add_argument("--scale", type=float, help="messages, as a part of the full run (1)")
    parser.add_argument("--json", type=Path, help="the file to write all figures to")
    parser.add_argument("--pictures", type=Path, help="the directory to draw SVG files in")
    return parser


if __name__ == "__main__":
    main()
