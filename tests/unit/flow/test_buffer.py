"""The rules of buffering, without any loop."""

from __future__ import annotations

import logging
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from rx_cometd._flow.buffer import MessageBuffer
from rx_cometd._flow.delivery import Delivery
from rx_cometd._flow.flow import Overflow
from rx_cometd.exceptions import BufferOverflowError, ClientError
from tests.unit.operators.flows import LocalFlow


class Item(NamedTuple):
    key: str
    number: int


def drain(buffer: MessageBuffer[Any]) -> list[Any]:
    return [buffer.take_nowait() for _ in range(buffer.pending_count)]


def offer_all(buffer: MessageBuffer[Any], *messages: Any) -> None:
    for message in messages:
        buffer.offer(message)


# Any interleaving


class AnyInterleaving(RuleBasedStateMachine):
    """Arrivals, takes and ends in any order, against plain book-keeping."""

    @initialize(
        policy=st.sampled_from([*Overflow, None]), bound=st.integers(-1, 4), lossless=st.booleans()
    )
    def open(self, policy: Overflow | None, bound: int, lossless: bool) -> None:
        self.flow = LocalFlow(lossless=lossless)
        self.policy, self.bound = policy, bound
        self.offered: list[Item] = []
        self.taken: list[Item] = []
        self.lost: list[Item] = []
        self.forgotten = 0
        self.buffer = MessageBuffer[Item](
            bound, policy, flow=self.flow, key=lambda item: item.key, on_overflow=self.lose
        )

    def lose(self, item: Item, count: int) -> None:
        self.lost.append(item)
        assert count == len(self.lost)

    @rule(key=st.sampled_from("abc"))
    def arrive(self, key: str) -> None:
        if not self.buffer.terminated:
            item = Item(key, len(self.offered))
            self.offered.append(item)
            self.buffer.offer(item)

    @rule()
    def take(self) -> None:
        if self.buffer.pending_count:
            self.taken.append(self.buffer.take_nowait())

    @rule()
    def complete(self) -> None:
        self.buffer.complete()

    @rule()
    def fail(self) -> None:
        self.buffer.fail(ValueError())

    @rule()
    def close(self) -> None:
        self.forgotten += self.buffer.pending_count
        self.buffer.close()

    @invariant()
    def counts_add_up(self) -> None:
        gone = len(self.taken) + len(self.lost) + self.forgotten
        assert self.buffer.pending_count == len(self.offered) - gone
        assert self.flow.drops == len(self.lost) == self.buffer.dropped_count

    @invariant()
    def flow_knows_the_buffer_while_it_lives(self) -> None:
        over = self.buffer.terminated and not self.buffer.pending_count
        assert self.flow.attached == ([] if over else [self.buffer])
        assert not (over and self.flow.suspended)

    @invariant()
    def bound_is_kept(self) -> None:
        suspends = self.policy is Overflow.SUSPEND or (self.policy is None and self.flow.lossless)
        if self.bound > 0 and not suspends:
            assert self.buffer.pending_count <= self.bound

    @invariant()
    def nothing_is_delivered_twice(self) -> None:
        accounted = [*self.taken, *self.lost]
        assert len(set(accounted)) == len(accounted)
        assert set(accounted) <= set(self.offered)

    @invariant()
    def order_is_kept(self) -> None:
        keys = ("a", "b", "c") if self.policy is Overflow.CONFLATE else ("abc",)
        for key in keys:
            numbers = [item.number for item in self.taken if item.key in key]
            assert numbers == sorted(numbers)

    def teardown(self) -> None:
        while self.buffer.pending_count:
            self.take()
        self.nothing_is_delivered_twice()
        self.order_is_kept()


TestAnyInterleaving = AnyInterleaving.TestCase


@given(
    policy=st.sampled_from([Overflow.SUSPEND, None]),
    bound=st.integers(1, 6),
    payloads=st.lists(st.integers(1, 5), max_size=20),
    takes=st.lists(st.integers(0, 5), min_size=20, max_size=20),
)
def test_suspended_buffer_holds_its_bound_and_one_payload_and_loses_nothing(
    policy: Overflow | None, bound: int, payloads: list[int], takes: list[int]
) -> None:
    flow = LocalFlow()
    buffer = MessageBuffer[int](bound, policy, flow=flow)
    offered = 0
    taken: list[int] = []
    waiting = list(payloads)
    for count in takes:
        if waiting and not flow.suspended:
            payload = waiting.pop(0)
            for _ in range(payload):
                buffer.offer(offered)
                offered += 1
            assert buffer.pending_count <= bound - 1 + payload
        taken += [buffer.take_nowait() for _ in range(min(count, buffer.pending_count))]
        if buffer.pending_count >= bound:
            assert flow.suspended
        if buffer.pending_count <= bound // 2:
            assert not flow.suspended
    assert [*taken, *drain(buffer)] == list(range(offered))
    assert not buffer.terminated


