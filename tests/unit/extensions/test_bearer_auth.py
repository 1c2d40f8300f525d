from __future__ import annotations

import asyncio
import logging
import re
import time
from typing import Any

import pytest

from rx_cometd.exceptions import ExtensionError
from rx_cometd.extension import AuthExtension
from rx_cometd.extensions.bearer_auth import BearerAuth, BearerToken, bearer_auth
from tests.unit.extensions.composed import Composed


class Provider:
    """A token service: counts its tokens, answers when told to."""

    def __init__(self, *, lifetime: float | None = None) -> None:
        self.lifetime = lifetime
        self.asked = 0
        self.ready = asyncio.Event()
        self.ready.set()
        self.error: Exception | None = None

    async def __call__(self) -> tuple[str, float | None]:
        self.asked += 1
        token = f"t{self.asked}"
        await self.ready.wait()
        if self.error is not None:
            raise self.error
        return token, self.lifetime


class Clock:
    def __init__(self) -> None:
        self.now = 100.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    return clock


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def authorizations(session: Composed) -> list[str]:
    return [payload.headers["Authorization"] for payload in session.sent]


async def test_asks_at_the_first_request_and_signs_each() -> None:
    provider = Provider()
    auth = bearer_auth(provider)
    assert isinstance(auth, AuthExtension)
    session = Composed(auth)
    assert provider.asked == 0
    session.send({"channel": "/meta/handshake"})
    await turns()
    session.send({"channel": "/meta/connect"})
    # The token is known now: nothing is awaited.
    assert authorizations(session) == ["Bearer t1", "Bearer t1"]
    assert provider.asked == 1


async def test_replaces_an_authorization_of_the_users() -> None:
    session = Composed(bearer_auth(lambda: "t"))
    session.send({"channel": "/a"}, headers={"authorization": "Basic x"})
    await turns()
    assert dict(session.sent[0].headers) == {"Authorization": "Bearer t"}


async def test_requests_wait_for_the_token_in_order() -> None:
    provider = Provider()
    provider.ready.clear()
    session = Composed(bearer_auth(provider))
    payloads = [session.send({"channel": f"/{number}"}) for number in range(3)]
    await turns()
    assert session.sent == []
    provider.ready.set()
    await turns()
    assert session.sent == payloads
    assert provider.asked == 1


@pytest.mark.parametrize("given", ["t", "t\n", ("t", None), ("t", 60), BearerToken("t", 60.0)])
async def test_forms_of_a_token(given: Any) -> None:
    session = Composed(bearer_auth(lambda: given))
    session.send({"channel": "/a"})
    await turns()
    assert authorizations(session) == ["Bearer t"]


@pytest.mark.parametrize("given", [None, 5, ("t",), ("t", "60"), (None, 60), b"t", {"t": 1}])
async def test_what_is_no_token_fails_the_request(given: Any) -> None:
    session = Composed(bearer_auth(lambda: given))
    session.send({"channel": "/a"})
    await turns()
    assert session.sent == []
    [error] = session.errors
    assert isinstance(error, TypeError)
    assert "60" not in str(error)


async def test_an_empty_token_fails_the_request() -> None:
    session = Composed(bearer_auth(lambda: " "))
    session.send({"channel": "/a"})
    await turns()
    assert [type(error) for error in session.errors] == [ValueError]


async def test_renews_ahead_of_the_expiry(clock: Clock) -> None:
    provider = Provider(lifetime=3600)
    session = Composed(bearer_auth(provider))
    for now in (100, 100 + 3569, 100 + 3570):
        clock.now = now
        session.send({"channel": "/meta/connect"})
        await turns()
    assert authorizations(session) == ["Bearer t1", "Bearer t1", "Bearer t2"]


async def test_a_short_lived_token_is_renewed_in_its_last_tenth(clock: Clock) -> None:
    provider = Provider(lifetime=60)
    session = Composed(bearer_auth(provider))
    for now in (100, 153, 154):
        clock.now = now
        session.send({"channel": "/meta/connect"})
        await turns()
    assert authorizations(session) == ["Bearer t1", "Bearer t1", "Bearer t2"]


async def test_a_token_without_lifetime_is_kept(clock: Clock) -> None:
    provider = Provider()
    session = Composed(bearer_auth(provider))
    session.send({"channel": "/a"})
    await turns()
    clock.now = 1e9
    session.send({"channel": "/a"})
    assert authorizations(session) == ["Bearer t1", "Bearer t1"]


