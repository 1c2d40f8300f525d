"""A consumer that is killed in the middle of its stream, and the one that goes on."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from rx_cometd.extensions import ReplayOption, SqliteStore, replay
from tests.unit.extensions.composed import Composed

CHANNEL = "/event/X__e"
IN_FLIGHT = 5


def consume(path: str) -> None:
    """Process the server's events from the marker on, a few in flight, for ever (the child)."""
    store = SqliteStore(path)
    session = Composed(replay(store, initial=ReplayOption.ALL_EVENTS))
    subscribe: dict[str, Any] = {"channel": "/meta/subscribe", "subscription": CHANNEL}
    session.send(subscribe)
    replay_id = max(0, subscribe["ext"]["replay"][CHANNEL])
    print("from", replay_id, flush=True)
    while True:
        payloads = [
            session.receive({"channel": CHANNEL, "data": {"event": {"replayId": number}}})
            for number in range(replay_id + 1, replay_id + 1 + IN_FLIGHT)
        ]
        # The last to arrive are done first: the marker moves with the first one alone.
        for number in reversed(range(IN_FLIGHT)):
            print("processed", replay_id + 1 + number, flush=True)
            session.process(payloads[number])
        replay_id += IN_FLIGHT
        print("saved", replay_id, flush=True)


def killed_after(path: Path, count: int) -> tuple[int, list[int], int]:
    """Run a consumer, kill it; give where it began, what it processed, what it saw saved."""
    source = f"import sys; from {__name__} import consume; consume(sys.argv[1])"
    with subprocess.Popen(
        [sys.executable, "-c", source, str(path)],
        cwd=Path(__file__).parents[3],
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        lines: list[str] = []
        for line in child.stdout:
            lines.append(line)
            if len(lines) == count:
                child.kill()  # SIGKILL; what it wrote until then is still in the pipe
    assert child.returncode == -signal.SIGKILL  # it would not have ended by itself
    words = [line.split() for line in lines if line.endswith("\n")]
    numbers = {
        verb: [int(number) for word, number in words if word == verb]
        for verb in ("from", "processed", "saved")
    }
    return numbers["from"][0], numbers["processed"], max(numbers["saved"], default=0)


def test_killed_consumers_lose_nothing_and_repeat_only_what_was_in_flight(tmp_path: Path) -> None:
    path = tmp_path / "markers.db"
    processed: set[int] = set()
    repeated = 0
    for count in (101, 202, 53, 154):
        begun, now, saved = killed_after(path, count)
        assert set(range(1, begun + 1)) <= processed  # nothing was lost
        repeated += len(processed.intersection(now))
        processed |= set(now)
        with SqliteStore(path) as store:
            marker = store.load(CHANNEL)
        assert isinstance(marker, int)
        assert marker >= saved
        assert set(range(1, marker + 1)) <= processed
    assert repeated <= 3 * IN_FLIGHT
    assert len(processed) > 300
