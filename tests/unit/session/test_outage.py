"""How long the link may be down."""

from __future__ import annotations

import asyncio

import pytest

from rx_cometd import ClientState, StateChange, TransportTimeoutError
from rx_cometd._session.outage import Outage
from rx_cometd.statistics import Counters

pytestmark = [pytest.mark.virtual_time, pytest.mark.usefixtures("nothing_left")]

S = ClientState


class Watch:
    """An outage, and how it ended."""

    def __init__(self, connection_timeout: float | None) -> None:
        self.counters = Counters()
        self.given_up: list[TransportTimeoutError] = []
        self._told = asyncio.Event()
        self.tried = 0
        self.outage = Outage(connection_timeout, self.counters, self._give_up, self._try, 0.05)

    def _try(self) -> None:
        self.tried += 1

    def _give_up(self, error: TransportTimeoutError) -> None:
        self.given_up.append(error)
        self._told.set()

    def become(self, *states: ClientState, error: Exception | None = None) -> None:
        for state in states:
            self.outage.changed(StateChange(state, error=error))

    async def gives_up(self) -> TransportTimeoutError:
        async with asyncio.timeout(30):
            await self._told.wait()
        (error,) = self.given_up
        return error


async def test_the_first_opening_is_one() -> None:
    watch = Watch(0.01)
    watch.become(S.HANDSHAKING)
    error = await watch.gives_up()
    assert str(error) == "no link for 0.01 s; no answer came"
    assert error.__cause__ is None
    assert watch.counters.reconnects == 0


async def test_the_last_error_is_the_cause() -> None:
    watch = Watch(0.01)
    watch.become(S.HANDSHAKING, S.CONNECTING, S.CONNECTED)
    watch.become(S.UNCONNECTED, error=LookupError("first"))
    watch.become(S.UNCONNECTED, error=LookupError("last"))
    watch.become(S.REHANDSHAKING)
    error = await watch.gives_up()
    assert str(error.__cause__) == "last"
    assert str(error) == "no link for 0.01 s; last: last"


async def test_an_error_before_the_link_was_up_is_no_cause() -> None:
    watch = Watch(0.01)
    watch.become(S.REHANDSHAKING, error=LookupError("long ago"))
    watch.become(S.CONNECTED)
    watch.become(S.REHANDSHAKING)
    assert (await watch.gives_up()).__cause__ is None


async def test_it_runs_from_the_first_failure() -> None:
    watch = Watch(0.05)
    loop = asyncio.get_running_loop()
    started = loop.time()
    watch.become(S.UNCONNECTED)
    for _ in range(3):
        await asyncio.sleep(0.01)
        watch.become(S.UNCONNECTED, S.REHANDSHAKING, S.CONNECTING)
    await watch.gives_up()
    assert 0.045 < loop.time() - started < 0.5


async def test_a_link_that_is_back_ends_it() -> None:
    watch = Watch(0.01)
    for count in range(3):
        watch.become(S.HANDSHAKING, S.CONNECTED)
        assert watch.counters.reconnects == count
    await asyncio.sleep(0.02)
    assert not watch.given_up


async def test_nothing_is_watched_while_leaving() -> None:
    watch = Watch(0.01)
    watch.become(S.CONNECTED, S.DISCONNECTING)
    await asyncio.sleep(0.02)
    assert not watch.given_up
    watch.become(S.UNCONNECTED)
    watch.outage.cancel()
    watch.outage.cancel()
    await asyncio.sleep(0.02)
    assert not watch.given_up


async def test_for_ever() -> None:
    watch = Watch(None)
    watch.become(S.HANDSHAKING, S.CONNECTED, S.UNCONNECTED)
    await asyncio.sleep(0.02)
    assert not watch.given_up