@given(arrivals=st.lists(st.sampled_from("abcd"), max_size=40), bound=st.integers(4, 8))
def test_conflation_keeps_the_latest_of_every_key(arrivals: list[str], bound: int) -> None:
    buffer = MessageBuffer[Item](bound, Overflow.CONFLATE, key=lambda item: item.key)
    for number, key in enumerate(arrivals):
        buffer.offer(Item(key, number))
    latest = {key: number for number, key in enumerate(arrivals)}
    delivered = dict(drain(buffer))
    assert delivered == latest


# Each policy


def test_error_keeps_what_is_pending_and_ends() -> None:
    buffer = MessageBuffer[int](2, Overflow.ERROR)
    offer_all(buffer, 1, 2, 3, 4)
    assert buffer.terminated
    assert drain(buffer) == [1, 2]
    assert isinstance(buffer.error, BufferOverflowError)
    assert buffer.error.max_pending_count == 2
    assert buffer.dropped_count == 1


def test_drop_oldest_keeps_the_newest() -> None:
    buffer = MessageBuffer[int](2, Overflow.DROP_OLDEST)
    offer_all(buffer, 1, 2, 3, 4)
    assert drain(buffer) == [3, 4]


def test_drop_newest_keeps_the_oldest() -> None:
    buffer = MessageBuffer[int](2, Overflow.DROP_NEWEST)
    offer_all(buffer, 1, 2, 3, 4)
    assert drain(buffer) == [1, 2]


def test_conflate_loses_nothing_until_it_is_full() -> None:
    buffer = MessageBuffer[str](4, Overflow.CONFLATE, key=lambda quote: quote[0])
    offer_all(buffer, "a1", "b1", "a2", "c1")
    assert drain(buffer) == ["a1", "b1", "a2", "c1"]


def test_conflate_keeps_the_place_of_the_first() -> None:
    buffer = MessageBuffer[str](4, Overflow.CONFLATE, key=lambda quote: quote[0])
    offer_all(buffer, "a1", "b1", "a2", "c1", "b2", "d1")
    assert drain(buffer) == ["a2", "b2", "c1", "d1"]


def test_conflate_goes_on_until_the_consumer_caught_up() -> None:
    buffer = MessageBuffer[str](2, Overflow.CONFLATE, key=lambda quote: quote[0])
    offer_all(buffer, "a1", "a2", "a3", "a4")
    assert drain(buffer) == ["a4"]
    offer_all(buffer, "a5", "a6")
    assert drain(buffer) == ["a5", "a6"]


def test_conflate_with_more_keys_than_its_bound_drops_the_longest_waiting() -> None:
    lost: list[str] = []
    buffer = MessageBuffer[str](
        2, Overflow.CONFLATE, key=lambda q: q[0], on_overflow=lambda q, _: lost.append(q)
    )
    offer_all(buffer, "a1", "b1", "c1", "b2")
    assert drain(buffer) == ["b2", "c1"]
    assert lost == ["a1", "b1"]


def test_conflate_is_by_channel_unless_told_otherwise() -> None:
    buffer = MessageBuffer[dict[str, Any]](0, Overflow.CONFLATE)
    offer_all(
        buffer,
        {"channel": "/a", "data": 1},
        {"channel": "/b", "data": 2},
        {"channel": "/a", "data": 3},
    )
    assert [message["data"] for message in drain(buffer)] == [3, 2]


def test_conflate_without_channel_or_key_fails_clearly() -> None:
    buffer = MessageBuffer[int](0, Overflow.CONFLATE)
    buffer.offer(1)
    assert isinstance(buffer.error, TypeError)
    assert "key=" in str(buffer.error)
    assert buffer.pending_count == 0


