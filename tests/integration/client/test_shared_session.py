"""The lazy session: who opens it, who closes it, and what the state tells."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from typing import TYPE_CHECKING, Any

import pytest
import reactivex as rx
from reactivex import operators as ops

from rx_cometd import (
    ClientInvalidOperation,
    ClientState,
    ConnectionType,
    Extension,
    ServerError,
    StateChange,
    TransportTimeoutError,
)
from rx_cometd.extensions import Operators
from rx_cometd.testing import BayeuxServer
from tests.integration.client_driver import (
    BOTH,
    LONG_POLLING,
    NO_MORE,
    WEBSOCKET,
    Recorder,
    client_of,
    held,
    lingering,
    names,
    requests,
    subscribed,
)

if TYPE_CHECKING:
    from reactivex import abc

    from rx_cometd import Client

pytestmark = pytest.mark.usefixtures("nothing_left")

S = ClientState


# Opening and closing by observers


@BOTH
async def test_the_first_observer_opens_and_the_last_one_closes(kind: ConnectionType) -> None:
    async with BayeuxServer() as server:
        client = client_of(server, kind)
        first = Recorder(client.channel("/a"))
        second = Recorder(client.channel("/b"))
        await subscribed(server, "/b")
        assert len(server.sessions) == 1
        first.subscription.dispose()
        await subscribed(server, "/a", 0)
        await server.publish("/b", 1)
        await second.count(1)
        second.subscription.dispose()
        await lingering(server)
        await client.close()
        assert client.closed
        assert len(requests(server, "/meta/disconnect")) == 1
        assert not first.ended
        assert not second.ended


@BOTH
async def test_nothing_is_sent_before_the_first_observer(kind: ConnectionType) -> None:
    async with BayeuxServer() as server:
        client = client_of(server, kind)
        _ = client.channel("/a"), client.messages, client.state_changes
        Recorder(client.state_changes).subscription.dispose()
        await asyncio.sleep(0.02)  # nothing is sent meanwhile
        assert not server.received
        assert client.closed


@BOTH
async def test_an_open_client_outlives_its_observers(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        seen.subscription.dispose()
        await subscribed(server, "/a", 0)
        await client.publish("/a", 1)
        assert not client.closed


async def test_an_opening_that_an_extension_prevents_holds_nothing() -> None:
    class Reluctant(Extension):
        ready = False

        def operators(self) -> Operators:
            if not self.ready:
                raise LookupError("no configuration yet")
            return Operators()

    reluctant = Reluctant()
    async with BayeuxServer() as server:
        client = client_of(server, extensions=[reluctant])
        with pytest.raises(LookupError, match="no configuration yet"):
            await client.open()
        reluctant.ready = True
        observer = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        observer.subscription.dispose()  # the last one to go closes a session nobody opened
        await lingering(server)
        assert client.closed
        await client.close()


async def test_opening_what_observers_opened_already_takes_hold_of_it() -> None:
    async with BayeuxServer() as server:
        client = client_of(server)
        seen = Recorder(client.channel("/a"))
        await client.open()
        seen.subscription.dispose()
        await client.publish("/a", 1)
        await client.close()
        assert len(requests(server, "/meta/handshake")) == 1


@BOTH
async def test_a_dispose_and_a_subscribe_in_one_turn_send_nothing(kind: ConnectionType) -> None:
    async with BayeuxServer() as server:
        client = client_of(server, kind)
        first = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        await held(server)
        sent = client.statistics().messages_out
        first.subscription.dispose()
        second = Recorder(client.channel("/a"))
        await client.publish("/b", 1)
        assert client.statistics().messages_out - sent == 1
        assert names(server) == ["/a"]
        assert names(server, "/meta/unsubscribe") == []
        await server.publish("/a", 1)
        await second.count(1)
        await client.close()


async def test_a_subscribe_and_a_dispose_in_one_turn_send_nothing() -> None:
    async with BayeuxServer() as server, client_of(server) as client:
        Recorder(client.channel("/a")).subscription.dispose()
        await client.publish("/b", 1)
        assert names(server) == []
        assert names(server, "/meta/unsubscribe") == []


async def test_observing_and_leaving_at_once_leaves_nothing() -> None:
    async with BayeuxServer() as server:
        client = client_of(server)
        Recorder(client.channel("/a")).subscription.dispose()
        await client.close()
        assert client.closed
        assert not server.sessions


@BOTH
async def test_a_new_observer_while_the_old_session_is_closing(kind: ConnectionType) -> None:
    async with BayeuxServer() as server:
        client = client_of(server, kind)
        changes = Recorder(client.state_changes)
        old = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        server.faults.delay_replies(0.05, "/meta/disconnect")
        old.subscription.dispose()
        await server.until(lambda: requests(server, "/meta/disconnect"))
        new = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        await server.publish("/a", 1)
        await new.count(1)
        assert not old.items
        await changes.until(lambda: changes.items[-1].state is S.CONNECTED)
        assert client.state is S.CONNECTED
        await client.close()
        assert not server.sessions


@BOTH
async def test_an_observer_may_leave_before_the_session_is_there(kind: ConnectionType) -> None:
    async with BayeuxServer() as server:
        server.faults.stall()
        client = client_of(server, kind)
        seen = Recorder(client.channel("/a"))
        await asyncio.sleep(0.02)  # the handshake is under way: the server is silent
        seen.subscription.dispose()
        await client.close()
        assert client.closed
        assert not seen.ended


@BOTH
async def test_close_completes_observers_without_an_open(kind: ConnectionType) -> None:
    async with BayeuxServer() as server:
        client = client_of(server, kind)
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        await client.close()
        assert seen.completed
        assert not server.sessions


async def test_an_unreachable_server_fails_the_observers() -> None:
    async with BayeuxServer() as server:
        await server.stop()
        client = client_of(server, connection_timeout=0.1)
        error = await Recorder(client.channel("/a")).fails()
        assert isinstance(error, TransportTimeoutError)
        assert client.closed
        await client.close()


# Subscribing anew


@BOTH
async def test_retry_reopens_after_a_timeout(kind: ConnectionType) -> None:
    async with BayeuxServer() as server:
        client = client_of(server, kind, connection_timeout=1.0)
        changes = Recorder(client.state_changes)
        seen = Recorder(client.channel("/a").pipe(ops.retry()))
        await subscribed(server, "/a")
        await server.stop()
        await changes.until(lambda: any(_gave_up(c) for c in changes.items))
        await server.start()
        await subscribed(server, "/a")
        await server.publish("/a", 1)
        await seen.count(1)
        await client.close()
        assert seen.completed


def _gave_up(change: StateChange) -> bool:
    return change.state is S.DISCONNECTED and isinstance(change.error, TransportTimeoutError)


@BOTH
async def test_retry_reopens_after_a_server_error(kind: ConnectionType) -> None:
    async with BayeuxServer() as server:
        client = client_of(server, kind)
        seen = Recorder(client.channel("/a").pipe(ops.retry(3)))
        await subscribed(server, "/a")
        await held(server)
        first = client.client_id
        await server.disconnect(first or "", advice=NO_MORE)
        await subscribed(server, "/a")
        assert client.client_id != first
        await server.publish("/a", 1)
        await seen.count(1)
        await client.close()


async def test_retry_of_several_channels_shares_one_new_session() -> None:
    async with BayeuxServer() as server:
        client = client_of(server)
        channels = [client.channel(f"/{i}").pipe(ops.retry()) for i in range(5)]
        seen = Recorder(rx.merge(*channels))
        await subscribed(server, "/4")
        await server.disconnect(client.client_id or "", advice=NO_MORE)
        await subscribed(server, "/4")
        assert len(server.sessions) == 1
        assert len(requests(server, "/meta/handshake")) == 2
        for i in range(5):
            await server.publish(f"/{i}", i)
        await seen.count(5)
        await client.close()


async def test_repeat_subscribes_anew_after_closing() -> None:
    async with BayeuxServer() as server:
        client = client_of(server)
        seen = Recorder(client.channel("/a").pipe(ops.repeat(2)))
        await subscribed(server, "/a")
        await client.close()
        await subscribed(server, "/a")
        await server.publish("/a", 1)
        await seen.count(1)
        await client.close()
        assert seen.completed


async def test_a_held_client_whose_session_ended_is_not_reopened_by_itself() -> None:
    async with BayeuxServer() as server:
        client = client_of(server)
        await client.open()
        await server.disconnect(client.client_id or "", advice=NO_MORE)
        changes = Recorder(client.state_changes)
        await changes.until(lambda: changes.items[-1].state is S.DISCONNECTED)
        assert client.closed
        with pytest.raises(ClientInvalidOperation):
            await client.publish("/a", 1)
        await client.close()


# The state


@BOTH
async def test_state_changes_begin_with_the_present_one(kind: ConnectionType) -> None:
    async with BayeuxServer() as server:
        client = client_of(server, kind)
        early = Recorder(client.state_changes)
        assert early.items == [StateChange(S.DISCONNECTED)]
        async with client:
            late = Recorder(client.state_changes)
            assert late.items == [StateChange(S.CONNECTED, client.client_id, kind)]
            client_id = client.client_id
        assert [c.state for c in early.items] == [
            S.DISCONNECTED,
            S.HANDSHAKING,
            S.CONNECTING,
            S.CONNECTED,
            S.DISCONNECTING,
            S.DISCONNECTED,
        ]
        assert [c.client_id for c in early.items[2:5]] == [client_id] * 3
        assert {c.resumed for c in early.items} == {False}
        assert {c.error for c in early.items} == {None}
        assert not early.ended


@BOTH
async def test_state_changes_tell_a_resumed_session_from_a_new_one(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        changes = Recorder(client.state_changes)
        await held(server)
        server.faults.drop_link()
        await changes.until(lambda: changes.items[-1].resumed)
        assert [c.state for c in changes.items] == [S.CONNECTED, S.UNCONNECTED, S.CONNECTED]
        assert changes.items[1].error is not None
        assert changes.items[2].client_id == changes.items[0].client_id
        await held(server)
        server.faults.forget()
        await changes.until(lambda: len(changes.items) == 6)
        states = [c.state for c in changes.items[3:]]
        assert states == [S.REHANDSHAKING, S.CONNECTING, S.CONNECTED]
        assert isinstance(changes.items[3].error, ServerError)
        assert not changes.items[5].resumed
        assert changes.items[5].client_id != changes.items[0].client_id


async def test_the_client_is_closed_when_it_says_so() -> None:
    """An observer of the state may open a new session when the old one ended."""
    async with BayeuxServer() as server:
        client = client_of(server)
        closed: list[bool] = []

        def look(change: StateChange) -> None:
            if change.state is S.DISCONNECTED:
                closed.append(client.closed)

        client.state_changes.subscribe(look)
        await client.open()
        await client.close()
        assert closed == [True, True]


async def test_a_channel_may_be_observed_from_within_a_state_change() -> None:
    async with BayeuxServer() as server:
        client = client_of(server)
        states = Recorder(client.state_changes)
        found: list[Recorder] = []

        def reopen(change: StateChange) -> None:
            if change.error is not None:
                found.append(Recorder(client.channel("/a")))

        watching = client.state_changes.subscribe(reopen)
        later = Recorder(client.state_changes)
        await client.open()
        await server.disconnect(client.client_id or "", advice=NO_MORE)
        await subscribed(server, "/a")
        await server.publish("/a", 1)
        await found[0].count(1)
        await later.until(lambda: later.items[-1].state is S.CONNECTED)
        # In the same order for everybody, though it was changed while it was being told.
        assert states.items == later.items
        assert [c.state for c in later.items][-4:] == [
            S.DISCONNECTED,
            S.HANDSHAKING,
            S.CONNECTING,
            S.CONNECTED,
        ]
        watching.dispose()
        await client.close()


async def test_what_an_observer_changes_at_once_is_told_after_that() -> None:
    async with BayeuxServer() as server:
        client = client_of(server)
        states: list[S] = []
        within: list[S] = []

        def observe(change: StateChange) -> None:
            assert not within  # never told within what it is being told
            within.append(change.state)
            if not states:
                client.channel("/a").subscribe()
            states.append(within.pop())

        client.state_changes.subscribe(observe)
        assert states == [S.DISCONNECTED, S.HANDSHAKING]
        await client.close()


async def test_an_observer_of_the_state_that_raises_at_once_is_forgotten() -> None:
    async with BayeuxServer() as server:
        client = client_of(server)

        class Refusing:
            def __call__(self, change: StateChange) -> None:
                client.channel("/a").subscribe()
                raise LookupError("mine")

        refusing = Refusing()
        collected = weakref.ref(refusing)
        seen = Recorder(client.state_changes)
        client.state_changes.subscribe(refusing, lambda _: None)
        # What it changed before it raised is told.
        assert [c.state for c in seen.items] == [S.DISCONNECTED, S.HANDSHAKING]
        del refusing
        gc.collect()
        assert collected() is None
        await client.close()


async def test_an_observer_of_the_state_that_raises_hurts_itself_alone() -> None:
    async with BayeuxServer() as server:
        client = client_of(server)
        errors: list[Exception] = []

        def refuse(change: StateChange) -> None:
            if change.state is S.CONNECTED:
                raise LookupError("mine")

        client.state_changes.subscribe(refuse, errors.append)
        seen = Recorder(client.state_changes)
        async with client:
            assert [str(e) for e in errors] == ["mine"]
        assert seen.items[-1].state is S.DISCONNECTED


async def test_an_observer_of_the_state_that_raises_at_once() -> None:
    async with BayeuxServer() as server:
        client = client_of(server)
        calls: list[StateChange] = []
        errors: list[Exception] = []

        def refuse(change: StateChange) -> None:
            calls.append(change)
            raise LookupError("mine")

        client.state_changes.subscribe(refuse, errors.append)
        assert [str(e) for e in errors] == ["mine"]
        async with client:
            assert len(calls) == 1


async def test_without_on_error_the_loop_is_told() -> None:
    told: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(context))
    async with BayeuxServer() as server:
        client = client_of(server)

        def refuse(change: StateChange) -> None:
            if change.state is S.CONNECTED:
                raise LookupError("mine")

        client.state_changes.subscribe(refuse)
        async with client:
            pass
    assert [str(c["exception"]) for c in told] == ["mine"]


async def test_leaving_the_state_from_within() -> None:
    async with BayeuxServer() as server:
        client = client_of(server)
        seen: list[StateChange] = []
        handles: list[abc.DisposableBase] = []

        def leave(change: StateChange) -> None:
            seen.append(change)
            if change.state is S.HANDSHAKING:
                handles[0].dispose()

        handles.append(client.state_changes.subscribe(leave))
        async with client:
            pass
        assert [c.state for c in seen] == [S.DISCONNECTED, S.HANDSHAKING]


def test_the_state_is_observed_on_a_loop() -> None:
    client = client_of("http://127.0.0.1:9/cometd")
    with pytest.raises(RuntimeError, match="event loop"):
        client.state_changes.subscribe(print)


# Threads


async def test_disposing_from_another_thread() -> None:
    async with BayeuxServer() as server:
        client = client_of(server, WEBSOCKET)
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        thread = threading.Thread(target=seen.subscription.dispose)
        thread.start()
        thread.join()
        await lingering(server)
        assert names(server, "/meta/unsubscribe") in ([], ["/a"])
        await client.close()


def test_disposing_after_the_loop_is_gone() -> None:
    kept: list[Recorder] = []

    async def run() -> None:
        async with BayeuxServer() as server, client_of(server) as client:
            kept.append(Recorder(client.channel("/a")))
            await subscribed(server, "/a")

    asyncio.run(run())
    kept[0].subscription.dispose()
    thread = threading.Thread(target=kept[0].subscription.dispose)
    thread.start()
    thread.join()
    assert kept[0].completed


def test_a_client_can_be_used_on_one_loop_after_another() -> None:
    server = BayeuxServer()
    clients: list[Client] = []

    async def run(value: int) -> None:
        async with server:
            if not clients:
                clients.append(client_of(server, LONG_POLLING))
            async with clients[0] as client:
                seen = Recorder(client.channel("/a"))
                await client.subscribe("/a")
                receiving = asyncio.create_task(client.receive())
                await asyncio.sleep(0)
                await client.publish("/a", value)
                assert (await receiving).get("data") == value
                assert (await seen.count(1))[0]["data"] == value

    for value in range(2):
        asyncio.run(run(value))
    assert clients[0].closed


@pytest.mark.parametrize("raised", [asyncio.CancelledError, GeneratorExit, ValueError])
async def test_whatever_an_observer_of_the_state_raises_ends_it_alone(
    raised: type[BaseException],
) -> None:
    async with BayeuxServer() as server:
        client = client_of(server)
        errors: list[BaseException] = []

        def fail(change: StateChange) -> None:
            if change.state is not ClientState.DISCONNECTED:
                raise raised

        client.state_changes.subscribe(fail, errors.append)
        changes = Recorder(client.state_changes)
        async with client:
            assert changes.items[-1].state is client.state
        assert [type(error) for error in errors] == [raised]
        assert [changes.items[-1].state, client.state] == [ClientState.DISCONNECTED] * 2


async def test_whatever_an_observer_raises_at_the_end_the_others_are_told() -> None:
    async with BayeuxServer() as server, client_of(server) as client:
        unhandled: list[Any] = []
        loop = asyncio.get_running_loop()
        before = loop.get_exception_handler()
        loop.set_exception_handler(lambda _, context: unhandled.append(context["exception"]))

        def cancel() -> None:
            raise asyncio.CancelledError

        client.channel("/a").subscribe(on_completed=cancel)
        seen = Recorder(client.channel("/a"))
        await client.close()
        assert seen.completed
        assert [type(error) for error in unhandled] == [asyncio.CancelledError]
        loop.set_exception_handler(before)
