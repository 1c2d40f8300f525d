"""Running the cases of a group, round by round, each in a process of its own."""

from __future__ import annotations

import json
import subprocess
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from benchmarks.peers.task import Task
from benchmarks.programs import PROGRAMS
from tests.servers.installation import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.generator import Address
    from benchmarks.workloads import Case, Group

Figures = dict[str, float]

_SECONDS: Final = 60
"""What one run of a peer may take."""


class FailedError(Exception):
    """A peer did not do its task; the text says why, in one line."""


@dataclass
class Outcome:
    """What came of a case.

    Attributes:
        label: The case.
        against: The case it is compared with.
        rounds: The figures of each round; ``cpu`` and ``wall`` in microseconds a message.
        failure: Why it has no (further) rounds.
    """

    label: str
    against: str
    rounds: list[Figures] = field(default_factory=list[Figures])
    failure: str | None = None

    def median(self, figure: str) -> float:
        """The median of a figure."""
        return median(figures[figure] for figures in self.rounds)

    def ratio(self, other: Outcome, figure: str) -> float:
        """How many times as fast this is as another: the median of the rounds' ratios."""
        pairs = zip(self.rounds, other.rounds, strict=False)
        return median(theirs[figure] / ours[figure] for ours, theirs in pairs)


def unmeasured(group: Group) -> list[Outcome]:
    """Give the outcomes of a group before its first round."""
    return [Outcome(case.label, case.against) for case in group.cases]


def measure(group: Group, outcomes: list[Outcome], address: Address, scale: float) -> None:
    """Measure a group for one more round.

    Args:
        group: The group.
        outcomes: Where the figures are added to those of earlier rounds.
        address: Where the generator is.
        scale: How many messages there are, as a part of those of the full run.
    """
    for case, outcome in zip(group.cases, outcomes, strict=True):
        if outcome.failure is not None:
            continue
        try:
            outcome.rounds.append(_run(case, _task(group, case, address, scale)))
        except FailedError as failure:
            outcome.failure = str(failure)


def _task(group: Group, case: Case, address: Address, scale: float) -> Task:
    fields: dict[str, Any] = group.task | case.task
    step = max(fields.get("per_frame", 1), fields.get("in_flight", 1))
    messages = _whole(fields["messages"] * scale, step)
    # Every channel is seen once before it counts.
    least = fields.get("channels", 1)
    warm_up = _whole(max(messages * PROGRAMS[case.program].warm_up, least), step)
    url = address.secure if group.secure else address.plain
    fields |= {"messages": messages, "warm_up": warm_up, "authority": address.authority}
    return Task(url=url, **fields)


def _whole(messages: float, step: int) -> int:
    """Round down to whole frames or batches, but one."""
    return max(int(messages) // step, 1) * step


def _run(case: Case, task: Task) -> Figures:
    program = PROGRAMS[case.program]
    try:
        done = subprocess.run(
            [*program.command(), json.dumps(asdict(task))],
            env=program.surroundings(),
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=True,
        )
        figures: Figures = json.loads(done.stdout.splitlines()[-1])
    except subprocess.CalledProcessError as error:
        raise FailedError(_telling(error.stderr) or f"exit code {error.returncode}") from error
    except subprocess.TimeoutExpired as error:
        raise FailedError(f"took over {_SECONDS} s") from error
    except (UnavailableError, OSError, ValueError, IndexError) as error:
        raise FailedError(_telling(str(error)) or type(error).__name__) from error
    return _a_message(figures)


def _a_message(figures: Figures) -> Figures:
    """Turn seconds for all messages into microseconds for each."""
    messages = figures.pop("messages", 1)
    times = {name: figures[name] / messages * 1e6 for name in ("cpu", "wall") if name in figures}
    return figures | times


def _telling(text: str) -> str:
    """Find the line that says what went wrong: the last that speaks of an error, or just the last.

    What a peer writes is not ours to print in full: it may be pages.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or [""])[-1][:200]


def by_label(outcomes: Iterable[Outcome]) -> dict[str, Outcome]:
    """Find outcomes by the labels of their cases."""
    return {outcome.label: outcome for outcome in outcomes}
