"""What an event message costs on its way from the socket to ``on_next``, in function calls.

Counted and not timed, so that a machine's mood does not matter. The calls are those of functions
of rx_cometd and of ReactiveX, and those that functions of rx_cometd make of anything else.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest
import reactivex
from reactivex import operators as ops

import rx_cometd
from rx_cometd import Extension
from rx_cometd.testing import BayeuxServer
from tests.integration.client_driver import WEBSOCKET, Recorder, client_of, held, subscribed

if TYPE_CHECKING:
    from types import FrameType

FRAMES = 200
OURS = str(Path(rx_cometd.__file__).parent)
OTHERS = str(Path(rx_cometd.testing.__file__).parent)
REACTIVE = str(Path(reactivex.__file__).parent)


class Calls:
    """Counts calls for as long as the context lasts."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> Self:
        sys.setprofile(self._profile)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _profile(self, frame: FrameType, event: str, _: Any) -> None:
        name = frame.f_code.co_filename
        ours = name.startswith(OURS) and not name.startswith(OTHERS)
        if event == "call":
            self.count += ours or name.startswith(REACTIVE)
        elif event == "c_call":
            self.count += ours


@pytest.mark.parametrize(
    ("per_frame", "extensions", "most"),
    [
        pytest.param(1, 0, 18, id="one message a frame"),
        pytest.param(100, 0, 0.2, id="100 messages a frame"),
        pytest.param(1, 1, 34, id="one message a frame, one extension"),
        pytest.param(100, 1, 0.36, id="100 messages a frame, one extension"),
    ],
)
async def test_calls_per_message(per_frame: int, extensions: int, most: float) -> None:
    looking = [Extension.of(inbound=ops.do_action(lambda _: None)) for _ in range(extensions)]
    async with (
        BayeuxServer() as server,
        client_of(server, WEBSOCKET, extensions=looking) as client,
    ):
        first = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        await held(server)
        await server.publish("/a", "the first after a connect")
        await first.count(1)
        frame = json.dumps([{"channel": "/a", "data": n} for n in range(per_frame)])
        counted = 0
        done = asyncio.Event()

        def on_next(_: object) -> None:
            nonlocal counted
            counted += 1
            if counted == per_frame * FRAMES:
                done.set()

        first.subscription.dispose()
        client.channel("/a").subscribe(on_next)
        await subscribed(server, "/a")
        with Calls() as calls:
            for _ in range(FRAMES):
                await server.faults.garbage(frame)
            await done.wait()
        assert counted == per_frame * FRAMES
        assert calls.count / counted <= most
