"""Something to look at that stands still: for pictures of `top`."""

from __future__ import annotations

import math
from collections import deque
from typing import Any

from rx_cometd.cli.activity import Activity

NAMES = ("/stock/ACME", "/stock/CYBR", "/stock/DUFF", "/stock/GLOB", "/news", "/orders/eu/42")


class Recorded:
    """Channels with a past of half a minute, of which the last seconds are without `/news`."""

    url = "https://example.com/cometd"

    def __init__(self, channels: int = len(NAMES)) -> None:
        self.now = 0.0
        self.activity = Activity(lambda: self.now)
        self.log = deque(
            [
                "12:00:00  connected over websocket, session 5b1f3c",
                "12:00:20  link lost, seeking it: the server closed the WebSocket (1001)",
                "12:00:21  connected over websocket, the same session 5b1f3c",
            ]
        )
        self.events = 3
        self.published: list[tuple[str, Any]] = []
        names = [*NAMES, *(f"/bulk/{number}" for number in range(channels))][:channels]
        for second in range(30):
            for place, name in enumerate(names):
                wave = 2 + math.sin(second / 3 + place)
                for number in range(int(wave * 40 / (1 + place))):
                    if name != "/news" or second < 20:
                        data = {"number": number, "price": 101.25}
                        self.activity.count({"channel": name, "data": data})
            self._pass(1.0)
        self.activity.channel("/orders/eu/42").pending = 1234
        self.activity.channel("/orders/eu/42").drops = 5

    def _pass(self, seconds: float) -> None:
        self.now += seconds
        self.activity.measure()

    def note(self, text: str) -> None:
        """Log something."""
        self.log.append(text)
        self.events += 1

    async def refresh(self) -> None:
        """Stand still."""

    def facts(self) -> dict[str, Any]:
        """Give what a client would."""
        return {
            "state": "connected",
            "transport": "websocket",
            "session": "5b1f3c",
            "session_age": 30.0,
            "resumed": True,
            "reconnects": 1,
            "round_trip": 0.0042,
            "last_heard": 0.2,
            "pending": 0,
            "drops": 0,
        }

    async def publish(self, channel: str, data: Any) -> None:
        """Note what was published."""
        self.published.append((channel, data))
