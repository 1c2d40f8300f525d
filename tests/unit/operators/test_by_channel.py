"""`by_channel`: groups, their bound and their ends."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reactivex import operators as ops
from reactivex.subject import Subject

from rx_cometd._flow.delivery import Delivery
from rx_cometd._flow.flow import flow_of
from rx_cometd.operators import ChannelGroup, bounded_buffer, by_channel
from tests.unit.operators.flows import LocalFlow, with_flow
from tests.unit.operators.times import turns

if TYPE_CHECKING:
    from reactivex import Observable, abc

_Message = dict[str, Any]


def message(channel: str, data: Any = None) -> _Message:
    return {"channel": channel, "data": data}


class Groups:
    """Observes groups, and all that is in them."""

    def __init__(self, source: Observable[_Message], **options: Any) -> None:
        self.told: list[tuple[str, Any]] = []
        self.groups: list[ChannelGroup[_Message]] = []
        self.subscription: abc.DisposableBase = source.pipe(by_channel(**options)).subscribe(
            self._group, lambda error: self._tell("", type(error)), lambda: self._tell("", "|")
        )

    def _tell(self, key: str, what: Any) -> None:
        self.told.append((key, what))

    def _group(self, group: ChannelGroup[_Message]) -> None:
        self.groups.append(group)
        key = group.key
        group.subscribe(
            lambda item: self._tell(key, item["data"]),
            lambda error: self._tell(key, type(error)),
            lambda: self._tell(key, "|"),
        )


def test_each_channel_has_a_group_that_begins_with_its_first_message() -> None:
    source = Subject[_Message]()
    groups = Groups(source)
    for channel, data in [("/a", 1), ("/b", 2), ("/a", 3)]:
        source.on_next(message(channel, data))
    source.on_completed()
    assert groups.told == [("/a", 1), ("/b", 2), ("/a", 3), ("/b", "|"), ("/a", "|"), ("", "|")]


def test_an_error_of_the_source_is_one_of_each_group() -> None:
    source = Subject[_Message]()
    groups = Groups(source)
    source.on_next(message("/a", 1))
    source.on_error(OSError())
    assert groups.told == [("/a", 1), ("/a", OSError), ("", OSError)]


@given(
    channels=st.lists(st.sampled_from(["/a", "/b", "/c", "/d", "/e"]), max_size=40),
    bound=st.integers(1, 4),
)
def test_against_a_list_of_the_channels_that_came_last(channels: list[str], bound: int) -> None:
    source = Subject[_Message]()
    groups = Groups(source, max_groups=bound)
    model: list[tuple[str, Any]] = []
    recent: list[str] = []
    begun = 0
    for number, channel in enumerate(channels):
        if channel in recent:
            recent.remove(channel)
        else:
            begun += 1
        recent.append(channel)
        if len(recent) > bound:
            model.append((recent.pop(0), "|"))
        model.append((channel, number))
        source.on_next(message(channel, number))
    assert groups.told == model
    assert len(groups.groups) == begun


@pytest.mark.parametrize("item", [5, {"data": 1}, {"channel": []}])
def test_what_is_no_message_is_an_error(item: Any) -> None:
    source = Subject[Any]()
    groups = Groups(source)
    source.on_next(item)
    assert groups.told[0][1] in {TypeError, KeyError}
    assert source.observers == []


def test_group_of_which_nobody_wants_more_keeps_the_source_for_the_others() -> None:
    source = Subject[_Message]()
    groups = Groups(source)
    source.on_next(message("/a", 1))
    groups.subscription.dispose()
    source.on_next(message("/a", 2))
    source.on_next(message("/b", 3))
    assert groups.told == [("/a", 1), ("/a", 2)]
    source.on_completed()
    assert groups.told[-1] == ("/a", "|")
    assert source.observers == []


def first_of(group: ChannelGroup[_Message]) -> Observable[_Message]:
    return group.pipe(ops.take(1))


def test_the_last_to_go_disposes_of_the_source() -> None:
    source = Subject[_Message]()
    received: list[Any] = []
    source.pipe(by_channel(), ops.take(2), ops.flat_map(first_of)).subscribe(received.append)
    for channel in ("/a", "/b"):
        source.on_next(message(channel))
    assert [item["channel"] for item in received] == ["/a", "/b"]
    assert source.observers == []


def test_those_who_come_after_the_end_of_a_group_get_the_end() -> None:
    source = Subject[_Message]()
    groups = Groups(source, max_groups=1)
    source.on_next(message("/a"))
    source.on_next(message("/b"))
    told: list[Any] = []
    groups.groups[0].subscribe(told.append, on_completed=lambda: told.append("|"))
    source.on_error(OSError())
    groups.groups[1].subscribe(told.append, lambda error: told.append(type(error)))
    assert told == ["|", OSError]


async def test_observer_of_a_group_that_raises_fails_alone() -> None:
    source = Subject[_Message]()
    groups = Groups(source)
    errors: list[Exception] = []

    def fail(_: _Message) -> None:
        raise ZeroDivisionError

    source.on_next(message("/a", 1))
    groups.groups[0].subscribe(fail, errors.append)
    source.on_next(message("/a", 2))
    assert [type(error) for error in errors] == [ZeroDivisionError]
    assert groups.told == [("/a", 1), ("/a", 2)]


async def test_groups_keep_the_flow_the_loop_and_the_holds_of_their_source() -> None:
    source = Subject[_Message]()
    flow = LocalFlow()
    threads: list[threading.Thread] = []
    done: list[int] = []
    debounced = asyncio.Event()

    def after(_: _Message) -> None:
        threads.append(threading.current_thread())
        debounced.set()

    def begin(group: ChannelGroup[_Message]) -> None:
        assert flow_of(group) is flow
        group.pipe(bounded_buffer()).subscribe()
        group.pipe(ops.debounce(0.001)).subscribe(after)

    grouped = with_flow(source, flow).pipe(by_channel())
    assert flow_of(grouped) is flow
    grouped.subscribe(begin)
    with Delivery(lambda: done.append(1)):
        source.on_next(message("/a"))
    assert done == []
    await turns()
    assert done == [1]
    await debounced.wait()
    assert threads == [threading.current_thread()]


def test_arguments_are_checked_when_the_operator_is_made() -> None:
    with pytest.raises(ValueError, match="max_groups"):
        by_channel(max_groups=0)
