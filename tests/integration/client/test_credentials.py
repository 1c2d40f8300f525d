"""Credentials stay where they belong: in no log, no repr, no error, whatever goes wrong.

They are in the address, the headers, the cookies of user and server, and the handshake's ``ext``.
What comes of each fault is searched for them, tracebacks and causes included.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import traceback
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from rx_cometd import Client, ConnectionType, TransportError
from rx_cometd.extensions import bearer_auth, log_payloads
from rx_cometd.testing import BayeuxServer, FaultProxy
from tests.integration.client_driver import BOTH, Recorder, client_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

pytestmark = pytest.mark.usefixtures("nothing_left")

#: One for each place, told apart by what follows; none of it is in the code that a traceback shows.
WORD = "swordfish"
PLACES = {
    place: f"{WORD}-{place}"
    for place in ("user", "password", "query", "header", "cookie", "jar", "bearer", "ext", "sent")
}


async def do_nothing(proxy: FaultProxy) -> None:
    pass


async def reset(proxy: FaultProxy) -> None:
    proxy.cut()


async def end(proxy: FaultProxy) -> None:
    proxy.cut(reset=False)


async def refuse(proxy: FaultProxy) -> None:
    await proxy.refuse()


async def stall(proxy: FaultProxy) -> None:
    proxy.cut()
    proxy.stall()


async def truncate(proxy: FaultProxy) -> None:
    proxy.replies.truncate(20)


async def redirect_elsewhere(proxy: FaultProxy) -> None:
    proxy.redirect("http://localhost:9/cometd")
    proxy.cut()


async def redirect_in_a_circle(proxy: FaultProxy) -> None:
    proxy.redirect(f"{proxy.url}?again=1")
    proxy.cut()


async def strip_upgrade(proxy: FaultProxy) -> None:
    proxy.strip_upgrade()
    proxy.cut()


def respond(status: int) -> Callable[[FaultProxy], Awaitable[None]]:
    async def fault(proxy: FaultProxy) -> None:
        proxy.respond(status, count=None)
        proxy.cut()

    return fault


FAULTS: dict[str, Callable[[FaultProxy], Awaitable[None]]] = {
    "none": do_nothing,
    "reset": reset,
    "FIN": end,
    "refused": refuse,
    "silent": stall,
    "truncated": truncate,
    "HTTP 401": respond(401),
    "HTTP 407": respond(407),
    "HTTP 500": respond(500),
    "no JSON": respond(200),
    "redirect elsewhere": redirect_elsewhere,
    "redirect in a circle": redirect_in_a_circle,
    "no upgrade": strip_upgrade,
}


def told(error: BaseException) -> str:
    """Give all that an error says, its causes and tracebacks included."""
    return "".join(traceback.format_exception(error)) + repr(error) + repr(error.__dict__)


def client_with_secrets(
    address: str, kind: ConnectionType, http: aiohttp.ClientSession, *, bearer: bool
) -> Client:
    """Make a client that logs in with a token, or with name and password in the address."""
    url = URL(address).update_query(token=PLACES["query"])
    if not bearer:
        url = url.with_user(PLACES["user"]).with_password(PLACES["password"])
    return client_of(
        str(url),
        kind,
        headers={"X-Api-Key": PLACES["header"], "Cookie": f"own={PLACES['cookie']}"},
        handshake_fields={"ext": {"authentication": {"token": PLACES["ext"]}}},
        extensions=[log_payloads()],
        auth=bearer_auth(lambda: PLACES["bearer"]) if bearer else None,
        http_session=http,
        connection_timeout=0.4,
        max_network_delay=0.2,
    )


async def live(client: Client, disturb: Callable[[], Awaitable[None]] | None = None) -> str:
    """Open, be disturbed, try everything; give all that the client said of it."""
    said: list[str] = []
    observer, states = Recorder(client.channel("/a")), Recorder(client.state_changes)
    with contextlib.suppress(Exception):
        await client.open()
    if disturb is not None:
        await disturb()
    outcomes = await asyncio.gather(
        client.publish("/a", {"password": PLACES["sent"]}),
        client.publish("/a", {"x": 1}),
        client.call("/service/x", 1, timeout=0.2),
        client.subscribe("/b"),
        return_exceptions=True,
    )
    said.append(repr(client) + repr(client.statistics()))
    await client.close()
    said += [told(outcome) for outcome in outcomes if isinstance(outcome, BaseException)]
    said += [repr(change) for change in states.items]
    said += [told(change.error) for change in states.items if change.error is not None]
    said += [told(observer.error)] if observer.error is not None else []
    return "\n".join(said)


@BOTH
@pytest.mark.parametrize("fault", FAULTS)
async def test_no_credential_is_told(
    kind: ConnectionType, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    jar = aiohttp.CookieJar(unsafe=True)
    async with (
        BayeuxServer(timeout=0.1) as server,
        FaultProxy(server.url) as proxy,
        aiohttp.ClientSession(cookie_jar=jar) as http,
    ):
        jar.update_cookies({"session": PLACES["jar"]}, URL(proxy.url))
        client = client_with_secrets(proxy.url, kind, http, bearer=True)
        text = await live(client, lambda: FAULTS[fault](proxy))
        travelled = b"".join(map(bytes, proxy.requested)).decode(errors="replace")
    text += caplog.text
    assert PLACES["header"] in travelled, "the secrets were not even used"
    assert PLACES["query"] in travelled
    assert "/meta/handshake" in text
    found = [place for place, secret in PLACES.items() if secret in text]
    assert not found, [line for line in text.splitlines() if WORD in line][:5]


@BOTH
async def test_no_credential_is_told_where_nobody_answers(
    kind: ConnectionType, caplog: pytest.LogCaptureFixture
) -> None:
    """What is at the other end is no Bayeux server, speaks no TLS, or is not there."""
    caplog.set_level(logging.DEBUG)

    async def nothing(request: web.Request) -> web.Response:
        return web.Response(status=404, text=str(request.url))

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", nothing)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    text = ""
    async with aiohttp.ClientSession() as http:
        for address in (
            f"http://127.0.0.1:{port}/nothing",
            f"https://127.0.0.1:{port}/no-tls",
            "http://127.0.0.1:9/refused",
        ):
            text += await live(client_with_secrets(address, kind, http, bearer=False))
    await runner.cleanup()
    text += caplog.text
    assert "404" in text
    assert not [line for line in text.splitlines() if WORD in line]


def test_the_repr_of_a_client_shows_no_credential() -> None:
    url = f"https://{PLACES['user']}:{PLACES['password']}@example.com/cometd?t={PLACES['query']}"
    assert WORD not in repr(Client(url, headers={"X-Api-Key": PLACES["header"]}))


def test_an_address_that_is_refused_shows_no_credential() -> None:
    for url in (
        f"ftp://{PLACES['user']}:{PLACES['password']}@example.com/?t={PLACES['query']}",
        f"/cometd?t={PLACES['query']}",
    ):
        with pytest.raises(Exception, match=r"\w") as caught:
            Client(url)
        assert WORD not in told(caught.value)


def bearing(place: str, http: aiohttp.ClientSession) -> dict[str, Any]:
    """Give the arguments of a client with a bearer token in a place."""
    token = f"Bearer {PLACES['bearer']}"
    if place == "headers":
        return {"headers": {"authorization": token}}
    if place == "extension":
        return {"extensions": [bearer_auth(lambda: PLACES["bearer"])]}
    http.headers["Authorization"] = token
    return {}


@BOTH
@pytest.mark.parametrize("place", ["headers", "extension", "session"])
async def test_two_credentials_for_one_request_are_told_at_once(
    kind: ConnectionType, place: str
) -> None:
    """No waiting makes one of them, so the opening fails at once, and names neither."""
    async with BayeuxServer() as server, aiohttp.ClientSession() as http:
        url = URL(server.url).with_user(PLACES["user"]).with_password(PLACES["password"])
        client = client_of(
            str(url), kind, http_session=http, connection_timeout=60, **bearing(place, http)
        )
        async with asyncio.timeout(30):
            with pytest.raises(TransportError, match=r"two credentials for 127\.0\.0\.1") as caught:
                await client.open()
        assert caught.value.final
        assert WORD not in "".join(traceback.format_exception(caught.value))
        assert not server.received
