"""Dispatch: observers that raise, that re-enter, that come and go; and what it costs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from reactivex import operators as ops
from reactivex.observer import AutoDetachObserver

from rx_cometd import operators as cometd_ops
from rx_cometd._flow.dispatch import EVERYTHING, Dispatch
from rx_cometd.testing import BayeuxServer
from tests.integration.client_driver import (
    BOTH,
    Recorder,
    client_of,
    data_of,
    lingering,
    subscribed,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from rx_cometd import ConnectionType, Event

pytestmark = pytest.mark.usefixtures("nothing_left")


def fault(_: object) -> None:
    raise LookupError("mine")


# Through a client


@BOTH
async def test_what_an_operator_raises_is_told_though_nobody_asked(kind: ConnectionType) -> None:
    told: list[dict[str, Any]] = []
    async with BayeuxServer() as server, client_of(server, kind) as client:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        client.channel("/a").pipe(ops.map(fault)).subscribe()
        buffered = client.channel("/a").pipe(cometd_ops.bounded_buffer(), ops.map(fault))
        buffered.subscribe()
        others = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        await server.publish("/a", 1)
        await server.publish("/a", 2)
        await others.count(2)
        await asyncio.sleep(0)  # a turn, for what is buffered
    assert [str(context["exception"]) for context in told] == ["mine", "mine"]


@BOTH
async def test_an_observer_that_raises_hurts_itself_alone(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        before = Recorder(client.channel("/a"))
        errors: list[Exception] = []
        calls: list[Any] = []

        def refuse(message: Event) -> None:
            calls.append(message)
            raise LookupError("mine")

        client.channel("/a").subscribe(refuse, errors.append)
        client.channel("/only").subscribe(refuse, errors.append)
        after = Recorder(client.channel("/a"))
        glob = Recorder(client.channel("/*"))
        await subscribed(server, "/a")
        await server.publish("/a", 1)
        await server.publish("/a", 2)
        await server.publish("/only", 3)
        await glob.count(3)
        assert before.data == after.data == [1, 2]
        assert [str(e) for e in errors] == ["mine", "mine"]
        assert len(calls) == 2
        # Disposed of: the last observer of a channel to go sends the unsubscribe.
        await server.until(lambda: "/only" not in _subscriptions(server))
        assert "/a" in _subscriptions(server)


def _subscriptions(server: BayeuxServer) -> set[str]:
    return {name for s in server.sessions.values() for name in s.subscriptions}


def ask_too_early(_: object) -> None:
    asyncio.Future[None]().result()


@pytest.mark.parametrize(
    "fail",
    [fault, ask_too_early],
    ids=["Exception", "InvalidStateError"],
)
@BOTH
async def test_without_on_error_the_loop_is_told(
    kind: ConnectionType, fail: Callable[[object], None]
) -> None:
    told: list[Any] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(context["exception"]))
    async with BayeuxServer() as server, client_of(server, kind) as client:
        client.channel("/a").subscribe(fail)
        other = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        await server.publish("/a", 1)
        await server.publish("/a", 2)
        await other.count(2)
    assert len(told) == 1
    assert isinstance(told[0], LookupError | asyncio.InvalidStateError)


@BOTH
async def test_a_cancellation_raised_by_an_observer_stays_with_it(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:

        def cancel(_: object) -> None:
            raise asyncio.CancelledError

        errors: list[BaseException] = []
        client.channel("/a").subscribe(cancel, errors.append)
        other = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        await server.publish("/a", 1)
        await server.publish("/a", 2)
        await other.count(2)
        assert [type(e) for e in errors] == [asyncio.CancelledError]
        await client.publish("/a", 3)


async def test_an_on_error_that_raises_is_reported() -> None:
    told: list[Any] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(context["exception"]))
    async with BayeuxServer() as server, client_of(server) as client:
        client.channel("/a").subscribe(fault, fault)
        server.faults.refuse_subscribe("/no")
        client.channel("/no").subscribe(print, fault)
        client.channel("/c").subscribe(print, None, lambda: fault(None))
        other = Recorder(client.channel("/a"))
        await client.publish("/a", 1)
        await other.count(1)
        await client.publish("/a", 2)
    assert [str(e) for e in told] == ["mine"] * 3
    assert other.completed


async def test_an_operator_that_raises_is_the_users_error() -> None:
    async with BayeuxServer() as server, client_of(server) as client:
        seen = Recorder(client.channel("/a").pipe(ops.map(lambda m: 1 / data_of(m))))
        other = Recorder(client.channel("/a"))
        await client.publish("/a", 1)
        await client.publish("/a", 0)
        await client.publish("/a", 2)
        await other.count(3)
        assert isinstance(await seen.fails(), ZeroDivisionError)
        assert seen.items == [1]


@BOTH
async def test_an_observer_of_meta_that_raises(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        errors: list[Exception] = []
        client.meta("/meta/subscribe").subscribe(fault, errors.append)
        seen = Recorder(client.meta("/meta/subscribe"))
        for name in ("/a", "/b"):
            Recorder(client.channel(name))
            await subscribed(server, name)
        await seen.count(2)
        assert len(errors) == 1


async def test_an_observer_that_disposes_of_another() -> None:
    async with BayeuxServer() as server, client_of(server) as client:
        doomed = Recorder()
        client.channel("/a").subscribe(lambda _: handle.dispose())
        handle = client.channel("/a").subscribe(doomed)
        last = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        await server.publish("/a", 1)
        await last.count(1)
        assert not doomed.items


async def test_the_last_observer_leaves_within_on_next() -> None:
    async with BayeuxServer() as server:
        client = client_of(server)
        seen = Recorder(client.channel("/a").pipe(ops.first()))
        await subscribed(server, "/a")
        await server.publish("/a", 1)
        await lingering(server)
        await client.close()
        assert seen.data == [1]
        assert seen.completed


# By itself


def message(channel: str, data: Any = None) -> Event:
    return {"channel": channel, "data": data}


def dispatch() -> Dispatch:
    def report(error: BaseException) -> None:
        raise AssertionError from error

    return Dispatch(report)


def test_keys() -> None:
    table = dispatch()
    first, second = Recorder(), Recorder()
    assert table.is_empty
    assert table.add("/a", first)
    assert not table.add("/a", second)
    assert table.observers("/a") == (first, second)
    assert not table.remove("/a", first)
    assert not table.remove("/a", first)
    assert not table.remove("/b", first)
    assert table.remove("/a", second)
    assert table.is_empty
    assert table.take("/a") == ()


def test_who_gets_a_message() -> None:
    table = dispatch()
    seen = {
        key: Recorder()
        for key in ("/a/b", "/a/*", "/a/**", "/**", "/*", "/b", EVERYTHING, "/meta/connect")
    }
    for key, recorder in seen.items():
        table.add(key, recorder)
    table.deliver([message("/a/b"), message("/a/b/c"), message("/b")])
    counts = {key: len(r.items) for key, r in seen.items()}
    assert counts == {
        "/a/b": 1,
        "/a/*": 1,
        "/a/**": 2,
        "/**": 3,
        "/*": 1,
        "/b": 1,
        EVERYTHING: 3,
        "/meta/connect": 0,
    }


def test_the_fallback_takes_what_nobody_observes() -> None:
    table = dispatch()
    rest, own = Recorder(), Recorder()
    table.deliver([message("/service/a", 0)])
    table.set_fallback(rest)
    table.add("/a", own)
    table.deliver([message("/a", 1), message("/service/a", 2)])
    table.remove("/a", own)
    table.deliver([message("/a", 3)])
    assert own.data == [1]
    assert rest.data == [2, 3]
    assert table.take_all() == [rest]
    table.deliver([message("/a", 4)])
    assert rest.data == [2, 3]


def test_an_observer_under_several_keys_gets_a_message_once() -> None:
    table = dispatch()
    seen = Recorder()
    for key in ("/a", "/*", "/**", EVERYTHING):
        table.add(key, seen)
    table.deliver([message("/a", 1)])
    assert seen.data == [1]
    assert table.take_all() == [seen]


def test_a_message_that_arrives_during_a_delivery_waits_its_turn() -> None:
    table = dispatch()
    second = Recorder()

    class Reentrant(Recorder):
        def on_next(self, value: Any) -> None:
            if value["data"] < 3:
                table.deliver([message("/a", value["data"] + 2)])
            super().on_next(value)

    first = Reentrant()
    table.add("/a", first)
    table.add("/a", second)
    table.deliver([message("/a", 1), message("/a", 2)])
    assert first.data == second.data == [1, 2, 3, 4]


def test_observers_that_come_during_a_delivery_get_the_next_message() -> None:
    table = dispatch()
    late = Recorder()

    class Inviting(Recorder):
        def on_next(self, value: Any) -> None:
            super().on_next(value)
            table.add("/a", late)

    table.add("/a", Inviting())
    table.deliver([message("/a", 1), message("/a", 2)])
    assert late.data == [2]


KNOWN = [message("/a", 0), message("/b", 0)]


def knowing(*observed: str) -> tuple[Dispatch, Recorder]:
    """Make a table that has seen messages of these channels, and their observer."""
    table = dispatch()
    seen = Recorder()
    for channel in observed:
        table.add(channel, seen)
    table.deliver([message(channel, "first") for channel in observed])
    return table, seen


def test_channels_are_known_once_messages_came_on_them() -> None:
    table, _ = knowing("/a", "/b")
    assert table.knows([message("/b", 1), message("/a", 2)])


@pytest.mark.parametrize(
    "payload",
    [
        [*KNOWN, {"channel": "/a", "id": "7", "successful": True}],  # the reply to a publish
        [*KNOWN, message("/unknown")],
        [*KNOWN, {"channel": "/meta/connect", "data": 1}],
        [*KNOWN, {"channel": ["/a"], "data": 1}],
        [*KNOWN, {"data": 1}],
        [*KNOWN, ["channel", "data"]],
        [*KNOWN, "data"],
        [*KNOWN, 1],
        [*KNOWN, None],
        [KNOWN],
        KNOWN[0],
        {"data": KNOWN},
        [],
        {},
        "",
        "data",
        5,
        None,
    ],
    ids=str,
)
def test_payloads_of_anything_else_are_not_known(payload: Any) -> None:
    table, _ = knowing("/a", "/b")
    assert not table.knows(payload)


def test_a_channel_is_unknown_again_when_its_observers_change() -> None:
    table, _ = knowing("/a")
    table.add("/a", Recorder())
    assert not table.knows([message("/a", 1)])
    table.deliver([message("/a", 1)])
    assert table.knows([message("/a", 2)])


def test_observers_that_come_and_go_during_a_delivery_of_known_messages() -> None:
    table, seen = knowing("/a")
    late, leaving = Recorder(), Recorder()

    class Changing(Recorder):
        def on_next(self, value: Any) -> None:
            super().on_next(value)
            if value["data"] == 1:
                table.add("/a", late)
                table.remove("/a", leaving)

    table.add("/a", Changing())
    table.add("/a", leaving)
    table.deliver([message("/a", n) for n in range(4)])
    assert seen.data == ["first", 0, 1, 2, 3]
    assert late.data == [2, 3]
    assert leaving.data == [0, 1]


@pytest.mark.parametrize("others", [0, 1])
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_program_is_not_caught(error: type[BaseException], others: int) -> None:
    table = dispatch()
    ended = Recorder()
    for _ in range(others):
        table.add("/*", Recorder())

    def stop(_: object) -> None:
        raise error

    for on_error in (None, stop):
        table.add("/a", AutoDetachObserver(stop, on_error or ended.on_error))
        with pytest.raises(error):
            table.deliver([message("/a")])
        table.take("/a")
    table.add("/a", AutoDetachObserver(fault, stop))
    with pytest.raises(error):
        table.deliver([message("/a")])
    # Not stuck in the delivery that was broken off.
    table.take("/a")
    table.add("/a", ended)
    table.deliver([message("/a", 1)])
    assert ended.data[-1:] == [1]


def test_names_without_end_are_not_remembered_without_end() -> None:
    table = dispatch()
    seen = Recorder()
    table.add("/**", seen)
    table.deliver([message(f"/{i}") for i in range(20_100)])
    assert len(seen.items) == 20_100
    assert len(vars(table)["_resolved"]) <= 10_000


def test_all_channels_that_are_observed_are_remembered() -> None:
    table = dispatch()
    seen = Recorder()
    messages = [message(f"/{i}") for i in range(20_000)]
    for i in range(20_000):
        table.add(f"/{i}", seen)
    table.deliver(messages)
    assert table.knows(messages)


def test_meta_messages_go_to_those_who_observe_their_channel() -> None:
    table = dispatch()
    seen, glob = Recorder(), Recorder()
    observed = [table.meta_observed]
    table.add("/meta/connect", seen)
    table.add("/**", glob)
    observed.append(table.meta_observed)
    odd: Any = [{"channel": None}, {}, {"channel": ["/meta/connect"]}, {"channel": "/a"}]
    meta: Any = [message("/meta/connect"), message("/meta/x")]
    table.deliver_meta([*meta, *odd])
    assert len(seen.items) == 1
    assert not glob.items
    table.remove("/meta/connect", seen)
    observed.append(table.meta_observed)
    assert observed == [False, True, False]


async def test_the_cost_does_not_grow_with_the_channels() -> None:
    """A message to one of many channels is one look-up: the observers of others are not seen."""
    table = dispatch()
    looked_at: list[str] = []

    class Key(str):
        __slots__ = ()

        def startswith(self, *_: Any) -> bool:
            looked_at.append(self)
            return False

    for i in range(100):
        table.add(Key(f"/c/{i}"), Recorder())
    looked_at.clear()
    table.deliver([message("/c/7")])
    assert not table.meta_observed
    assert not looked_at
