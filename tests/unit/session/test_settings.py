"""Settings: what is checked, and what is asked anew."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from yarl import URL

from rx_cometd import Client, ClientError, ConnectionType
from rx_cometd._session.settings import checked_url, connection_preferences, provided
from tests.integration.client_driver import settings_of

if TYPE_CHECKING:
    from collections.abc import Mapping

W, L = ConnectionType.WEBSOCKET, ConnectionType.LONG_POLLING


@pytest.mark.parametrize(
    ("given", "preferences"),
    [
        (None, (W, L)),
        (W, (W,)),
        ("long-polling", (L,)),
        ([L, W], (L, W)),
        (("websocket", L, W), (W, L)),
    ],
)
def test_connection_preferences(given: Any, preferences: tuple[ConnectionType, ...]) -> None:
    assert connection_preferences(given) == preferences


@pytest.mark.parametrize("given", [[], "", "callback-polling", [W, "x"], [None]])
def test_no_connection_preferences(given: Any) -> None:
    with pytest.raises(ClientError):
        connection_preferences(given)


@pytest.mark.parametrize("scheme", ["http", "https", "ws", "wss"])
def test_addresses(scheme: str) -> None:
    address = f"{scheme}://[::1]:80/cometd?x=1"
    assert checked_url(address) == checked_url(URL(address)) == URL(address)


@pytest.mark.parametrize("address", ["", "/cometd", "mailto:x@y", "http://", 7, None])
def test_no_addresses(address: Any) -> None:
    with pytest.raises(ClientError):
        checked_url(address)


async def test_providers() -> None:
    async def coroutine() -> Mapping[str, Any]:
        return {"a": 2}

    async def hanging() -> Mapping[str, Any]:
        await asyncio.sleep(60)
        return {}

    async def impatient() -> Mapping[str, Any]:
        raise TimeoutError("mine")

    assert await provided(None, "headers", 1.0) == {}
    assert await provided({"a": 1}, "headers", 1.0) == {"a": 1}
    assert await provided(lambda: {"a": 3}, "headers", 1.0) == {"a": 3}
    assert await provided(coroutine, "headers", 1.0) == {"a": 2}
    with pytest.raises(ClientError, match="within"):
        await provided(hanging, "headers", 0.01)
    with pytest.raises(TimeoutError, match="mine"):
        await provided(impatient, "headers", 1.0)


def test_the_patience_is_half_of_the_connection_timeout() -> None:
    def timeout(connection_timeout: float | None) -> float:
        client = Client("http://h/", connection_timeout=connection_timeout, max_network_delay=3.0)
        return settings_of(client).resume_timeout

    assert timeout(8.0) == 4.0
    assert timeout(None) == 3.0


@pytest.mark.parametrize("given", [None, 3, "x", [("a", 1)]])
async def test_a_provider_that_gives_no_mapping(given: Any) -> None:
    async def coroutine() -> Any:
        return given

    for provider in (lambda: given, coroutine):
        with pytest.raises(ClientError, match=f"a mapping, not a {type(given).__name__}"):
            await provided(provider, "headers", 1.0)


def test_what_is_no_connection_type_is_said() -> None:
    given: Any = 5
    with pytest.raises(TypeError, match="connection_types must be"):
        connection_preferences(given)


async def _cancelled() -> Mapping[str, Any]:
    await asyncio.sleep(0)
    raise asyncio.CancelledError


def _cancelled_at_once() -> Mapping[str, Any]:
    raise asyncio.CancelledError


@pytest.mark.parametrize("provider", [_cancelled, _cancelled_at_once])
async def test_a_cancellation_that_a_provider_met_is_its_failure(provider: Any) -> None:
    with pytest.raises(ClientError, match="`headers` raised CancelledError") as caught:
        await provided(provider, "headers", 1.0)
    assert isinstance(caught.value.__cause__, asyncio.CancelledError)


async def test_who_asks_a_provider_can_be_cancelled() -> None:
    async def hanging() -> Mapping[str, Any]:
        await asyncio.sleep(60)
        return {}

    asking = asyncio.ensure_future(provided(hanging, "headers", 60.0))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        ({"X-Number": 7}, "the header 'X-Number' must be a str, not int"),
        (
            {"Authorization": b"Bearer s3cr3t"},
            "the header 'Authorization' must be a str, not bytes",
        ),
        ({7: "x"}, "the name of a header must be a str, not 7"),
    ],
)
def test_headers_are_texts(headers: Any, text: str) -> None:
    with pytest.raises(TypeError) as caught:
        Client("http://h/", headers=headers)
    assert str(caught.value) == text
