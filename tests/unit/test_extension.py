"""Payloads and extensions by themselves; through the client: `tests/integration/extensions`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from multidict import CIMultiDict
from reactivex import Subject
from reactivex import operators as ops

from rx_cometd import AuthExtension, Extension, Payload
from rx_cometd.extension import Operators

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from rx_cometd import Message


def payload_of(*messages: Any, headers: MutableMapping[str, str] | None = None) -> Payload:
    return Payload(list(messages), headers)


def looked_at(_: Payload) -> None: ...


def test_a_payload_shows_channels_and_nothing_else() -> None:
    payload = payload_of({"channel": "/a", "data": "secret"}, {"ext": {"token": "secret"}})
    assert repr(payload) == "<Payload of 2: /a, None>"
    many = payload_of(*({"channel": f"/{n}"} for n in range(7)))
    assert repr(many) == "<Payload of 7: /0, /1, /2, /3, /4, ...>"


def test_headers_are_there_and_know_no_case() -> None:
    payload = payload_of()
    assert not payload.headers
    payload.headers["x-a"] = "1"
    assert payload.headers["X-A"] == "1"
    given = CIMultiDict({"a": "1"})
    assert payload_of(headers=given).headers is given
    other = {"b": "2"}
    payload.headers = other
    assert payload.headers is other


def test_callbacks_of_delivery() -> None:
    payload, called = payload_of(), list[int]()
    payload.delivered()
    payload.on_delivered(lambda: called.append(1))
    payload.on_delivered(lambda: called.append(2))
    payload.delivered()
    assert called == [1, 2]


def test_callbacks_of_processing_belong_to_their_message() -> None:
    first: Any = {"channel": "/a"}
    second: Any = {"channel": "/a"}
    payload, called = payload_of(first, second), list[int]()
    assert not payload.processed_callbacks()
    payload.on_processed(first, lambda: called.append(1))
    payload.on_processed(second, lambda: called.append(2))
    payload.on_processed(second, lambda: called.append(3))
    for callback in payload.processed_callbacks()[id(second)]:
        callback()
    assert called == [2, 3]


def test_replies_to_be_sent_again() -> None:
    payload = payload_of()
    assert not payload.retries
    payload.retry({"id": "7"})
    payload.retry({"id": "8"})
    payload.retry({"channel": "/meta/subscribe"})  # nobody knows what to send again
    assert payload.retries == {"7", "8"}


def test_operators_are_those_given() -> None:
    inbound, outbound = ops.do_action(looked_at), ops.do_action(looked_at)
    assert Extension.of(inbound, outbound).operators() == (inbound, outbound)
    assert Extension.of().operators() == Operators(None, None)


@pytest.mark.parametrize("way", ["inbound", "outbound"])
def test_a_coroutine_function_is_no_operator(way: str) -> None:
    async def act(payload: Payload) -> Payload:
        return payload

    operator: Any = act
    with pytest.raises(TypeError, match="coroutine function"):
        Extension.of(**{way: operator})


@pytest.mark.parametrize("way", ["inbound", "outbound"])
def test_what_cannot_be_called_is_no_operator(way: str) -> None:
    operator: Any = 5
    with pytest.raises(TypeError, match=f"{way} cannot be 5"):
        Extension.of(**{way: operator})


def test_a_class_has_operators_for_what_is_written() -> None:
    class Incoming(Extension):
        async def incoming(
            self, payload: list[Message], headers: MutableMapping[str, str] | None = None
        ) -> None: ...

    class Outgoing(Extension):
        async def outgoing(
            self, payload: list[Message], headers: MutableMapping[str, str]
        ) -> None: ...

    assert [o is not None for o in Incoming().operators()] == [True, False]
    assert [o is not None for o in Outgoing().operators()] == [False, True]
    assert Extension().operators() == AuthExtension().operators() == (None, None)


async def test_the_methods_that_are_not_written_do_nothing() -> None:
    extension = AuthExtension()
    messages: list[Message] = [{"channel": "/a"}]
    headers: MutableMapping[str, str] = {}
    await extension.incoming(messages)
    await extension.outgoing(messages, headers)
    await extension.authenticate()
    await extension.finish()
    assert messages == [{"channel": "/a"}]
    assert headers == {}


@pytest.mark.parametrize("way", ["inbound", "outbound"])
async def test_a_payload_that_failed_passes_the_classes_that_follow(way: str) -> None:
    called: list[str] = []

    class Look(Extension):
        async def incoming(
            self, payload: list[Message], headers: MutableMapping[str, str] | None = None
        ) -> None:
            called.append("in")

        async def outgoing(self, payload: list[Message], headers: MutableMapping[str, str]) -> None:
            called.append("out")

    operator = getattr(Look().operators(), way)
    source, out = Subject[Payload](), list[Payload]()
    both = asyncio.Event()

    def on_next(payload: Payload) -> None:
        out.append(payload)
        if len(out) == 2:
            both.set()

    subscription = operator(source).subscribe(on_next)
    failed, fine = payload_of({"channel": "/a"}), payload_of({"channel": "/b"})
    failed.failure = ValueError("before")
    source.on_next(failed)
    source.on_next(fine)
    async with asyncio.timeout(30):
        await both.wait()
    assert out == [failed, fine]
    assert len(called) == 1
    assert isinstance(failed.failure, ValueError)
    subscription.dispose()
