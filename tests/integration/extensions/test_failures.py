"""Extensions that raise, drop, never answer, reorder: nothing hangs, nothing is lost in silence."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

import pytest
import reactivex as rx
from reactivex import abc
from reactivex import operators as ops
from reactivex.disposable import Disposable

from rx_cometd import (
    ClientState,
    ConnectionType,
    Extension,
    ExtensionError,
    Payload,
    TransportError,
)
from rx_cometd.extensions import MemoryStore, ack, replay
from rx_cometd.testing import BayeuxServer, ReplayLog, ServiceRequest
from tests.integration.client_driver import BOTH, Recorder, client_of, held, requests, subscribed
from tests.integration.extensions.driver import Witness

if TYPE_CHECKING:
    from collections.abc import Callable

    from reactivex import Observable

    from rx_cometd.extension import PayloadOperator

pytestmark = pytest.mark.usefixtures("nothing_left")

NETWORK_DELAY = 0.2


def channels(payload: Payload) -> list[str]:
    return [m.get("channel", "") for m in payload.messages]


def has(payload: Payload, what: str) -> bool:
    """Tell whether a payload has a message of a channel, or with such data."""
    return what in channels(payload) or any(m.get("data") == what for m in payload.messages)


def causes(error: BaseException | None) -> list[type[BaseException]]:
    found: list[type[BaseException]] = []
    while error is not None:
        found.append(type(error))
        error = error.__cause__
    return found


async def never() -> Payload:
    await asyncio.get_running_loop().create_future()
    raise AssertionError


# What extensions do to payloads that have something


def dropping_messages(what: str) -> PayloadOperator:
    def drop(payload: Payload) -> None:
        payload.messages[:] = [
            m for m in payload.messages if m.get("channel") != what and m.get("data") != what
        ]

    return ops.do_action(drop)


def filtering(what: str) -> PayloadOperator:
    def desired(payload: Payload) -> bool:
        return not has(payload, what)

    return ops.filter(desired)


def raising(what: str) -> PayloadOperator:
    def act(payload: Payload) -> None:
        if has(payload, what):
            raise ValueError("the extension's fault")

    return ops.do_action(act)


def cancelling(what: str) -> PayloadOperator:
    def act(payload: Payload) -> None:
        if has(payload, what):
            raise asyncio.CancelledError

    return ops.do_action(act)


def raising_later(what: str) -> PayloadOperator:
    async def act(payload: Payload) -> Payload:
        await asyncio.sleep(0)
        if has(payload, what):
            raise ValueError("the extension's fault")
        return payload

    return in_order(act)


def hanging(what: str) -> PayloadOperator:
    async def act(payload: Payload) -> Payload:
        return await never() if has(payload, what) else payload

    return in_order(act)


def in_order(act: Callable[[Payload], Any]) -> PayloadOperator:
    def start(payload: Payload) -> Observable[Payload]:
        # Cold: begun when its turn has come, cancelled when nobody waits any more.
        return rx.defer(lambda _: rx.from_future(asyncio.ensure_future(act(payload))))

    return ops.concat_map(start)


def out_of_order(delay: Callable[[Payload], float]) -> PayloadOperator:
    def start(payload: Payload) -> Observable[Payload]:
        return rx.of(payload).pipe(ops.delay(delay(payload)))

    return ops.flat_map(start)


BAD = {
    "drops messages": dropping_messages,
    "filters": filtering,
    "raises": raising,
    "cancels": cancelling,
    "raises later": raising_later,
    "hangs": hanging,
}
BADLY = pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
SOME = pytest.mark.parametrize(
    "bad", [dropping_messages, raising, hanging], ids=lambda b: b.__name__
)


def impatient(server: BayeuxServer, kind: ConnectionType, **settings: Any) -> Any:
    return client_of(server, kind, **({"max_network_delay": NETWORK_DELAY} | settings))


# Outbound


@BOTH
@BADLY
async def test_a_publish_that_does_not_come_out_fails(
    kind: ConnectionType,
    bad: Callable[[str], PayloadOperator],
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with (
        BayeuxServer() as server,
        impatient(server, kind, extensions=[Extension.of(outbound=bad("/bad"))]) as client,
    ):
        await held(server)
        socket = client.statistics().reconnects
        begun = time.monotonic()
        with pytest.raises(ExtensionError) as caught:
            await client.publish("/bad", 1)
        assert time.monotonic() - begun < NETWORK_DELAY + 8
        if "raising" in bad.__name__:
            assert causes(caught.value) == [ExtensionError, ValueError]
        if bad is not dropping_messages:
            assert "extension" in caplog.text
        # The others go on, over the same link.
        assert (await client.publish("/good", 1))["successful"] is True
        with pytest.raises(ExtensionError):
            await client.publish("/bad", 2)
        assert (await client.publish("/good", 2))["successful"] is True
        assert client.statistics().reconnects == socket
        assert client.state is ClientState.CONNECTED
        assert requests(server, "/bad") == []


@BOTH
@BADLY
async def test_a_subscribe_that_does_not_come_out_fails_for_its_observers(
    kind: ConnectionType, bad: Callable[[str], PayloadOperator]
) -> None:
    def is_bad(payload: Payload) -> None:
        for message in payload.messages:
            if message.get("subscription") == "/bad":
                message["data"] = "bad"

    operator = rx.compose(ops.do_action(is_bad), bad("bad"))
    async with (
        BayeuxServer() as server,
        impatient(server, kind, extensions=[Extension.of(outbound=operator)]) as client,
    ):
        first, second = Recorder(client.channel("/bad")), Recorder(client.channel("/bad"))
        assert isinstance(await first.fails(), ExtensionError)
        assert isinstance(await second.fails(), ExtensionError)
        with pytest.raises(ExtensionError):
            await client.subscribe("/bad")
        good = Recorder(client.channel("/good"))
        await subscribed(server, "/good")
        await server.publish("/good", 1)
        await good.count(1)
        # The reply may come after the event, on another connection.
        await server.until(lambda: client.subscriptions == {"/good"})


@BOTH
@SOME
@pytest.mark.parametrize("channel", ["/meta/handshake", "/meta/connect"])
async def test_opening_does_not_hang(
    kind: ConnectionType, bad: Callable[[str], PayloadOperator], channel: str
) -> None:
    extension = Extension.of(outbound=bad(channel))
    async with BayeuxServer() as server:
        client = client_of(
            server, kind, extensions=[extension], max_network_delay=0.1, connection_timeout=None
        )
        errors = Recorder(client.state_changes)
        async with asyncio.timeout(30):
            with pytest.raises(ExtensionError):
                await client.open()
        assert any(isinstance(change.error, ExtensionError) for change in errors.items)
        assert client.closed
        assert requests(server, channel) == []


@BOTH
@SOME
async def test_a_handshake_that_fails_once_is_made_again(
    kind: ConnectionType, bad: Callable[[str], PayloadOperator]
) -> None:
    passed = 0

    def first_only(payload: Payload) -> None:
        nonlocal passed
        passed += 1
        if passed == 1:
            payload.messages[0]["data"] = "bad"

    operator = rx.compose(ops.do_action(first_only), bad("bad"))
    async with (
        BayeuxServer() as server,
        impatient(server, kind, extensions=[Extension.of(outbound=operator)]) as client,
    ):
        assert (await client.publish("/good", 1))["successful"] is True


@BOTH
@SOME
async def test_a_connect_that_fails_once_is_made_again_in_the_same_session(
    kind: ConnectionType, bad: Callable[[str], PayloadOperator]
) -> None:
    connects = 0

    def third_only(payload: Payload) -> None:
        nonlocal connects
        if has(payload, "/meta/connect"):
            connects += 1
            if connects == 3:
                payload.messages[0]["data"] = "bad"

    operator = rx.compose(ops.do_action(third_only), bad("bad"))
    async with (
        BayeuxServer(timeout=0.05) as server,
        impatient(server, kind, extensions=[Extension.of(outbound=operator)]) as client,
    ):
        client_id = client.client_id
        states = Recorder(client.state_changes)
        await states.until(lambda: [s.state.name for s in states.items][-2:] == DOWN_AND_UP)
        assert isinstance(states.items[-2].error, ExtensionError)
        assert client.client_id == client_id
        assert states.items[-1].resumed is True


DOWN_AND_UP = ["UNCONNECTED", "CONNECTED"]


@BOTH
@SOME
async def test_a_disconnect_that_does_not_come_out_does_not_keep_the_client_open(
    kind: ConnectionType, bad: Callable[[str], PayloadOperator]
) -> None:
    async with BayeuxServer(max_interval=0.1) as server:
        client = impatient(
            server, kind, extensions=[Extension.of(outbound=bad("/meta/disconnect"))]
        )
        await client.open()
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        async with asyncio.timeout(30):
            await client.close()
        assert seen.completed
        assert client.closed


@BOTH
@SOME
async def test_a_resubscribe_that_does_not_come_out_fails_for_its_observers(
    kind: ConnectionType, bad: Callable[[str], PayloadOperator]
) -> None:
    subscribes = 0

    def second_only(payload: Payload) -> None:
        nonlocal subscribes
        if has(payload, "/meta/subscribe"):
            subscribes += 1
            if subscribes == 2:
                payload.messages[0]["data"] = "bad"

    operator = rx.compose(ops.do_action(second_only), bad("bad"))
    async with (
        BayeuxServer(timeout=0.1) as server,
        impatient(server, kind, extensions=[Extension.of(outbound=operator)]) as client,
    ):
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        server.faults.forget()
        assert isinstance(await seen.fails(), ExtensionError)
        await held(server)
        again = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        await server.publish("/a", 1)
        await again.count(1)


@BOTH
async def test_what_waits_behind_a_stuck_payload_fails_too_and_what_comes_after_does_not(
    kind: ConnectionType,
) -> None:
    entered = asyncio.Event()

    def enter(payload: Payload) -> None:
        if has(payload, "stuck"):
            entered.set()

    operator = rx.compose(ops.do_action(enter), hanging("stuck"))
    async with (
        BayeuxServer() as server,
        impatient(server, kind, extensions=[Extension.of(outbound=operator)]) as client,
    ):
        await held(server)
        publishes = [asyncio.ensure_future(client.publish("/a", "stuck"))]
        await entered.wait()
        publishes.append(asyncio.ensure_future(client.publish("/a", "behind")))
        stuck, behind = await asyncio.gather(*publishes, return_exceptions=True)
        assert isinstance(stuck, ExtensionError)
        # Ordinary payloads wait for each other before the extensions: this one went in after.
        assert not isinstance(behind, BaseException)
        assert [m["data"] for m in requests(server, "/a")] == ["behind"]


@BOTH
async def test_what_comes_out_too_late_is_not_sent(
    kind: ConnectionType, caplog: pytest.LogCaptureFixture
) -> None:
    operator = out_of_order(lambda p: NETWORK_DELAY * 5 if has(p, "late") else 0.01)
    async with (
        BayeuxServer(timeout=0.05) as server,  # connects pass meanwhile: it is not stuck
        impatient(server, kind, extensions=[Extension.of(outbound=operator)]) as client,
    ):
        with pytest.raises(ExtensionError, match="in time"):
            await client.publish("/a", "late")
        await server.until(lambda: "too late" in caplog.text)
        await client.publish("/a", "good")
        assert [m["data"] for m in requests(server, "/a")] == ["good"]


@BOTH
@pytest.mark.parametrize("times", [2, 3])
async def test_what_comes_out_twice_is_sent_once(
    kind: ConnectionType, times: int, caplog: pytest.LogCaptureFixture
) -> None:
    def again(payload: Payload) -> Observable[Payload]:
        return rx.of(payload).pipe(ops.repeat(times))

    extension = Extension.of(outbound=ops.flat_map(again))
    async with (
        BayeuxServer() as server,
        client_of(server, kind, extensions=[extension]) as client,
    ):
        await client.publish("/a", 1)
        await client.publish("/a", 2)
        assert [m["data"] for m in requests(server, "/a")] == [1, 2]
    assert "an extension made it" in caplog.text


@BOTH
async def test_outbound_payloads_out_of_order(kind: ConnectionType) -> None:
    operator = out_of_order(lambda p: 0.1 if has(p, "/meta/connect") else 0.0)
    async with (
        BayeuxServer(timeout=0.02) as server,
        client_of(server, kind, extensions=[Extension.of(outbound=operator)]) as client,
    ):
        for n in range(10):
            assert (await client.publish("/a", n))["successful"] is True
        assert [m["data"] for m in requests(server, "/a")] == list(range(10))


@BOTH
async def test_a_payload_taken_to_pieces_outbound_is_not_half_sent_in_silence(
    kind: ConnectionType, caplog: pytest.LogCaptureFixture
) -> None:
    def apart(payload: Payload) -> Observable[Payload]:
        return rx.from_iterable([Payload([m], payload.headers) for m in payload.messages])

    async with (
        BayeuxServer() as server,
        client_of(server, kind, extensions=[Extension.of(outbound=ops.flat_map(apart))]) as client,
    ):
        results = await asyncio.gather(
            client.publish("/a", 1), client.publish("/a", 2), return_exceptions=True
        )
        assert not isinstance(results[0], BaseException)
        assert isinstance(results[1], ExtensionError)
        assert [m["data"] for m in requests(server, "/a")] == [1]
    assert "an extension made it" in caplog.text


@BOTH
async def test_what_was_given_up_meanwhile_is_not_sent(kind: ConnectionType) -> None:
    gate = asyncio.Event()

    async def wait(payload: Payload) -> Payload:
        if has(payload, "/a"):
            await gate.wait()
        return payload

    extension = Extension.of(outbound=in_order(wait))
    async with (
        BayeuxServer() as server,
        client_of(server, kind, extensions=[extension]) as client,
    ):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await client.publish("/a", "given up")
        kept = asyncio.ensure_future(client.publish("/a", "kept"))
        gate.set()
        await kept
        assert [m["data"] for m in requests(server, "/a")] == ["kept"]


@BOTH
@pytest.mark.parametrize("way", ["inbound", "outbound"])
@pytest.mark.parametrize("count", [0, 1, 3])
async def test_operators_that_complete_are_made_anew(
    kind: ConnectionType, way: str, count: int, caplog: pytest.LogCaptureFixture
) -> None:
    extension = Extension.of(**{way: ops.take(count)})
    async with BayeuxServer(timeout=0.1) as server:
        patience = 30.0 if count else 0.3
        client = impatient(server, kind, extensions=[extension], connection_timeout=patience)
        if count == 0:
            with pytest.raises(ExtensionError, match="completed"):
                await client.open()
        else:
            async with client:
                for n in range(4):
                    await client.publish("/a", n)
    assert "completed" in caplog.text
    assert "a new pipeline is made" in caplog.text


def failing_when_made(_: Observable[Payload]) -> Observable[Payload]:
    raise ValueError("not this time")


def failing_when_subscribed(_: Observable[Payload]) -> Observable[Payload]:
    def subscribe(
        observer: abc.ObserverBase[Payload], _: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        observer.on_error(ValueError("not this time"))
        return Disposable()

    return rx.Observable(subscribe)


def failing_a_turn_later(_: Observable[Payload]) -> Observable[Payload]:
    return rx.throw(ValueError("not this time"))


@BOTH
@pytest.mark.parametrize("way", ["inbound", "outbound"])
@pytest.mark.parametrize("operator", [failing_when_subscribed, failing_a_turn_later])
async def test_operators_that_fail_at_once(
    kind: ConnectionType, way: str, operator: PayloadOperator, caplog: pytest.LogCaptureFixture
) -> None:
    async with BayeuxServer() as server:
        extension = Extension.of(**{way: operator})
        client = impatient(server, kind, extensions=[extension], connection_timeout=0.3)
        with pytest.raises(ExtensionError):
            await client.open()
        assert "not this time" in caplog.text
        # It is tried with each payload, and not in between.
        assert len(caplog.records) < 200


@BOTH
@pytest.mark.parametrize("way", ["inbound", "outbound"])
async def test_operators_that_cannot_be_made(kind: ConnectionType, way: str) -> None:
    async with BayeuxServer() as server:
        client = impatient(server, kind, extensions=[Extension.of(**{way: failing_when_made})])
        with pytest.raises(ValueError, match="not this time"):
            await client.open()
        assert client.closed


@BOTH
async def test_operators_that_cannot_be_made_anew(
    kind: ConnectionType, caplog: pytest.LogCaptureFixture
) -> None:
    made = 0

    def once(source: Observable[Payload]) -> Observable[Payload]:
        nonlocal made
        made += 1
        if made == 2:
            raise ValueError("not this time")
        return source.pipe(raising("/bad"))

    async with (
        BayeuxServer() as server,
        impatient(server, kind, extensions=[Extension.of(outbound=once)]) as client,
    ):
        await held(server)
        with pytest.raises(ExtensionError):
            await client.publish("/bad", 1)
        assert "cannot be made again" in caplog.text
        assert (await client.publish("/good", 1))["successful"] is True
        assert made == 3


@BOTH
async def test_payloads_of_an_extensions_own_at_the_start(
    kind: ConnectionType, caplog: pytest.LogCaptureFixture
) -> None:
    made_up: Any = {"channel": "/made", "data": "up"}
    start = ops.start_with(Payload([made_up]))
    async with (
        BayeuxServer() as server,
        impatient(server, kind, extensions=[Extension.of(start, start)]) as client,
    ):
        assert (await client.publish("/a", 1))["successful"] is True
        assert requests(server, "/made") == []
    assert "an extension made it" in caplog.text


# Inbound


@BOTH
@pytest.mark.parametrize(
    "bad", [raising, cancelling, raising_later, hanging], ids=lambda bad: bad.__name__
)
async def test_events_of_a_failing_extension_are_delivered(
    kind: ConnectionType,
    bad: Callable[[str], PayloadOperator],
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with (
        BayeuxServer(timeout=1) as server,
        impatient(server, kind, extensions=[Extension.of(inbound=bad("bad"))]) as client,
    ):
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        for data in ("good", "bad", "bad", "good"):
            await held(server)
            await server.publish("/a", data)
        await seen.until(lambda: len(seen.items) >= 4)
        assert seen.data == ["good", "bad", "bad", "good"]
        assert (await client.publish("/b", 1))["successful"] is True
    assert any(r.levelno == logging.ERROR for r in caplog.records)
    assert "extension" in caplog.text


@BOTH
async def test_events_behind_which_another_fails_are_delivered(kind: ConnectionType) -> None:
    """Only the operators hold the first one, until they are disposed of."""

    def act(payload: Payload) -> Observable[Payload]:
        if has(payload, "bad"):
            raise ValueError("the extension's fault")
        return rx.of(payload).pipe(ops.delay(NETWORK_DELAY / 2 if has(payload, "slow") else 0))

    extension = Extension.of(inbound=ops.flat_map(act))
    async with (
        BayeuxServer(timeout=1) as server,
        impatient(server, kind, extensions=[extension]) as client,
    ):
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        await held(server)
        await client.publish("/b", 1)  # the reply to the subscribe is in
        await server.publish("/a", "slow")
        await server.publish("/a", "bad")
        await seen.until(lambda: len(seen.items) >= 2)
        assert seen.data == ["slow", "bad"]


@BOTH
@BADLY
async def test_a_publish_whose_reply_does_not_come_in_fails(
    kind: ConnectionType, bad: Callable[[str], PayloadOperator]
) -> None:
    async with (
        BayeuxServer() as server,
        impatient(server, kind, extensions=[Extension.of(inbound=bad("/bad"))]) as client,
    ):
        await held(server)
        with pytest.raises(ExtensionError):
            await client.publish("/bad", 1)
        assert (await client.publish("/good", 1))["successful"] is True
        assert len(requests(server, "/bad")) == 1
        assert client.state is ClientState.CONNECTED
        assert client.statistics().reconnects == 0


@BOTH
@SOME
async def test_opening_does_not_hang_on_a_reply(
    kind: ConnectionType, bad: Callable[[str], PayloadOperator]
) -> None:
    extension = Extension.of(inbound=bad("/meta/handshake"))
    async with BayeuxServer() as server:
        client = client_of(
            server, kind, extensions=[extension], max_network_delay=0.1, connection_timeout=None
        )
        async with asyncio.timeout(30):
            with pytest.raises(ExtensionError):
                await client.open()


@BOTH
@SOME
async def test_a_subscribe_whose_reply_does_not_come_in_fails(
    kind: ConnectionType, bad: Callable[[str], PayloadOperator]
) -> None:
    async with (
        BayeuxServer() as server,
        impatient(
            server, kind, extensions=[Extension.of(inbound=bad("/meta/subscribe"))]
        ) as client,
    ):
        seen = Recorder(client.channel("/a"))
        assert isinstance(await seen.fails(), ExtensionError)
        assert client.state is ClientState.CONNECTED


@BOTH
async def test_events_out_of_order_are_all_delivered(kind: ConnectionType) -> None:
    operator = out_of_order(lambda p: 0.1 if has(p, "first") else 0.0)
    async with (
        BayeuxServer(timeout=1) as server,
        client_of(server, kind, extensions=[Extension.of(inbound=operator)]) as client,
    ):
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        await held(server)
        await server.publish("/a", "first")
        await server.publish("/a", "second")
        await seen.count(2)
        assert sorted(seen.data) == ["first", "second"]


@BOTH
async def test_events_emitted_twice_are_delivered_twice(kind: ConnectionType) -> None:
    def again(payload: Payload) -> Observable[Payload]:
        return rx.of(payload, payload)

    async with (
        BayeuxServer() as server,
        client_of(server, kind, extensions=[Extension.of(inbound=ops.flat_map(again))]) as client,
    ):
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        await server.publish("/a", 1)
        await seen.count(2)
        assert (await client.publish("/b", 1))["successful"] is True
        assert client.statistics().reconnects == 0


@BOTH
@pytest.mark.parametrize("delay", [None, 0.01])
async def test_inbound_payloads_taken_to_pieces(kind: ConnectionType, delay: float | None) -> None:
    def apart(payload: Payload) -> Observable[Payload]:
        pieces = rx.from_iterable([Payload([m], payload.headers) for m in payload.messages])
        return pieces if delay is None else pieces.pipe(ops.delay(delay))

    async with (
        BayeuxServer(timeout=0.2, messages_per_frame=None) as server,
        impatient(server, kind, extensions=[Extension.of(inbound=ops.concat_map(apart))]) as client,
    ):
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        await held(server)
        [session] = server.sessions.values()
        for n in range(5):
            server.deliver(session.client_id, "/a", n)
        results = await asyncio.gather(*(client.publish("/b", n) for n in range(5)))
        assert all(reply["successful"] for reply in results)
        await seen.until(lambda: len(seen.items) >= 5)
        assert seen.data == list(range(5))
        await held(server)
        assert client.statistics().reconnects == 0


@BOTH
async def test_inbound_payloads_gathered_into_one(kind: ConnectionType) -> None:
    def together(payloads: list[Payload]) -> Payload:
        return Payload([m for payload in payloads for m in payload.messages])

    def gathering(source: Observable[Payload]) -> Observable[Payload]:
        lists: Observable[Any] = source.pipe(ops.buffer_with_time_or_count(0.02, 100))
        return lists.pipe(ops.filter(bool), ops.map(together))

    async with (
        BayeuxServer(timeout=0.2) as server,
        impatient(server, kind, extensions=[Extension.of(inbound=gathering)]) as client,
    ):
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        for n in range(5):
            await server.publish("/a", n)
        results = await asyncio.gather(*(client.publish("/b", n) for n in range(5)))
        assert all(reply["successful"] for reply in results)
        await seen.until(lambda: len(seen.items) >= 5)
        assert seen.data == list(range(5))


# Malformed payloads


def no_payload(payload: Payload) -> Any:
    return None if has(payload, "/bad") else payload


def no_list(payload: Payload) -> Payload:
    changed: Any = payload
    if has(payload, "/bad"):
        changed.messages = None
    return payload


def no_messages(payload: Payload) -> Payload:
    changed: Any = payload
    if has(payload, "/bad"):
        changed.messages = ["nothing", 7]
    return payload


MALFORMED = pytest.mark.parametrize("change", [no_payload, no_list, no_messages])


@BOTH
@MALFORMED
@pytest.mark.parametrize(
    ("way", "delay"), [("inbound", None), ("inbound", 0.01), ("outbound", None)]
)
async def test_a_malformed_payload_fails_its_requests(
    kind: ConnectionType,
    change: Callable[[Payload], Payload],
    delay: float | None,
    way: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    operator: Any = ops.map(change)
    if delay is not None:
        operator = rx.compose(ops.delay(delay), operator)
    async with (
        BayeuxServer() as server,
        impatient(server, kind, extensions=[Extension.of(**{way: operator})]) as client,
    ):
        await held(server)
        with pytest.raises(ExtensionError):
            await client.publish("/bad", 1)
        assert (await client.publish("/good", 1))["successful"] is True
        assert client.state is ClientState.CONNECTED
    assert way == "outbound" or "extension" in caplog.text


@BOTH
async def test_headers_that_are_no_text(kind: ConnectionType) -> None:
    witness = Witness()

    def put(payload: Payload) -> None:
        headers: Any = payload.headers
        headers["X-Number"] = 7

    async with (
        BayeuxServer(extensions=[witness]) as server,
        client_of(server, kind, extensions=[Extension.of(outbound=ops.do_action(put))]),
    ):
        pass
    assert set(witness.of("X-Number")) == {"7"}


# Receipts: ack and replay, whatever comes after them


def anew(payload: Payload) -> Payload:
    return Payload([message.copy() for message in payload.messages], payload.headers)


def replacing(payload: Payload) -> Payload:
    payload.messages[:] = [message.copy() for message in payload.messages]
    return payload


def single(payload: Payload) -> Observable[Payload]:
    return rx.from_iterable([Payload([message.copy()]) for message in payload.messages])


def reordered(payload: Payload) -> Payload:
    return Payload(payload.messages[::-1], payload.headers)


def without_noise(payload: Payload) -> Payload:
    return Payload([m for m in payload.messages if m.get("data") != "noise"], payload.headers)


REPLACING: dict[str, PayloadOperator] = {
    "a new payload": ops.map(anew),
    "a new payload, later": rx.compose(ops.map(anew), ops.delay(0.005)),
    "other dictionaries": ops.map(replacing),
    "split": ops.flat_map(single),
    "reordered": ops.map(reordered),
    "dropped messages": ops.map(without_noise),
}
ANY_REPLACING = pytest.mark.parametrize("name", list(REPLACING))


@BOTH
@ANY_REPLACING
@pytest.mark.parametrize("behind", [True, False], ids=["ack first", "ack last"])
async def test_ack_acknowledges_what_an_extension_replaced(
    kind: ConnectionType, name: str, behind: bool
) -> None:
    other = Extension.of(inbound=REPLACING[name])
    extensions = [ack(), other] if behind else [other, ack()]
    async with (
        BayeuxServer(timeout=1) as server,
        client_of(server, kind, extensions=extensions) as client,
    ):
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        for n in range(5):
            await server.publish("/a", n)
        await server.publish("/a", "noise")
        await server.publish("/a", "last")
        await seen.until(lambda: "last" in seen.data)
        [session] = server.sessions.values()
        acknowledgements = session.acknowledgements
        assert acknowledgements is not None
        await server.until(lambda: not acknowledgements.unacknowledged)
        assert sorted(d for d in seen.data if isinstance(d, int)) == [0, 1, 2, 3, 4]
        assert seen.data.count("last") == 1
        # It is not sent again, and so the connects do not spin.
        assert len(requests(server, "/meta/connect")) < 30


@BOTH
@ANY_REPLACING
async def test_the_marker_moves_past_what_an_extension_replaced(
    kind: ConnectionType, name: str
) -> None:
    store = MemoryStore()
    log = ReplayLog()
    extensions = [replay(store), Extension.of(inbound=REPLACING[name])]
    async with (
        BayeuxServer(timeout=1, replay=log) as server,
        client_of(server, kind, extensions=extensions) as client,
    ):
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        for n in range(5):
            await server.publish("/a", {"n": n})
        await seen.until(lambda: len(seen.items) >= 5)
        last = max(data["event"]["replayId"] for data in seen.data)
        await server.until(lambda: store.load("/a") == last)


@BOTH
@pytest.mark.parametrize("then", [ops.map(anew), ops.delay(0.001)], ids=["new", "delay"])
async def test_a_dropped_publish_fails_at_once_and_blocks_nobody(
    kind: ConnectionType, then: PayloadOperator
) -> None:
    extension = Extension.of(outbound=rx.compose(then, filtering("/bad")))
    async with (
        BayeuxServer() as server,
        client_of(server, kind, extensions=[extension], max_network_delay=60.0) as client,
    ):
        publishes = [client.publish("/bad", n) for n in range(3)]
        async with asyncio.timeout(30):
            for publish in publishes:
                with pytest.raises(ExtensionError, match="dropped"):
                    await publish
                assert (await client.publish("/good", 1))["successful"] is True


@BOTH
async def test_payloads_merged_on_the_way_out_are_sent_one_by_one(kind: ConnectionType) -> None:
    def together(payloads: list[Payload]) -> Payload:
        return Payload([m for payload in payloads for m in payload.messages])

    def gathering(source: Observable[Payload]) -> Observable[Payload]:
        lists: Observable[Any] = source.pipe(ops.buffer_with_time_or_count(0.02, 100))
        return lists.pipe(ops.filter(bool), ops.map(together))

    async with (
        BayeuxServer(timeout=0.02) as server,  # connects are on their way all the time
        client_of(server, kind, extensions=[Extension.of(outbound=gathering)]) as client,
    ):
        for n in range(5):
            assert (await client.publish("/a", n))["successful"] is True
        assert [m["data"] for m in requests(server, "/a")] == list(range(5))
        ids = [m["id"] for _, payload in server.received for m in payload]
        assert len(set(ids)) == len(ids)


# With other things


@BOTH
async def test_with_ack_what_failed_comes_once_and_in_order(kind: ConnectionType) -> None:
    extensions = [ack(), Extension.of(inbound=raising("bad"))]
    async with (
        BayeuxServer(timeout=1) as server,
        impatient(server, kind, extensions=extensions) as client,
    ):
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        for data in ("good", "bad", "good", "bad", "bad", "good"):
            await server.publish("/a", data)
        await seen.until(lambda: len(seen.items) >= 6)
        await server.publish("/a", "last")
        await seen.until(lambda: seen.data[-1] == "last")
        assert seen.data == ["good", "bad", "good", "bad", "bad", "good", "last"]


@BOTH
@pytest.mark.parametrize("bad", [None, raising, hanging])
async def test_calls(kind: ConnectionType, bad: Callable[[str], PayloadOperator] | None) -> None:
    operator: Any = ops.delay(0.01) if bad is None else bad("answer")
    async with (
        BayeuxServer() as server,
        impatient(server, kind, extensions=[Extension.of(inbound=operator)]) as client,
    ):

        @server.service("/service/echo")
        async def echo(_: ServiceRequest) -> str:
            return "answer"

        assert (await client.call("/service/echo", 1)).get("data") == "answer"


@BOTH
@pytest.mark.parametrize("way", ["inbound", "outbound"])
async def test_closing_does_not_wait_for_a_stuck_extension(kind: ConnectionType, way: str) -> None:
    async with BayeuxServer() as server:
        entered = asyncio.Event()

        def enter(payload: Payload) -> None:
            if has(payload, "/stuck"):
                entered.set()

        stuck = rx.compose(ops.do_action(enter), hanging("/stuck"))
        extension = Extension.of(**{way: stuck})
        client = client_of(server, kind, extensions=[extension], max_network_delay=90.0)
        await client.open()
        publish = asyncio.ensure_future(client.publish("/stuck", 1))
        await entered.wait()
        async with asyncio.timeout(30):
            await client.close()
        with pytest.raises((ExtensionError, TransportError)):
            await publish


async def test_what_an_extension_raised_is_not_in_the_error_text() -> None:
    def act(payload: Payload) -> None:
        if has(payload, "/bad"):
            raise ValueError("token 6e3b41 refused")

    extension = Extension.of(outbound=ops.do_action(act))
    async with BayeuxServer() as server, client_of(server, extensions=[extension]) as client:
        with pytest.raises(ExtensionError) as caught:
            await client.publish("/bad", 1)
    assert "6e3b41" not in str(caught.value) + repr(caught.value)
    assert "6e3b41" in str(caught.value.__cause__)
