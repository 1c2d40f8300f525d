"""What ``rx-cometd top`` costs beside ``listen`` to /dev/null, and how far its screen is behind.

::

    python -m benchmarks.top_cost

1,000 channels at 10,000 messages a second, of a server in a process of its own; the two commands
run side by side at the same server, `top` on a pseudo-terminal of 160 by 50. CPU time is user and
system time of each command between its start and its end, less that of a second's run, so that
the loading of modules does not count. Then a screen in this process tells how old the newest
message is whenever it draws, and how late it draws.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import json
import os
import pty
import resource
import signal
import statistics
import struct
import subprocess
import sys
import termios
import threading
import time
from typing import TYPE_CHECKING

from rx_cometd import Client
from rx_cometd.cli.screen import TopScreen
from rx_cometd.cli.watched import WatchedClient
from rx_cometd.testing import BayeuxServer

if TYPE_CHECKING:
    from collections.abc import Sequence

_CHANNELS = 1000
_RATE = 10_000
_TURN = 0.02
_COMMAND = (sys.executable, "-m", "rx_cometd")


async def _serve() -> None:
    async with BayeuxServer(max_received=0) as server:
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        loop = asyncio.get_running_loop()
        began, sent = loop.time(), 0
        while True:
            for _ in range(int((loop.time() - began) * _RATE) - sent):
                data = {"number": sent, "time": time.time(), "price": 101.25}
                await server.publish(f"/bench/{sent % _CHANNELS}", data)
                sent += 1
            await asyncio.sleep(_TURN)


def _cpu_seconds(arguments: Sequence[str], seconds: float, *, terminal: bool) -> float:
    """Run a command for a while, and give the CPU time that it took."""
    ours = theirs = os.open(os.devnull, os.O_RDWR)
    if terminal:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 160, 0, 0))
        threading.Thread(target=_drain, args=(ours,), daemon=True).start()
    process = subprocess.Popen(
        [*_COMMAND, *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs if terminal else subprocess.DEVNULL,
        env={**os.environ, "TERM": "xterm-256color"},
        start_new_session=True,
    )
    time.sleep(seconds)
    process.send_signal(signal.SIGTERM)
    _, _, usage = os.wait4(process.pid, 0)
    process.returncode = 0
    return usage.ru_utime + usage.ru_stime


def _drain(descriptor: int) -> None:
    try:
        while os.read(descriptor, 65536):
            pass
    except OSError:  # how Linux says that the other side was closed
        return


def _compare(url: str, seconds: float, rounds: int) -> float:
    """Give the CPU time of `top` over that of `listen`, the median of some rounds."""
    ratios: list[float] = []
    for _ in range(rounds):
        used: dict[str, float] = {}
        for name in ("listen", "top"):
            arguments = (name, url, "/bench/**")
            short, long = (
                _cpu_seconds(arguments, s, terminal=name == "top") for s in (3.0, 3.0 + seconds)
            )
            used[name] = (long - short) / seconds
        ratios.append(used["top"] / used["listen"])
        print(json.dumps({**used, "ratio": ratios[-1]}))
    return statistics.median(ratios)


class _Timed(TopScreen):
    """Notes at every redraw how late it is, and how old the newest message is."""

    def __init__(self, watched: WatchedClient, interval: float) -> None:
        super().__init__(watched, interval)
        self.late: list[float] = []
        self.behind: list[float] = []
        self._last = 0.0
        self._seconds = interval

    async def tick(self) -> None:
        """Measure, draw, and note."""
        now = time.monotonic()
        await super().tick()
        channels = self._watched.activity.channels.values()
        newest = max((c.last["data"]["time"] for c in channels if c.last), default=None)
        if newest is not None and self._last:
            self.behind.append(time.time() - newest)
            self.late.append(now - self._last - self._seconds)
        self._last = now


async def _behind(url: str, seconds: float) -> _Timed:
    async with Client(url, max_pending_count=0) as client:
        watched = WatchedClient(client, url)
        watched.observe(["/bench/**"])
        screen = _Timed(watched, 1.0)
        async with screen.run_test(size=(160, 50)):
            await asyncio.sleep(seconds)
        print(f"messages per second: {client.statistics().messages_in / seconds:.0f}")
        watched.dispose()
        return screen


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(_serve())
    server = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.top_cost", "--serve"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None  # noqa: S101 - for the type checkers
        url = server.stdout.readline().strip()
        ratio = _compare(url, arguments.seconds, arguments.rounds)
        screen = asyncio.run(_behind(url, arguments.seconds))
    finally:
        server.kill()
        server.wait()
    print(f"CPU time of top / listen to /dev/null: {ratio:.2f}")
    print(f"newest message when drawn: {max(screen.behind):.3f} s old at most; redraw every 1 s")
    print(f"redraw late by {max(screen.late):.3f} s at most, of {len(screen.late)}")
    print(f"peak memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss} KiB")


if __name__ == "__main__":
    main()
