"""What was measured, as tables and as JSON."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final

from benchmarks.runs import Outcome, by_label
from benchmarks.workloads import GROUPS, Group

if TYPE_CHECKING:
    from collections.abc import Iterator

Measured = list[tuple[Group, list[Outcome]]]

_PACKAGES: Final = ("aiohttp", "reactivex", "orjson", "msgspec", "pydantic", "uvloop", "aiofastnet")


def table(group: Group, outcomes: list[Outcome]) -> str:
    """Make the table of a group, in Markdown."""
    figures = ("cpu", "wall") if group.figure == "cpu" else _figures(group, outcomes)
    heads = ["", *(f"{figure}, {group.unit}" for figure in figures)]
    heads += [f"{figure}: speed beside" for figure in figures if _compares(group)]
    lines = [f"{group.title}:", "", row(heads), row(["---"] * len(heads))]
    lines += [row(list(_cells(outcome, outcomes, group, figures))) for outcome in outcomes]
    return "\n".join(lines)


def _figures(group: Group, outcomes: list[Outcome]) -> tuple[str, ...]:
    measured = next((outcome.rounds[0] for outcome in outcomes if outcome.rounds), None)
    return (group.figure,) if measured is None else tuple(measured)


def _compares(group: Group) -> bool:
    return any(case.against != case.label for case in group.cases)


def _cells(
    outcome: Outcome, outcomes: list[Outcome], group: Group, figures: tuple[str, ...]
) -> Iterator[str]:
    yield outcome.label
    if outcome.failure is not None:
        yield f"failed: {outcome.failure}"
        return
    yield from (f"{outcome.median(figure):,.2f}" for figure in figures)
    other = by_label(outcomes)[outcome.against]
    if not _compares(group):
        return
    if other is outcome or not other.rounds:
        yield from ("" for _ in figures)
        return
    yield from (f"{outcome.ratio(other, figure):.2f} x {other.label}" for figure in figures)


def row(cells: list[str]) -> str:
    """Make a row of a table, in Markdown."""
    return f"| {' | '.join(cells)} |"


def as_json(measured: Measured) -> dict[str, Any]:
    """Give everything that was measured, and on what."""
    return {
        "machine": {
            "date": datetime.now(UTC).date().isoformat(),
            "rounds": min(
                (len(o.rounds) for _, found in measured for o in found if o.rounds), default=0
            ),
            "python": platform.python_version(),
            "system": platform.system(),
            "processor": platform.machine(),
            "cores": os.cpu_count(),
            "packages": {name: found for name in _PACKAGES if (found := _version(name))},
        },
        "groups": [
            {
                "name": group.name,
                "title": group.title,
                "figure": group.figure,
                "unit": group.unit,
                "cases": [
                    {
                        "label": outcome.label,
                        "against": outcome.against,
                        "rounds": outcome.rounds,
                        "failure": outcome.failure,
                    }
                    for outcome in outcomes
                ],
            }
            for group, outcomes in measured
        ],
    }


def measured_of(results: dict[str, Any]) -> Measured:
    """Give what was measured of what `as_json` gave; groups that are no more are left out."""
    known = {group.name: group for group in GROUPS}
    return [
        (known[found["name"]], [Outcome(**case) for case in found["cases"]])
        for found in results["groups"]
        if found["name"] in known
    ]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
