"""When the protocol takes its next step, against a server."""

from __future__ import annotations

import asyncio
from itertools import repeat
from typing import TYPE_CHECKING

import pytest

from rx_cometd import AuthenticationError, AuthExtension, ClientState, Overflow, ServerError
from rx_cometd.operators import to_async_iterable
from rx_cometd.testing import BayeuxServer
from tests.integration.client_driver import (
    BOTH,
    LONG_POLLING,
    Recorder,
    client_of,
    data_of,
    held,
    requests,
    subscribed,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rx_cometd import ConnectionType

pytestmark = pytest.mark.usefixtures("nothing_left")

BOUND = 4


class Renewing(AuthExtension):
    """Has new credentials at any time."""

    async def authenticate(self) -> None:
        """Have them at once."""


class Locked(AuthExtension):
    """Never has new credentials."""

    async def authenticate(self) -> None:
        raise LookupError("the vault is closed")


async def test_a_drained_buffer_does_not_overtake_the_handshake_of_a_new_session() -> None:
    """A connect was held back for a buffer; meanwhile a new session became due instead."""
    async with BayeuxServer() as server:
        client = client_of(
            server,
            LONG_POLLING,
            auth=Renewing(),
            connection_timeout=None,
            backoff=lambda: repeat(0.3),
        )
        async with client:
            feed = client.channel("/a").pipe(to_async_iterable(BOUND, Overflow.SUSPEND))
            messages = aiter(feed)
            first = asyncio.ensure_future(anext(messages))
            await subscribed(server, "/a")
            await held(server)
            for n in range(3 * BOUND):
                await server.publish("/a", n)
            assert data_of(await first) == 0
            await server.until(lambda: client.statistics().suspensions == 1)
            changes = Recorder(client.state_changes)
            server.faults.refuse_handshake("500::busy", {"reconnect": "retry", "interval": 0})
            server.faults.refuse("/b", "401::expired", {"reconnect": "handshake"}, count=1)
            publish = asyncio.ensure_future(client.publish("/b", 1))
            await changes.until(
                lambda: (
                    isinstance(changes.items[-1].error, ServerError)
                    and changes.items[-1].state is ClientState.REHANDSHAKING
                )
            )
            while client.pending_count:
                await anext(messages)
            await changes.until(lambda: client.state is ClientState.CONNECTED)
            assert (await publish)["successful"] is True
            await messages.aclose()


def _raises() -> Iterator[float]:
    raise LookupError("no delays today")


def _raises_later() -> Iterator[float]:
    yield 0.01
    raise LookupError("no more delays")


@BOTH
@pytest.mark.parametrize("backoff", [_raises, _raises_later])
async def test_a_backoff_that_raises_is_replaced(
    kind: ConnectionType, backoff: object, caplog: pytest.LogCaptureFixture
) -> None:
    async with BayeuxServer() as server:
        async with client_of(server, kind, backoff=backoff, connection_timeout=10.0) as client:
            await held(server)
            changes = Recorder(client.state_changes)
            server.faults.refuse_connect("500::busy", {"reconnect": "retry"}, count=2)
            server.faults.drop_link()
            await changes.until(lambda: changes.items[-1].resumed)
        assert len(requests(server, "/meta/handshake")) == 1
    assert "the default delays are used instead" in caplog.text


async def test_credentials_that_cannot_be_had_say_why() -> None:
    async with BayeuxServer() as server:
        server.faults.refuse_handshake("401::expired")
        with pytest.raises(AuthenticationError, match="the vault is closed"):
            await client_of(server, LONG_POLLING, auth=Locked()).open()
