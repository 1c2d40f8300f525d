from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from rx_cometd.relay import BrokerError, BrokerUnavailableError, Counts, LeaseLostError
from rx_cometd.relay.leadership import Leadership

if TYPE_CHECKING:
    from collections.abc import Callable

# In virtual time no stall of the machine uses up a lease.
pytestmark = [pytest.mark.virtual_time, pytest.mark.usefixtures("nothing_left")]


class Key:
    """A lease in memory, which another may hold, in a broker that may be away."""

    def __init__(self) -> None:
        self.free = True
        self.away = False
        self.renewals = 0
        self.asked = asyncio.Event()
        self.renewed_often = asyncio.Event()

    def _ask(self) -> None:
        self.asked.set()
        if self.away:
            raise BrokerUnavailableError("nobody there")

    async def acquire(self) -> bool:
        self._ask()
        free, self.free = self.free, False
        return free

    async def renew(self) -> None:
        self._ask()
        if self.free:
            raise LeaseLostError("gone")
        self.renewals += 1
        if self.renewals == 5:
            self.renewed_often.set()

    async def release(self) -> None:
        self._ask()
        self.free = True


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - it is asked from time to time
            await asyncio.sleep(0.01)


async def test_without_a_lease_there_is_nothing_to_wait_for() -> None:
    leadership = Leadership(None, 0, Counts())
    await leadership.acquire()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await leadership.keep()
    await leadership.release()


@pytest.mark.parametrize("away", [False, True])
async def test_a_standby_waits_for_the_lease(*, away: bool) -> None:
    key = Key()
    key.free, key.away = False, away
    waiting = asyncio.create_task(Leadership(key, 1, Counts()).acquire())
    await key.asked.wait()
    assert not waiting.done()
    key.free, key.away = True, False
    await waiting
    assert not key.free


async def test_that_another_relay_has_it_is_known_and_that_the_broker_is_away() -> None:
    key, counts = Key(), Counts()
    key.free = False
    leadership = Leadership(key, 1, counts)
    waiting = asyncio.create_task(leadership.acquire())
    await until(lambda: leadership.elsewhere and counts.available)
    key.away = True
    await until(lambda: not counts.available)
    assert counts.outages == 1
    key.away, key.free = False, True
    await waiting
    await until(lambda: counts.available and not leadership.elsewhere)


async def test_a_broker_that_refuses_gives_no_lease_and_is_not_asked_again() -> None:
    class Locked(Key):
        async def acquire(self) -> bool:
            raise BrokerError("no")

    with pytest.raises(BrokerError, match="no"):
        await Leadership(Locked(), 1, Counts()).acquire()


async def test_the_lease_is_renewed_until_another_has_it() -> None:
    key = Key()
    leadership = Leadership(key, 0.2, Counts())
    await leadership.acquire()
    keeping = asyncio.create_task(leadership.keep())
    await key.renewed_often.wait()
    key.free = True
    with pytest.raises(LeaseLostError, match="gone"):
        await keeping


async def test_a_lease_that_cannot_be_renewed_runs_out() -> None:
    key = Key()
    leadership = Leadership(key, 0.2, Counts())
    await leadership.acquire()
    key.away = True
    began = asyncio.get_running_loop().time()
    with pytest.raises(LeaseLostError, match="ran out"):
        await leadership.keep()
    assert asyncio.get_running_loop().time() - began > 0.15


async def test_giving_it_back_does_not_need_the_broker() -> None:
    key = Key()
    leadership = Leadership(key, 0.2, Counts())
    await leadership.acquire()
    key.away = True
    await leadership.release()
    assert not key.free
