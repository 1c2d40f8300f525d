"""What was measured, as pictures for the documentation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.runs import Outcome
    from benchmarks.workloads import Group

_OURS: Final = "#b7352d"
_OTHERS: Final = "#9aa5b1"


def draw(group: Group, outcomes: list[Outcome], directory: Path) -> Path | None:
    """Draw the medians of a group as bars. Gives the SVG file, ``None`` if nothing was measured."""
    shown = [outcome for outcome in reversed(outcomes) if outcome.rounds]
    if not shown:
        return None
    # The same figures are to make the same file.
    mpl.rcParams["svg.hashsalt"] = group.name
    # What matplotlib takes of numpy's is too much for the type checkers.
    figure: Any = Figure(figsize=(7, 0.6 + 0.32 * len(shown)), layout="constrained")
    axes = figure.subplots()
    values = [outcome.median(group.figure) for outcome in shown]
    labels = [outcome.label for outcome in shown]
    colours = [_OURS if "rx_cometd" in label else _OTHERS for label in labels]
    bars = axes.barh(labels, values, color=colours)
    axes.bar_label(bars, fmt="%.3g", padding=3)
    axes.set_title(f"{group.title} ({group.figure}, {group.unit}; shorter is better)", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.12)
    path = directory / f"{group.name}.svg"
    figure.savefig(path, metadata={"Date": None})
    return path
