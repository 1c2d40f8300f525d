"""A pipeline by itself: what comes out of it, for whom, and what does not."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import pytest
import reactivex as rx
from reactivex import Observable
from reactivex import operators as ops
from reactivex.scheduler.eventloop import AsyncIOScheduler

from rx_cometd import ExtensionError, Payload
from rx_cometd._session.pipeline import Pipeline

if TYPE_CHECKING:
    from collections.abc import Callable

    from rx_cometd import Message
    from rx_cometd.extension import PayloadOperator

pytestmark = pytest.mark.usefixtures("nothing_left")


class Line:
    """A pipeline, and what became of the payloads: ``(owner, ids, replies)``."""

    def __init__(self, *operators: PayloadOperator, timeout: float = 5.0) -> None:
        self.passed: list[tuple[str | None, list[str], tuple[str, ...]]] = []
        self.lost: list[tuple[str | None, list[str] | None, tuple[str, ...]]] = []
        self.errors: list[ExtensionError] = []
        self.payloads: list[Payload] = []
        self.given: list[Payload | None] = []
        self._told = asyncio.Event()
        self.pipeline: Pipeline[str] = Pipeline(
            operators,
            self,
            timeout,
            AsyncIOScheduler(asyncio.get_running_loop()),
        )

    def emitted(self, owners: tuple[str, ...], payload: Payload, missing: tuple[str, ...]) -> None:
        self.payloads.append(payload)
        payload.delivered()
        for message in payload.messages:
            for callback in payload.processed_callbacks().get(id(message), ()):
                callback()
        self.passed.append((" ".join(owners) or None, _ids(payload), missing))
        self._told.set()

    def failed(
        self,
        owners: tuple[str, ...],
        payload: Payload | None,
        replies: tuple[str, ...],
        error: ExtensionError,
    ) -> None:
        self.given.append(payload)
        self.lost.append(
            (" ".join(owners) or None, None if payload is None else _ids(payload), replies)
        )
        self.errors.append(error)
        self._told.set()

    def push(self, owner: str | None, *ids: str, replies: tuple[str, ...] = ()) -> None:
        self.pipeline.push(messages_of(*ids), None, owner, replies)

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(30):
            while not condition():
                self._told.clear()
                await self._told.wait()


def _ids(payload: Payload) -> list[str]:
    return [str(m.get("id")) for m in payload.messages]


def messages_of(*ids: str) -> list[Message]:
    return [{"id": i, "channel": "/a"} for i in ids]


def fail(_: object) -> Any:
    raise LookupError("mine")


def no_payloads(source: Observable[Payload]) -> Any:
    """Emit what is no payload."""
    return source.pipe(ops.map(_ids))


def delayed(seconds: float) -> PayloadOperator:
    return ops.delay(seconds)


async def test_without_operators_all_passes_at_once() -> None:
    line = Line()
    line.push("x", "1", "2", replies=("1",))
    line.push(None, "3")
    assert line.passed == [("x", ["1", "2"], ()), (None, ["3"], ())]
    line.pipeline.dispose()


async def test_operators_run_in_their_order() -> None:
    def mark(text: str) -> PayloadOperator:
        def add(payload: Payload) -> None:
            payload.headers["X"] = payload.headers.get("X", "") + text

        return ops.do_action(add)

    line = Line(mark("a"), mark("b"), mark("c"))
    line.push("x", "1")
    assert line.payloads[0].headers["X"] == "abc"


async def test_a_new_payload_has_the_owner_of_the_one_it_was_made_of() -> None:
    line = Line(ops.map(lambda p: Payload(list(reversed(p.messages)))))
    line.push("x", "1", "2")
    line.push("y", "3")
    assert line.passed == [("x", ["2", "1"], ()), ("y", ["3"], ())]


async def test_replies_that_are_missing_are_told() -> None:
    def drop_last(payload: Payload) -> None:
        payload.messages.pop()

    line = Line(ops.do_action(drop_last))
    line.push("x", "1", "2", replies=("1", "2"))
    assert line.passed == [("x", ["1"], ("2",))]


async def test_what_comes_out_later_keeps_its_owner_and_the_order() -> None:
    line = Line(delayed(0.005))
    for name in "abc":
        line.push(name, name)
    assert line.passed == []
    assert not line.pipeline.holds("a")
    await line.until(lambda: len(line.passed) == 3)
    assert [owner for owner, _, _ in line.passed] == ["a", "b", "c"]
    line.pipeline.dispose()


async def test_what_is_inside_is_known() -> None:
    line = Line(delayed(0.005))
    line.push("x", "1", replies=("1",))
    assert line.pipeline.holds("1")
    assert not line.pipeline.holds("2")
    await line.until(lambda: line.passed)
    assert not line.pipeline.holds("1")
    line.pipeline.dispose()


async def test_what_an_extension_makes_up_is_nobodys() -> None:
    line = Line(ops.flat_map(lambda p: rx.of(p, Payload(messages_of("own")))))
    line.push("x", "1")
    await line.until(lambda: len(line.passed) == 2)
    assert line.passed == [("x", ["1"], ()), (None, ["own"], ())]
    line.pipeline.dispose()


async def test_a_payload_in_pieces() -> None:
    def split(payload: Payload) -> Observable[Payload]:
        return rx.of(*(Payload([message]) for message in payload.messages))

    line = Line(ops.flat_map(split))
    line.push("x", "1", "2", replies=("1", "2"))
    await line.until(lambda: len(line.passed) == 2)
    assert line.passed == [(None, ["1"], ()), ("x", ["2"], ())]
    line.pipeline.dispose()


async def test_a_payload_emitted_twice_calls_its_callbacks_once() -> None:
    calls: list[int] = []

    def ask(payload: Payload) -> None:
        payload.on_delivered(lambda: calls.append(1))

    line = Line(ops.do_action(ask), ops.flat_map(lambda p: rx.of(p, p)))
    line.push("x", "1")
    await line.until(lambda: len(line.passed) == 2)
    assert [ids for _, ids, _ in line.passed] == [["1"], ["1"]]
    assert calls == [1]
    line.pipeline.dispose()


@pytest.mark.parametrize("owner", ["x", None])
async def test_a_failure_gives_back_what_is_inside_and_begins_anew(owner: str | None) -> None:
    failing = True
    line = Line(ops.map(lambda p: p), ops.do_action(lambda p: fail(p) if failing else None))
    replies = () if owner is None else ("1",)
    line.push(owner, "1", replies=replies)
    assert line.lost == [(owner, ["1"], replies)]
    assert isinstance(line.errors[0].__cause__, LookupError)
    assert "mine" not in str(line.errors[0])
    failing = False
    line.push("y", "2")
    assert line.passed == [("y", ["2"], ())]


async def test_a_failure_after_the_payload_is_out_loses_nothing() -> None:
    line = Line(ops.flat_map(lambda p: rx.concat(rx.of(p), rx.throw(LookupError("mine")))))
    for owner in ("x", None):
        line.push(owner, "1")
    await line.until(lambda: len(line.passed) == 2)
    assert line.passed == [("x", ["1"], ()), (None, ["1"], ())]
    assert line.lost == []
    line.pipeline.dispose()


async def test_the_payload_of_nobody_that_failed_is_told_to_have_failed() -> None:
    def fail_alone(payload: Payload) -> None:
        payload.failure = LookupError("mine")

    line = Line(ops.do_action(fail_alone), ops.map(lambda p: p))
    line.push(None, "1")
    assert line.lost == [(None, ["1"], ())]
    assert not line.passed


async def test_a_failure_later_on_does_the_same() -> None:
    line = Line(ops.flat_map(lambda _: rx.throw(LookupError("mine"))))
    line.push("x", "1", replies=("1",))
    await line.until(lambda: line.lost)
    assert line.lost == [("x", ["1"], ("1",))]
    line.pipeline.dispose()


async def test_a_failure_takes_all_that_is_inside() -> None:
    line = Line(delayed(0.05), ops.do_action(lambda p: fail(p) if "3" in _ids(p) else None))
    for name in "123":
        line.push(name, name)
    await line.until(lambda: line.lost)
    assert [owner for owner, _, _ in line.passed] + [o for o, _, _ in line.lost] == ["1", "2", "3"]
    line.pipeline.dispose()


async def test_completing_is_a_failure() -> None:
    line = Line(ops.take(1))
    line.push("x", "1")
    assert line.passed == [("x", ["1"], ())]
    line.push("y", "2")
    assert [o for o, _, _ in (*line.passed, *line.lost)] == ["x", "y"]


async def test_what_is_no_payload_is_a_failure() -> None:
    line = Line(no_payloads)
    line.push("x", "1")
    assert [owner for owner, _, _ in line.lost] == ["x"]
    assert "list" in str(line.errors[0])


@pytest.mark.parametrize("owner", ["x", None])
async def test_a_payload_that_is_stuck_is_given_back(owner: str | None) -> None:
    line = Line(delayed(60.0), timeout=0.02)
    replies = () if owner is None else ("1",)
    line.push(owner, "1", replies=replies)
    await line.until(lambda: line.lost)
    assert line.lost == [(owner, ["1"], replies)]
    assert "in time" in str(line.errors[0])
    line.pipeline.dispose()


async def test_a_payload_that_was_dropped_is_told_to_who_waits() -> None:
    line = Line(ops.filter(lambda _: False), timeout=0.02)
    line.push("x", "1")
    line.push(None, "2")
    await line.until(lambda: line.lost)
    assert line.lost == [("x", None, ())]
    line.pipeline.dispose()


@pytest.mark.virtual_time
async def test_disposing_ends_it() -> None:
    line = Line(delayed(0.005), timeout=0.01)
    line.push("x", "1")
    line.pipeline.dispose()
    await asyncio.sleep(0.03)
    assert not line.passed
    assert not line.lost


# Receipts


def event(n: int, channel: str = "/a", **fields: Any) -> Message:
    return cast("Message", {"channel": channel, "data": n, **fields})


def asking(told: list[Any]) -> PayloadOperator:
    """Ask for every receipt there is."""

    def ask(payload: Payload) -> None:
        payload.on_delivered(lambda: told.append("all"))
        for message in payload.messages:
            n = message.get("data")
            payload.on_processed(message, lambda n=n: told.append(n))  # type: ignore[misc]

    return ops.do_action(ask)


def copied(payload: Payload) -> Payload:
    return Payload([message.copy() for message in payload.messages], payload.headers)


def replaced(payload: Payload) -> Payload:
    payload.messages[:] = [message.copy() for message in payload.messages]
    return payload


def renamed(payload: Payload) -> Payload:
    messages: Any = [{**message, "channel": "/renamed"} for message in payload.messages]
    payload.messages = messages
    return payload


def pieces(payload: Payload) -> Observable[Payload]:
    return rx.from_iterable([Payload([message.copy()]) for message in payload.messages])


CHANGES: dict[str, PayloadOperator] = {
    "a new payload": ops.map(lambda p: Payload(p.messages, p.headers)),
    "copies in a new payload": ops.map(copied),
    "copies in the payload": ops.map(replaced),
    "other channels": ops.map(renamed),
    "reordered": ops.map(lambda p: Payload(p.messages[::-1])),
    "split": ops.flat_map(pieces),
    "later": ops.delay(0.001),
}


def both(name: str, other: str) -> PayloadOperator:
    return rx.compose(CHANGES[name], CHANGES[other])


@pytest.mark.parametrize("ids", [True, False], ids=["with ids", "without ids"])
@pytest.mark.parametrize("then", [None, "later", "copies in a new payload", "split"])
@pytest.mark.parametrize("name", list(CHANGES))
async def test_receipts_follow_the_messages(name: str, then: str | None, ids: bool) -> None:
    told: list[Any] = []
    operators = [CHANGES[name]] if then is None else [CHANGES[name], CHANGES[then]]
    line = Line(asking(told), *operators)
    for first in (0, 3):
        numbers = range(first, first + 3)
        messages = [event(n, **({"id": str(n)} if ids else {})) for n in numbers]
        line.pipeline.push(messages, None, None)
    await line.until(lambda: told.count("all") == 2)
    assert sorted(t for t in told if t != "all") == [0, 1, 2, 3, 4, 5]
    line.pipeline.dispose()


async def test_receipts_asked_for_on_a_payload_that_is_replaced_in_its_turn() -> None:
    told: list[Any] = []
    line = Line(ops.map(copied), asking(told), ops.map(copied), ops.map(copied))
    line.pipeline.push([event(0), event(1)], None, None)
    assert told == ["all", 0, 1]
    line.pipeline.dispose()


async def test_receipts_are_of_the_message_and_not_of_its_place() -> None:
    told: list[Any] = []
    line = Line(asking(told), ops.map(lambda p: Payload([p.messages[1].copy()])))
    line.pipeline.push([event(0, id="x"), event(1, id="y")], None, None)
    assert told == [1]  # the rest was dropped, which is known in the next turn
    await asyncio.sleep(0)
    assert told == [1, "all", 0]
    line.pipeline.dispose()


@pytest.mark.parametrize("later", [False, True])
async def test_what_an_extension_drops_counts_as_delivered_and_processed(later: bool) -> None:
    def drop_first(payload: Payload) -> None:
        del payload.messages[0]

    told: list[Any] = []
    line = Line(asking(told), *([ops.delay(0.001)] if later else []), ops.do_action(drop_first))
    line.pipeline.push([event(0), event(1)], None, None)
    await line.until(lambda: line.passed)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert told == [1, "all", 0]
    line.pipeline.dispose()


async def test_a_payload_that_an_extension_drops_counts_as_processed() -> None:
    told: list[Any] = []
    line = Line(asking(told), ops.filter(lambda _: False))
    line.pipeline.push([event(0), event(1)], None, None)
    await asyncio.sleep(0)
    assert told == ["all", 0, 1]
    line.pipeline.dispose()


async def test_pieces_are_delivered_with_the_last_of_them() -> None:
    def one_by_one(payload: Payload) -> Observable[Payload]:
        made = [Payload([message]) for message in payload.messages]
        return rx.from_iterable(made).pipe(ops.concat_map(slowly))

    def slowly(payload: Payload) -> Observable[Payload]:
        return rx.of(payload).pipe(ops.delay(0.001))

    told: list[Any] = []
    line = Line(asking(told), ops.concat_map(one_by_one))
    line.pipeline.push([event(n) for n in range(3)], None, None)
    await line.until(lambda: len(line.passed) == 1)
    assert told == [0]
    await line.until(lambda: len(line.passed) == 3)
    assert told == [0, 1, "all", 2]
    line.pipeline.dispose()


async def test_merged_payloads_have_the_owners_and_the_receipts_of_all() -> None:
    def together(payloads: list[Payload]) -> Payload:
        return Payload([m for payload in payloads for m in payload.messages])

    told: list[Any] = []

    def merging(source: Observable[Payload]) -> Observable[Payload]:
        pairs: Observable[Any] = source.pipe(ops.buffer_with_count(2))
        return pairs.pipe(ops.map(together))

    line = Line(asking(told), merging)
    line.push("x", "1", replies=("1",))
    assert line.pipeline.holds("1")
    line.push("y", "2", replies=("2",))
    assert line.passed == [("x y", ["1", "2"], ())]
    assert told == ["all", "all", None, None]
    assert not line.pipeline.holds("1")
    line.pipeline.dispose()


async def test_receipts_of_a_payload_that_is_given_back() -> None:
    told: list[Any] = []
    line = Line(asking(told), ops.map(copied), ops.do_action(fail))
    line.push("x", "1")
    [given] = line.given
    assert given is not None
    assert len(given.processed_callbacks()) == 1
    given.delivered()
    assert told == ["all"]
    line.pipeline.dispose()


# Dropped at once


@pytest.mark.parametrize("change", [ops.map(copied), ops.map(replaced), ops.delay(0.001)])
async def test_a_dropped_payload_fails_at_once(change: PayloadOperator) -> None:
    line = Line(change, ops.filter(lambda _: False), timeout=60.0)
    line.push("x", "1")
    await line.until(lambda: line.lost)
    assert line.lost == [("x", None, ())]
    assert "dropped" in str(line.errors[0])
    line.pipeline.dispose()


def signed(messages: list[Message]) -> Any:
    async def sign() -> Payload:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return Payload(messages)

    return asyncio.ensure_future(sign())


SLOW: dict[str, PayloadOperator] = {
    "holds copies": rx.compose(ops.map(copied), ops.delay(0.005)),
    "holds copies of copies": rx.compose(ops.map(copied), ops.map(copied), ops.delay(0.005)),
    "holds the messages": ops.flat_map(lambda p: rx.from_future(signed(p.messages))),
}


@pytest.mark.parametrize("owner", ["x", None])
@pytest.mark.parametrize("name", list(SLOW))
async def test_what_an_operator_holds_is_not_dropped(name: str, owner: str | None) -> None:
    line = Line(ops.map(lambda p: p), SLOW[name], ops.map(lambda p: p))
    line.push(owner, "1")
    await line.until(lambda: line.passed or line.lost)
    assert line.passed == [(owner, ["1"], ())]
    line.pipeline.dispose()


async def test_a_new_payload_that_is_held_by_somebody_else_delays_the_verdict_only() -> None:
    kept: list[Payload] = []
    line = Line(ops.do_action(lambda p: kept.append(copied(p))), ops.filter(lambda _: False))
    line.push("x", "1")
    for _ in range(3):
        await asyncio.sleep(0)
    assert not line.lost
    line.pipeline.dispose()