def test_key_that_raises_ends_the_stream_after_what_is_pending() -> None:
    def key(item: int) -> int:
        if item == 3:
            raise ZeroDivisionError
        return item

    buffer = MessageBuffer[int](2, Overflow.CONFLATE, key=key)
    offer_all(buffer, 1, 2, 3)
    assert isinstance(buffer.error, ZeroDivisionError)
    assert drain(buffer) == [1, 2]


def test_suspend_without_a_client_is_refused() -> None:
    with pytest.raises(ClientError, match="no channel of a client"):
        MessageBuffer[int](2, Overflow.SUSPEND)


def test_suspend_that_cannot_work_is_refused_before_attaching() -> None:
    flow = LocalFlow(refusal=ClientError("websocket without ack"))
    with pytest.raises(ClientError, match="without ack"):
        MessageBuffer[int](2, Overflow.SUSPEND, flow=flow)
    assert flow.attached == []


def test_unbounded_buffer_needs_no_suspension() -> None:
    flow = LocalFlow(refusal=ClientError("websocket without ack"))
    buffer = MessageBuffer[int](0, Overflow.SUSPEND, flow=flow)
    offer_all(buffer, *range(1000))
    assert drain(buffer) == list(range(1000))
    assert flow.turns == []


def test_suspend_from_full_to_half_empty() -> None:
    flow = LocalFlow()
    buffer = MessageBuffer[int](4, Overflow.SUSPEND, flow=flow)
    offer_all(buffer, 1, 2, 3)
    assert flow.turns == []
    offer_all(buffer, 4, 5, 6)
    assert flow.turns == ["suspend"]
    for _ in range(3):
        buffer.take_nowait()
    assert flow.turns == ["suspend"]
    buffer.take_nowait()
    assert flow.turns == ["suspend", "resume"]


def test_suspend_that_stops_working_ends_with_the_reason() -> None:
    flow = LocalFlow()
    buffer = MessageBuffer[int](2, Overflow.SUSPEND, flow=flow)
    offer_all(buffer, 1, 2)
    flow.refused = ClientError("fell back to a websocket")
    buffer.offer(3)
    assert buffer.error is flow.refused
    assert drain(buffer) == [1, 2]


def test_default_policy_follows_the_flow_at_each_moment() -> None:
    flow = LocalFlow(2, lossless=False)
    buffer = MessageBuffer[int](flow=flow)
    offer_all(buffer, 1, 2)
    assert flow.turns == []
    flow.lossless = True
    buffer.offer(3)
    assert flow.turns == ["suspend"]
    flow.lossless = False
    buffer.offer(4)
    assert isinstance(buffer.error, BufferOverflowError)
    assert drain(buffer) == [1, 2, 3]


def test_defaults_are_the_flows() -> None:
    flow = LocalFlow(1, Overflow.DROP_NEWEST)
    buffer = MessageBuffer[int](flow=flow)
    offer_all(buffer, 1, 2)
    assert drain(buffer) == [1]


def test_defaults_without_a_flow_are_100_and_error() -> None:
    buffer = MessageBuffer[int]()
    offer_all(buffer, *range(100))
    assert not buffer.terminated
    buffer.offer(100)
    assert isinstance(buffer.error, BufferOverflowError)


# Ends


def test_end_resumes_at_once_and_leaves_once_drained() -> None:
    flow = LocalFlow()
    buffer = MessageBuffer[int](2, Overflow.SUSPEND, flow=flow)
    offer_all(buffer, 1, 2)
    buffer.complete()
    assert flow.turns == ["suspend", "resume"]
    assert flow.pending_count == 2
    drain(buffer)
    assert flow.attached == []


def test_first_end_holds() -> None:
    buffer = MessageBuffer[int]()
    buffer.complete()
    buffer.fail(ValueError())
    assert buffer.terminated
    assert buffer.error is None


def test_nothing_comes_after_the_end() -> None:
    buffer = MessageBuffer[int]()
    buffer.complete()
    buffer.offer(1)
    assert buffer.pending_count == 0


def test_close_forgets_everything_and_leaves() -> None:
    flow = LocalFlow()
    buffer = MessageBuffer[int](2, Overflow.SUSPEND, flow=flow)
    offer_all(buffer, 1, 2)
    buffer.close()
    buffer.close()
    assert buffer.pending_count == 0
    assert flow.attached == []
    assert flow.suspended == []


def test_take_from_an_empty_buffer() -> None:
    with pytest.raises(LookupError):
        MessageBuffer[int]().take_nowait()


