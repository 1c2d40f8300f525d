"""What was aimed at, what was reached, and what stands in the way of the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks.report import row
from benchmarks.runs import by_label

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.report import Measured
    from benchmarks.runs import Outcome

    Figures = dict[str, dict[str, Outcome]]


@dataclass(frozen=True)
class Target:
    """A figure that is aimed at.

    Attributes:
        what: What it is of.
        wanted: The figure.
        figure: Finds what was measured; raises `KeyError` where it was not.
        at_most: Whether less is better.
        unit: What is behind the figures.
        obstacle: What stands in the way, where it is not reached.
    """

    what: str
    wanted: float
    figure: Callable[[Figures], float]
    at_most: bool = False
    unit: str = ""
    obstacle: str = ""

    def reached(self, value: float) -> bool:
        """Tell whether a figure is good enough, as it is shown."""
        shown = float(f"{value:.2f}")
        return shown <= self.wanted if self.at_most else shown >= self.wanted


def targets(measured: Measured) -> str:
    """Make the table of the targets, in Markdown; what was not measured has no figure."""
    figures: Figures = {group.name: by_label(outcomes) for group, outcomes in measured}
    lines = [row(["target", "wanted", "measured", "what stands in the way"]), row(["---"] * 4)]
    for target in TARGETS:
        sign = "at most" if target.at_most else "at least"
        wanted = f"{sign} {target.wanted:g}{target.unit}"
        try:
            value = target.figure(figures)
        except KeyError:
            lines.append(row([target.what, wanted, "not measured", ""]))
            continue
        missed = "" if target.reached(value) else target.obstacle
        shown = f"{value:.2f}{target.unit}"
        mark = shown if target.reached(value) else f"**{shown}**"
        lines.append(row([target.what, wanted, mark, missed]))
    return "\n".join(lines)


def _outcome(figures: Figures, group: str, label: str) -> Outcome:
    outcome = figures[group][label]
    if not outcome.rounds:
        raise KeyError(label)
    return outcome


def _speed(group: str, label: str, against: str, figure: str = "cpu") -> Callable[[Figures], float]:
    """How many times as fast one case is as another."""

    def find(figures: Figures) -> float:
        other = _outcome(figures, group, against)
        return _outcome(figures, group, label).ratio(other, figure)

    return find


def _cost(group: str, label: str, against: str, figure: str = "cpu") -> Callable[[Figures], float]:
    """How many times the cost of another case one has."""
    return _speed(group, against, label, figure)


def _median(
    group: str, label: str, figure: str = "cpu", per: float = 1.0
) -> Callable[[Figures], float]:
    return lambda figures: _outcome(figures, group, label).median(figure) / per


def _points_lost(group: str) -> Callable[[Figures], float]:
    """Hundredths of the bare loop's speed that one extension costs."""

    def find(figures: Figures) -> float:
        bare = _outcome(figures, group, "bare")
        without = _outcome(figures, group, "0 extensions").ratio(bare, "cpu")
        return 100 * (without - _outcome(figures, group, "1 extensions").ratio(bare, "cpu"))

    return find


def _further_observer(figures: Figures) -> float:
    one, ten = (_outcome(figures, "observers", f"{n} observers").median("cpu") for n in (1, 10))
    return (ten - one) / 9


_BARE: Final = "bare orjson"
_OURS: Final = "rx_cometd orjson"
_JSON: Final = "rx_cometd json"
_LATENCY: Final = "latency-1000"

_RECEIVING: Final = (
    "once a payload the calls from the reading into the session, the clock and the counters; "
    "once a message a look at it and the call of its observer (see below)"
)
_PIPELINE: Final = (
    "once a payload the object that extensions see, the operators of ReactiveX (three calls each), "
    "and a second look at each message, for an extension may have changed it (see below)"
)
_CACHES: Final = "the processor's caches: each observer is touched once in that many messages"
_PUBLISHING: Final = (
    "a turn of the event loop, at whose end what was published in it is put into one payload; and "
    "what the bare loop has not: deadlines, checked names, cancelling, the state of the session"
)
_GATHERED: Final = (
    "the JSON of each publish and its reply, its future, and the task of the benchmark that waits "
    "for it, which are the same in both"
)

_TYPED: Final = {
    "msgspec": "the JSON of the payload, which both read, and ReactiveX",
    "pydantic": "`validate_python`, which both call, and which takes most of the time; "
    "`validate_json` of the JSON is no faster than msgspec and that (see below)",
}