async def test_the_old_token_serves_while_it_is_good(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    provider = Provider(lifetime=100)
    session = Composed(bearer_auth(provider))
    session.send({"channel": "/a"})
    await turns()
    provider.error = OSError("the token service is down")
    clock.now += 95
    with caplog.at_level(logging.WARNING, "rx_cometd"):
        session.send({"channel": "/a"})
        await turns()
    assert authorizations(session) == ["Bearer t1", "Bearer t1"]
    assert "the token was not renewed" in caplog.text
    # As a word: the traceback names files, and a directory may be called "out15".
    assert re.search(r"\bt1\b", caplog.text) is None
    clock.now += 5
    session.send({"channel": "/a"})
    await turns()
    assert session.errors == [provider.error]


async def test_authenticate_gets_a_new_token() -> None:
    provider = Provider()
    auth = bearer_auth(provider)
    session = Composed(auth)
    session.send({"channel": "/a"})
    await turns()
    await auth.authenticate()
    session.send({"channel": "/a"})
    assert authorizations(session) == ["Bearer t1", "Bearer t2"]


async def test_authenticate_raises_what_the_provider_raised_and_the_next_request_asks_again() -> (
    None
):
    provider = Provider()
    auth = bearer_auth(provider)
    provider.error = OSError("down")
    with pytest.raises(OSError, match="down"):
        await auth.authenticate()
    provider.error = None
    session = Composed(auth)
    session.send({"channel": "/a"})
    await turns()
    assert authorizations(session) == ["Bearer t2"]


async def test_clients_that_share_it_ask_once() -> None:
    provider = Provider()
    provider.ready.clear()
    auth = bearer_auth(provider)
    one, two = Composed(auth), Composed(auth)
    one.send({"channel": "/a"})
    two.send({"channel": "/a"})
    renewal = asyncio.create_task(auth.authenticate())
    await turns()
    provider.ready.set()
    await renewal
    await turns()
    assert authorizations(one) == authorizations(two) == ["Bearer t1"]
    assert provider.asked == 1


async def test_a_client_that_leaves_does_not_fail_the_others() -> None:
    provider = Provider()
    provider.ready.clear()
    auth = bearer_auth(provider)
    one, two = Composed(auth), Composed(auth)
    one.send({"channel": "/a"})
    two.send({"channel": "/a"})
    await turns()
    one.dispose()
    await turns()
    provider.ready.set()
    await turns()
    assert one.sent == []
    assert authorizations(two) == ["Bearer t1"]


async def test_the_last_client_to_leave_takes_the_question_down() -> None:
    provider = Provider()
    provider.ready.clear()
    auth = bearer_auth(provider)
    session = Composed(auth)
    session.send({"channel": "/a"})
    await turns()
    assert len(asyncio.all_tasks()) == 3
    session.dispose()
    await turns()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    provider.ready.set()
    again = Composed(auth)
    again.send({"channel": "/a"})
    await turns()
    assert authorizations(again) == ["Bearer t2"]


async def test_one_who_comes_while_the_question_is_taken_down_asks_anew() -> None:
    provider = Provider()
    provider.ready.clear()
    auth = bearer_auth(provider)
    first = asyncio.create_task(auth.authenticate())
    await turns()
    first.cancel()
    await asyncio.sleep(0)  # the question is being cancelled, and not yet gone
    second = asyncio.create_task(auth.authenticate())
    await turns()
    provider.ready.set()
    await second
    assert first.cancelled()
    assert provider.asked == 2


async def test_a_provider_that_is_cancelled_is_an_error_not_a_cancellation() -> None:
    async def provider() -> str:
        raise asyncio.CancelledError

    with pytest.raises(ExtensionError, match="the token provider was cancelled"):
        await bearer_auth(provider).authenticate()


def test_it_outlives_its_event_loop() -> None:
    async def ask(auth: BearerAuth) -> list[str]:
        session = Composed(auth)
        session.send({"channel": "/a"})
        await turns()
        return authorizations(session)

    async def abandon(auth: BearerAuth) -> None:
        task = asyncio.create_task(auth.authenticate())
        await asyncio.sleep(0)
        task.cancel()

    release: list[str] = []

    async def provider() -> str:
        if not release:
            await asyncio.Event().wait()
        return "t"

    auth = bearer_auth(provider)
    asyncio.run(abandon(auth))
    release.append("now")
    assert asyncio.run(ask(auth)) == ["Bearer t"]


def test_shows_no_token() -> None:
    assert repr(BearerToken("6e3b", 60)) == "BearerToken(token='***', expires_in=60)"
    assert repr(bearer_auth(lambda: "6e3b")) == "<BearerAuth>"
