"""What a client logs of its life: one line for each change of the state, without secrets."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from rx_cometd.testing import BayeuxServer
from tests.integration.client_driver import BOTH, Recorder, client_of

if TYPE_CHECKING:
    from rx_cometd import ConnectionType

pytestmark = pytest.mark.usefixtures("nothing_left")


@BOTH
async def test_each_change_of_the_state_is_one_line(
    kind: ConnectionType, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "rx_cometd")
    async with BayeuxServer() as server:
        client = client_of(server, kind)
        changes = Recorder(client.state_changes)
        async with client:
            first = client.client_id
            server.faults.forget()
            await changes.until(lambda: client.client_id not in {first, None})
            await changes.until(lambda: client.statistics().reconnects)
            second = client.client_id
    lines = [record for record in caplog.records if getattr(record, "event", "") == "state_changed"]
    states = [change.state.value for change in changes.items[1:]]
    assert [vars(line)["state"] for line in lines] == states
    assert {line.levelno for line in lines} == {logging.INFO}
    assert {vars(line)["server_port"] for line in lines} == {client.url.port}
    connected = [vars(line) for line in lines if vars(line)["state"] == "connected"]
    assert [line["resumed"] for line in connected] == [False, False]
    assert {line["connection_type"] for line in connected} == {kind.value}
    assert lines[0].getMessage() == f"127.0.0.1:{client.url.port} handshaking"
    assert all("()" not in line.getMessage() for line in lines)
    assert first
    assert second
    for record in caplog.records:
        assert first not in str(vars(record))
        assert second not in str(vars(record))


@BOTH
async def test_credentials_of_the_address_are_not_logged(
    kind: ConnectionType, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "rx_cometd")
    async with BayeuxServer() as server:
        url = server.url.replace("://", "://user:hidden-password@") + "?token=hidden-token"
        async with client_of(url, kind) as client:
            await client.publish("/a", 1)
    assert caplog.records
    assert "hidden" not in str([(vars(r), r.getMessage()) for r in caplog.records])