TARGETS: Final = (
    *(
        Target(
            f"receive, {n} a frame, beside the bare loop",
            wanted,
            _speed(f"receive-{n}", _OURS, _BARE),
            unit=" x",
            obstacle=_RECEIVING,
        )
        for n, wanted in ((1, 0.8), (10, 0.75), (100, 0.75))
    ),
    # A peer that is faster than the generator waits for each frame: what one costs is seen here.
    Target(
        "receive, 1 a frame, hundreds of frames in each read, beside the bare loop",
        0.8,
        _speed("flood", _OURS, _BARE),
        unit=" x",
        obstacle=_RECEIVING,
    ),
    *(
        Target(
            f"one extension, {n} a frame: points lost",
            5,
            _points_lost(f"extensions-{n}"),
            at_most=True,
            obstacle=_PIPELINE,
        )
        for n in (1, 10, 100)
    ),
    *(
        Target(
            f"receive, {n} a frame, beside CometD JavaScript",
            wanted,
            _cost(f"receive-{n}", "CometD JavaScript", _OURS),
            unit=" x",
            obstacle=_RECEIVING,
        )
        for n, wanted in ((1, 1.2), (10, 3), (100, 3.5))
    ),
    Target(
        "receive, 100 a frame: cost beside CometD Java",
        2,
        _cost("receive-100", _OURS, "CometD Java"),
        at_most=True,
        unit=" x",
    ),
    Target(
        "receive, 10 a frame, beside aiocometd-noloop",
        15,
        _cost("receive-10", "aiocometd-noloop", _JSON),
        unit=" x",
        obstacle="`json.loads`, which both call: with a faster library it is reached",
    ),
    Target(
        "long-polling, 100 a response, beside CometD JavaScript",
        2,
        _cost("long-polling", "CometD JavaScript", _OURS),
        unit=" x",
        obstacle="a request of aiohttp for each response",
    ),
    Target(
        "100,000 channels: cost beside one",
        1.3,
        _cost("channels", "100,000 channels", "1 channel"),
        at_most=True,
        unit=" x",
        obstacle=_CACHES,
    ),
    Target(
        "1,000 globs: cost beside one channel",
        1.3,
        _cost("channels", "1,000 globs", "1 channel"),
        at_most=True,
        unit=" x",
        obstacle=_CACHES,
    ),
    Target(
        "a further observer",
        0.4,
        _further_observer,
        at_most=True,
        unit=" us",
        obstacle="the call of the observer, guarded",
    ),
    *(
        Target(
            f"publish, 1,000 in flight, beside aiocometd-noloop, both with {library}",
            5,
            _cost("publish-in-flight", theirs, ours),
            unit=" x",
            obstacle=_GATHERED,
        )
        for library, ours, theirs in (
            ("json", _JSON, "aiocometd-noloop"),
            ("orjson", _OURS, "aiocometd-noloop orjson"),
        )
    ),
    Target(
        "publish, one at a time, beside the bare loop",
        0.8,
        _speed("publish-awaited", _OURS, _BARE),
        unit=" x",
        obstacle=_PUBLISHING,
    ),
    Target(
        "latency at 1,000 a second: p99 beside the bare loop's",
        1.3,
        _cost(_LATENCY, _OURS, _BARE, "p99"),
        at_most=True,
        unit=" x",
        obstacle="the scheduler of the machine",
    ),
    *(
        Target(
            f"typed channel, {library}, beside data() and decode() with {loads}",
            1.5,
            _speed(
                f"typed-{library}", "raw_json_loads, typed channel", f"{loads}, data(), decode()"
            ),
            unit=" x",
            obstacle=_TYPED[library],
        )
        for library, loads in (
            ("msgspec", "msgspec"),
            ("pydantic", "json"),
            ("pydantic", "msgspec"),
        )
    ),
    Target(
        "an idle subscription",
        1.2,
        _median("memory-subscription", _OURS, "bytes", 1024),
        at_most=True,
        unit=" KB",
    ),
    Target(
        "an idle client",
        100,
        _median("memory-client", _OURS, "bytes", 1024),
        at_most=True,
        unit=" KB",
    ),
    Target(
        "import, beyond aiohttp and reactivex",
        40,
        _median("import", "rx_cometd beyond them", per=1000),
        at_most=True,
        unit=" ms",
    ),
)