def test_wake_for_every_message_and_the_end() -> None:
    woken: list[int] = []
    buffer = MessageBuffer[int](2, Overflow.DROP_OLDEST)
    buffer.wake = lambda: woken.append(buffer.pending_count)
    offer_all(buffer, 1, 2, 3)
    buffer.complete()
    assert woken == [1, 2, 2, 2]


def test_repr_tells_the_state_and_no_message() -> None:
    buffer = MessageBuffer[str](2, Overflow.DROP_OLDEST)
    offer_all(buffer, "secret", "secret", "secret")
    assert repr(buffer) == "<MessageBuffer 2/2 DROP_OLDEST open, 1 dropped>"
    buffer.complete()
    assert repr(buffer) == "<MessageBuffer 2/2 DROP_OLDEST terminated, 1 dropped>"


# Callbacks and the log


def test_on_overflow_gets_what_is_lost_and_how_many() -> None:
    lost: list[tuple[int, int]] = []
    buffer = MessageBuffer[int](
        1, Overflow.DROP_OLDEST, on_overflow=lambda item, count: lost.append((item, count))
    )
    offer_all(buffer, 1, 2, 3)
    assert lost == [(1, 1), (2, 2)]


def test_on_overflow_that_raises_ends_the_stream() -> None:
    def on_overflow(_item: int, _count: int) -> None:
        raise ZeroDivisionError

    buffer = MessageBuffer[int](1, Overflow.DROP_OLDEST, on_overflow=on_overflow)
    offer_all(buffer, 1, 2, 3)
    assert isinstance(buffer.error, ZeroDivisionError)
    assert drain(buffer) == [2]


def test_on_overflow_may_close_the_buffer() -> None:
    buffer = MessageBuffer[int](
        1, Overflow.DROP_NEWEST, on_overflow=lambda _item, _count: buffer.close()
    )
    offer_all(buffer, 1, 2, 3)
    assert buffer.terminated
    assert buffer.pending_count == 0


def test_log_tells_the_first_drop_and_then_once_per_second(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    buffer = MessageBuffer[int](1, Overflow.DROP_OLDEST, now=lambda: now)
    with caplog.at_level(logging.WARNING, "rx_cometd.operators"):
        offer_all(buffer, *range(10))
        now += timedelta(seconds=0.9)
        offer_all(buffer, *range(10))
        now += timedelta(seconds=0.1)
        buffer.offer(1)
    assert [record.args for record in caplog.records] == [
        (1, 1, "DROP_OLDEST"),
        (20, 1, "DROP_OLDEST"),
    ]


def test_quiet_buffer_tells_neither_log_nor_flow(caplog: pytest.LogCaptureFixture) -> None:
    flow = LocalFlow()
    buffer = MessageBuffer[int](1, Overflow.DROP_OLDEST, flow=flow, quiet=True)
    offer_all(buffer, 1, 2)
    assert buffer.dropped_count == 1
    assert flow.drops == 0
    assert caplog.records == []


# Tracking what was processed


@pytest.mark.parametrize(
    ("policy", "processed"),
    [
        (Overflow.DROP_OLDEST, [1, 2]),
        (Overflow.DROP_NEWEST, [3, 4]),
        (Overflow.CONFLATE, [1, 2, 3]),
        (Overflow.ERROR, [4]),
    ],
)
def test_dropping_on_purpose_is_processing(policy: Overflow, processed: list[int]) -> None:
    done: list[int] = []
    buffer = MessageBuffer[int](2, policy, key=lambda _: "same")
    for number in range(1, 5):
        with Delivery(lambda number=number: done.append(number)):  # type: ignore[misc]
            buffer.offer(number)
    assert done == processed
    held = Counter(done)
    while buffer.pending_count:
        number = buffer.take_nowait()
        assert number not in held
        assert buffer.taken is not None
        buffer.taken()
        assert done[-1] == number


def test_what_is_forgotten_was_not_processed() -> None:
    done: list[int] = []
    buffer = MessageBuffer[int]()
    with Delivery(lambda: done.append(1)):
        buffer.offer(1)
    buffer.close()
    assert done == []


def test_untracked_messages_among_tracked_ones() -> None:
    done: list[int] = []
    buffer = MessageBuffer[int]()
    buffer.offer(0)
    with Delivery(lambda: done.append(1)):
        buffer.offer(1)
    assert buffer.take_nowait() == 0
    assert buffer.taken is None
    assert buffer.take_nowait() == 1
    assert buffer.taken is not None
