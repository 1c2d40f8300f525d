"""What a response asks to wait."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from multidict import CIMultiDict

from rx_cometd import TransportError
from rx_cometd._transports import LongPollingTransport, WebSocketTransport
from rx_cometd._transports.retry_after import retry_after

from .echo import http_session, options, serving

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import aiohttp

pytestmark = pytest.mark.usefixtures("nothing_left")

#: Of the server, whose clock is wrong.
NOW = datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC)


def http_date(seconds: float, now: datetime = NOW) -> str:
    return format_datetime(now + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("1.5", 1.5),
        ("-3", 0.0),
        (http_date(90), 90.0),
        (http_date(-90), 0.0),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("1e999", None),
        ("Mon, 99 Foo 2001 00:00:00 GMT", None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_what_is_asked(status: int, told: str, seconds: float | None) -> None:
    headers = CIMultiDict({"retry-after": told, "date": http_date(0)})
    assert retry_after(status, headers) == seconds


def test_a_date_counts_from_now_where_the_server_does_not_tell_its_own() -> None:
    headers = {"Retry-After": http_date(90, datetime.now(UTC))}
    assert 80 < (retry_after(503, headers) or 0) <= 90


@pytest.mark.parametrize("status", [200, 301, 401, 404, 500, 502])
def test_other_statuses_do_not_ask(status: int) -> None:
    assert retry_after(status, {"Retry-After": "3"}) is None
    assert retry_after(503, None) is None
    assert retry_after(503, {}) is None


async def long_polling(http: aiohttp.ClientSession, url: str) -> None:
    await LongPollingTransport(http, options(url)).exchange("[]", {}, 30.0)


async def websocket(http: aiohttp.ClientSession, url: str) -> None:
    await WebSocketTransport(http, options(url)).open({}, 30.0)


@pytest.mark.parametrize("ask", [long_polling, websocket])
@pytest.mark.parametrize("status", [429, 503])
async def test_an_error_tells_it(
    ask: Callable[[aiohttp.ClientSession, str], Awaitable[None]], status: int
) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Retry-After": "7"})

    async with serving(refuse) as url, http_session() as http:
        with pytest.raises(TransportError) as caught:
            await ask(http, url)
    assert (caught.value.http_status, caught.value.retry_after) == (status, 7.0)
