"""A pipeline by itself: what comes out of it, for whom, and what does not."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

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
        self._told = asyncio.Event()
        self.pipeline: Pipeline[str] = Pipeline(
            operators,
            self._passed,
            self._lost,
            timeout,
            AsyncIOScheduler(asyncio.get_running_loop()),
        )

    def _passed(self, owners: tuple[str, ...], payload: Payload, missing: tuple[str, ...]) -> None:
        self.payloads.append(payload)
        payload.delivered()
        for message in payload.messages:
            for callback in payload.processed_callbacks().get(id(message), ()):
                callback()
        self.passed.append((" ".join(owners) or None, _ids(payload), missing))
        self._told.set()

    def _lost(
        self,
        owners: tuple[str, ...],
        payload: Payload | None,
        replies: tuple[str, ...],
        error: ExtensionError,
    ) -> None:
        self.lost.append((" ".join(owners) or None, None if payload is None else _ids(payload), replies))
        self.errors.append(error)
        self._told.set()

    def push(self, owner: str | None, *ids: str, replies: tuple[str, ...] = ()) -> None:
        self.pipeline.push(payload_of(*ids), owner, replies)

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                self._told.clear()
                await self._told.wait()


def _ids(payload: Payload) -> list[str]:
    return [str(m.get("id")) for m in payload.messages]


def payload_of(*ids: str) -> Payload:
    messages: list[Message] = [{"id": i, "channel": "/a"} for i in ids]
    return Payload(messages)


def fail(_: object) -> Any:
    raise LookupError("mine")


def nonsense(source: Observable[Payload]) -> Any:
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
    line = Line(ops.flat_map(lambda p: rx.of(p, payload_of("own"))))
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
    line = Line(ops.flat_map(lambda p: rx.of(p, p)))
    calls: list[int] = []
    payload = payload_of("1")
    payload.on_delivered(lambda: calls.append(1))
    line.pipeline.push(payload, "x")
    await line.until(lambda: len(line.passed) == 2)
    assert [ids for _, ids, _ in line.passed] == [["1"], ["1"]]
    assert calls == [1]
    line.pipeline.dispose()


async def test_a_failure_gives_back_what_is_inside_and_begins_anew() -> None:
    failing = True
    line = Line(ops.do_action(lambda p: fail(p) if failing else None))
    line.push("x", "1", replies=("1",))
    assert line.lost == [("x", ["1"], ("1",))]
    assert isinstance(line.errors[0].__cause__, LookupError)
    assert "mine" not in str(line.errors[0])
    failing = False
    line.push("y", "2")
    assert line.passed == [("y", ["2"], ())]


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
    line = Line(nonsense)
    line.push("x", "1")
    assert [owner for owner, _, _ in line.lost] == ["x"]
    assert "list" in str(line.errors[0])


async def test_a_payload_that_is_stuck_is_given_back() -> None:
    line = Line(delayed(60.0), timeout=0.02)
    line.push("x", "1", replies=("1",))
    await line.until(lambda: line.lost)
    assert line.lost == [("x", ["1"], ("1",))]
    assert "in time" in str(line.errors[0])
    line.pipeline.dispose()


async def test_a_payload_that_was_dropped_is_told_to_who_waits() -> None:
    line = Line(ops.filter(lambda _: False), timeout=0.02)
    line.push("x", "1")
    line.push(None, "2")
    await line.until(lambda: line.lost)
    assert line.lost == [("x", None, ())]
    line.pipeline.dispose()


async def test_disposing_ends_it() -> None:
    line = Line(delayed(0.005), timeout=0.01)
    line.push("x", "1")
    line.pipeline.dispose()
    await asyncio.sleep(0.03)
    assert not line.passed
    assert not line.lost
