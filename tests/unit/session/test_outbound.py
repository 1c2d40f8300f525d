"""What becomes of payloads to send: ids stay the client's, whatever an extension does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from multidict import CIMultiDict
from reactivex import operators as ops
from reactivex.scheduler.eventloop import AsyncIOScheduler

from rx_cometd import ExtensionError, Payload
from rx_cometd._session.outbound import Outbound

if TYPE_CHECKING:
    from collections.abc import Callable

    from reactivex import Observable

    from rx_cometd.extension import PayloadOperator

pytestmark = pytest.mark.usefixtures("nothing_left")


def outbound(*operators: PayloadOperator) -> Outbound:
    return Outbound(operators, 5.0, AsyncIOScheduler(asyncio.get_running_loop()))


def doing(action: Callable[[list[Any]], object]) -> PayloadOperator:
    """An operator that does something with the messages."""

    def act(payload: Payload) -> None:
        action(payload.messages)

    return ops.do_action(act)


def numbered(*ids: str) -> list[Any]:
    return [{"channel": "/a", "data": number, "id": number} for number in ids]


async def send(
    pipeline: Outbound, messages: list[Any]
) -> tuple[list[Any], dict[str, str], tuple[str, ...]]:
    try:
        sent, headers, dropped = await pipeline.send(messages, CIMultiDict())
        return sent, dict(headers), dropped
    finally:
        pipeline.dispose()


async def test_what_extensions_change_is_sent() -> None:
    def sign(payload: Payload) -> None:
        payload.headers["X-Signed"] = "yes"
        payload.messages[0]["ext"] = {"signed": True}

    sent, headers, dropped = await send(outbound(ops.do_action(sign)), numbered("1", "2"))
    assert [m.get("ext") for m in sent] == [{"signed": True}, None]
    assert (headers, dropped) == ({"X-Signed": "yes"}, ())


async def test_ids_belong_to_the_client() -> None:
    def spoil(messages: list[Any]) -> None:
        messages[0]["id"] = "mine"
        del messages[1]["id"]

    sent, _, dropped = await send(outbound(doing(spoil)), numbered("1", "2"))
    assert [m["id"] for m in sent] == ["1", "2"]
    assert dropped == ()


async def test_messages_of_extensions_get_ids_that_no_request_has() -> None:
    def add(messages: list[Any]) -> None:
        messages += [{"channel": "/b"}, {"channel": "/b", "id": "12"}, {"channel": "/b", "id": "x"}]

    sent, _, _ = await send(outbound(doing(add)), numbered("1"))
    ids = [m["id"] for m in sent]
    assert ids[0] == "1"
    assert ids[3] == "x"
    assert len(set(ids)) == 4
    assert not any(given.isdecimal() for given in ids[1:])


async def test_what_is_dropped_is_told() -> None:
    sent, _, dropped = await send(outbound(doing(lambda m: m.pop(0))), numbered("1", "2"))
    assert [m["id"] for m in sent] == ["2"]
    assert dropped == ("1",)


async def test_the_users_own_ext_is_left_as_it_is() -> None:
    mine = {"given": True}
    messages: list[Any] = [{"channel": "/a", "id": "1", "ext": mine}]
    sent, _, _ = await send(outbound(doing(lambda m: m[0]["ext"].update(more=1))), messages)
    assert sent[0]["ext"] == {"given": True, "more": 1}
    assert mine == {"given": True}


def drop_all(payload: Payload) -> bool:
    return not payload.messages


FAILING: dict[str, Callable[[], PayloadOperator]] = {
    "raises": lambda: doing(lambda m: m[5]),
    "drops the payload": lambda: ops.filter(drop_all),
    "makes what is no message": lambda: doing(lambda m: m.append("text")),
}


@pytest.mark.parametrize("fault", FAILING)
async def test_an_extension_that_fails_is_told_to_who_sends(fault: str) -> None:
    with pytest.raises(ExtensionError):
        await send(outbound(FAILING[fault]()), numbered("1"))


async def test_payloads_that_are_merged_are_told_apart_again() -> None:
    def together(payloads: list[Payload]) -> Payload:
        return Payload([message for payload in payloads for message in payload.messages])

    def merged(source: Observable[Payload]) -> Observable[Payload]:
        return source.pipe(ops.buffer_with_count(2), ops.map(together))

    pipeline = outbound(merged)
    first = asyncio.create_task(pipeline.send(numbered("1", "2"), CIMultiDict()))
    second = asyncio.create_task(pipeline.send(numbered("3"), CIMultiDict()))
    sent = [[m.get("id") for m in (await task)[0]] for task in (first, second)]
    pipeline.dispose()
    assert sent == [["1", "2"], ["3"]]
