"""docs/performance.md: its figures are written by the command, each between two markers.

::

    <!-- figures: receive-1 -->
    ...
    <!-- end of figures -->
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from benchmarks.report import measured_of, row, table
from benchmarks.runs import by_label
from benchmarks.targets import targets
from benchmarks.workloads import GROUPS

if TYPE_CHECKING:
    from benchmarks.report import Measured
    from benchmarks.runs import Outcome

__all__ = ["blocks", "fill", "names", "pictures"]

_BLOCK: Final = re.compile(
    r"(<!-- figures: (?P<name>[\w-]+) -->\n).*?(<!-- end of figures -->)", re.DOTALL
)


def names(page: str) -> list[str]:
    """Give the names of the blocks of figures that a page has."""
    return [found["name"] for found in _BLOCK.finditer(page)]


def pictures(page: str) -> set[str]:
    """Give the names of the groups whose pictures a page shows."""
    return set(re.findall(r"\]\(pictures/([\w-]+)\.svg\)", page))


def fill(page: str, figures: dict[str, str]) -> str:
    """Write figures into a page; blocks of which none were measured stay as they are."""

    def block(found: re.Match[str]) -> str:
        text = figures.get(found["name"])
        return found[0] if text is None else f"{found[1]}\n{text}\n\n{found[3]}"

    return _BLOCK.sub(block, page)


def blocks(results: dict[str, Any]) -> dict[str, str]:
    """Make the blocks of what was measured, by their names, of the JSON of a run."""
    measured = measured_of(results)
    found = {group.name: table(group, outcomes) for group, outcomes in measured}
    if len(found) == len(GROUPS):  # what is said of a whole run
        found["targets"] = targets(measured)
        found["machine"] = _machine(results["machine"])
    options = _options(measured)
    if options is not None:
        found["options"] = options
    return found


def _machine(machine: dict[str, Any]) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    return (
        f"The figures on this page were measured on {machine['date']}, in "
        f"{machine['rounds']} rounds: Python {machine['python']}, {machine['system']}, "
        f"{machine['cores']} cores ({machine['processor']}), {packages}."
    )


def _options(measured: Measured) -> str | None:
    """Make the table of what the options for speed bring, of the groups that tell."""
    columns: dict[str, dict[str, Outcome]] = {
        group.name: by_label(outcomes) for group, outcomes in measured
    }
    wanted = {
        "`json_loads=orjson.loads`": (_JSON, "rx_cometd orjson", "rx_cometd json"),
        "`json_loads=msgspec.json.decode`": (_JSON, "rx_cometd msgspec", "rx_cometd json"),
        "uvloop": (_LOOPS, "uvloop", "asyncio"),
        "aiofastnet": (_LOOPS, "aiofastnet", "asyncio"),
    }
    if not {*_JSON, *_LOOPS} <= columns.keys():
        return None
    lines = [row(["", *_HEADS]), row(["---"] * 4)]
    for option, (groups, label, against) in wanted.items():
        lines.append(row([option, *(_gain(columns[name], label, against) for name in groups)]))
    return "\n".join(lines)


def _gain(outcomes: dict[str, Outcome], label: str, against: str) -> str:
    ours, theirs = outcomes.get(label), outcomes.get(against)
    if ours is None or theirs is None or not ours.rounds or not theirs.rounds:
        return ""
    return f"{ours.ratio(theirs, 'cpu'):.2f}"


_HEADS: Final = ("received, 1 a frame", "received, 100 a frame", "published, one at a time")
_JSON: Final = ("receive-1", "receive-100", "publish-awaited")
_LOOPS: Final = ("loops-1", "loops-100", "loops-publish")
