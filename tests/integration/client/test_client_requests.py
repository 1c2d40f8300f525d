"""Publishing, calling and batching through a client."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest
from reactivex import operators as ops

from rx_cometd import (
    ClientError,
    ClientInvalidOperation,
    ConnectionType,
    Message,
    ServerError,
    TransportError,
    TransportTimeoutError,
)
from rx_cometd.testing import BayeuxServer, ServiceRequest
from tests.integration.client_driver import (
    BOTH,
    LONG_POLLING,
    NO_MORE,
    Gate,
    Recorder,
    client_of,
    data_of,
    held,
    payloads_with,
    requests,
    subscribed,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from concurrent.futures import Future

pytestmark = pytest.mark.usefixtures("nothing_left")


def sent(server: BayeuxServer, channel: str = "/a") -> list[Any]:
    return [m.get("data") for m in requests(server, channel)]


# Publishing


@BOTH
async def test_publish_gives_the_reply(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        reply = await client.publish("/a", {"x": [1, None, "ü"]}, fields={"ext": {"y": 2}})
        assert reply["successful"] is True
        assert reply["channel"] == "/a"
        (message,) = requests(server, "/a")
        assert message == {
            "channel": "/a",
            "data": {"x": [1, None, "ü"]},
            "ext": {"y": 2},
            "id": reply["id"],
            "clientId": client.client_id,
        }


@BOTH
async def test_fields_cannot_break_the_message(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        fields = {"channel": "/b", "id": "no", "clientId": "no", "data": "no"}
        reply = await client.publish("/a", 1, fields=lambda: fields)
        (message,) = requests(server, "/a")
        assert (message["data"], message["clientId"]) == (1, client.client_id)
        assert message["id"] == reply["id"] != "no"


@BOTH
async def test_a_refused_publish(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        server.faults.refuse("/a", "403:x:publish_denied")
        with pytest.raises(ServerError) as caught:
            await client.publish("/a", "secret")
        assert caught.value.error_code == 403
        assert caught.value.response["successful"] is False
        assert "secret" not in str(caught.value) + repr(caught.value)
        await client.publish("/a", 2)


@BOTH
async def test_publishes_of_one_turn_travel_in_one_payload(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        publishing = asyncio.gather(*(client.publish("/a", i) for i in range(100)))
        client.channel("/b").subscribe()
        replies = await publishing
        assert len({r["id"] for r in replies}) == 100
        assert sent(server) == list(range(100))
        assert len(payloads_with(server, "/a")) == 1
        assert payloads_with(server, "/a") == payloads_with(server, "/meta/subscribe")


@BOTH
async def test_publishes_keep_their_order(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        tasks: list[asyncio.Task[Message]] = []
        for i in range(50):
            tasks.append(asyncio.create_task(client.publish("/a", i)))
            await asyncio.sleep(0)
        await asyncio.gather(*tasks)
        assert sent(server) == list(range(50))


@BOTH
async def test_a_lost_reply_fails_and_nothing_is_sent_twice(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind, max_network_delay=0.2) as client:
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        server.faults.lose_replies("/a")
        with pytest.raises(TransportError):
            await client.publish("/a", 1)
        await client.publish("/a", 2)
        assert sent(server) == [1, 2]
        await seen.count(2)


async def test_a_lost_response_fails_and_nothing_is_sent_twice() -> None:
    async with BayeuxServer() as server, client_of(server, LONG_POLLING) as client:
        server.faults.lose_responses("/a")
        with pytest.raises(TransportError):
            await client.publish("/a", 1)
        await client.publish("/a", 2)
        assert sent(server) == [1, 2]


@BOTH
async def test_a_link_that_drops_fails_what_was_sent(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        await held(server)
        server.faults.delay_replies(5.0, "/a", count=1)
        publishing = asyncio.create_task(client.publish("/a", 1))
        await server.until(lambda: sent(server) == [1])
        server.faults.drop_link()
        with pytest.raises(TransportError):
            await publishing
        await client.publish("/a", 2)
        assert sent(server) == [1, 2]


@BOTH
async def test_a_publish_waits_while_the_link_is_down(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        changes = Recorder(client.state_changes)
        await held(server)
        await server.stop()
        await changes.until(lambda: changes.items[-1].error)
        publishing = [asyncio.create_task(client.publish("/a", i)) for i in range(3)]
        await asyncio.sleep(0.02)  # nothing happens meanwhile: there is nothing to wait for
        assert not any(p.done() for p in publishing)
        await server.start()
        await asyncio.gather(*publishing)
        assert sent(server) == [0, 1, 2]
        assert len(payloads_with(server, "/a")) == 1


@BOTH
async def test_a_publish_waits_while_the_session_is_opened(kind: ConnectionType) -> None:
    async with BayeuxServer() as server:
        client = client_of(server, kind)
        seen = Recorder(client.channel("/a"))
        reply = await client.publish("/a", 1)
        assert reply["successful"] is True
        await seen.count(1)
        await client.close()


@BOTH
async def test_a_publish_that_waits_fails_when_the_session_is_given_up(
    kind: ConnectionType,
) -> None:
    async with BayeuxServer() as server:
        client = client_of(server, kind, connection_timeout=0.2)
        await client.open()
        changes = Recorder(client.state_changes)
        await server.stop()
        await changes.until(lambda: changes.items[-1].error)
        with pytest.raises(TransportTimeoutError):
            await client.publish("/a", 1)
        await client.close()


@BOTH
async def test_a_publish_that_waits_fails_when_the_client_is_closed(kind: ConnectionType) -> None:
    async with BayeuxServer() as server:
        client = client_of(server, kind)
        await client.open()
        changes = Recorder(client.state_changes)
        await server.stop()
        await changes.until(lambda: changes.items[-1].error)
        publishing = asyncio.create_task(client.publish("/a", 1))
        await asyncio.sleep(0)
        await client.close()
        with pytest.raises((TransportError, ClientInvalidOperation)):
            await publishing


@BOTH
async def test_what_was_published_before_closing_is_sent_first(kind: ConnectionType) -> None:
    async with BayeuxServer() as server:
        client = client_of(server, kind)
        await client.open()
        publishing = asyncio.create_task(client.publish("/a", 1))
        await asyncio.sleep(0)
        await client.close()
        assert (await publishing)["successful"] is True
        channels = [m["channel"] for _, p in server.received for m in p]
        assert channels.index("/a") < channels.index("/meta/disconnect")


@BOTH
async def test_publishing_after_closing(kind: ConnectionType) -> None:
    async with BayeuxServer() as server:
        async with client_of(server, kind) as client:
            pass
        with pytest.raises(ClientInvalidOperation):
            await client.publish("/a", 1)
        with pytest.raises(ClientInvalidOperation):
            await client.call("/service/a", 1)


@BOTH
@pytest.mark.parametrize("turns", [0, 1, 2, 4])
async def test_cancelling_a_publish_leaves_nothing(kind: ConnectionType, turns: int) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        publishing = asyncio.create_task(client.publish("/a", 1))
        for _ in range(turns):
            await asyncio.sleep(0)
        publishing.cancel()
        await asyncio.gather(publishing, return_exceptions=True)
        await client.publish("/a", 2)
        assert sent(server)[-1] == 2
        assert len(sent(server)) <= 2


@BOTH
async def test_a_cancelled_publish_that_waits_is_never_sent(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        with client.batch():
            publishing = asyncio.create_task(client.publish("/a", 1))
            await asyncio.sleep(0)
            publishing.cancel()
            await asyncio.gather(publishing, return_exceptions=True)
        await client.publish("/a", 2)
        assert sent(server) == [2]


@BOTH
async def test_data_that_is_no_json_fails_its_publish_only(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        with pytest.raises(ClientError, match="JSON"):
            await client.publish("/a", object())
        data = [1, object(), 2, {"x": object()}, 3]
        publishing = asyncio.gather(
            *(client.publish("/a", d) for d in data), return_exceptions=True
        )
        seen = Recorder(client.channel("/b"))
        outcomes = await publishing
        assert [isinstance(o, ClientError) for o in outcomes] == [False, True, False, True, False]
        assert sent(server) == [1, 2, 3]
        await client.publish("/b", 1)
        await seen.count(1)


# Calling


@BOTH
async def test_call(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:

        def double(request: ServiceRequest) -> Any:
            return request.data * 2

        async def later(request: ServiceRequest) -> Any:
            await asyncio.sleep(request.data)  # a service that takes its time
            return request.data

        server.service("/service/double")(double)
        server.service("/service/later")(later)
        seen = Recorder(client.channel("/service/double"))
        answer = await client.call("/service/double", 21)
        assert (answer["channel"], answer.get("data")) == ("/service/double", 42)
        slow, fast = client.call("/service/later", 0.05), client.call("/service/later", 0.0)
        assert [a.get("data") for a in await asyncio.gather(slow, fast)] == [0.05, 0.0]
        assert not seen.items


@BOTH
async def test_a_call_that_nobody_answers(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        with pytest.raises(TransportTimeoutError, match="/service/nobody"):
            await client.call("/service/nobody", 1, timeout=0.05)
        session = client.client_id
        await client.publish("/a", 1)
        assert client.client_id == session
        assert client.statistics().reconnects == 0


@BOTH
async def test_a_refused_call(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        server.faults.refuse("/service/x", "403::no")
        with pytest.raises(ServerError, match="no"):
            await client.call("/service/x", 1, timeout=None)


@BOTH
async def test_a_call_when_the_session_ends(kind: ConnectionType) -> None:
    async with BayeuxServer() as server:
        client = client_of(server, kind)
        await client.open()
        calling = asyncio.create_task(client.call("/service/nobody", 1, timeout=None))
        await server.until(lambda: requests(server, "/service/nobody"))
        await held(server)
        await server.disconnect(client.client_id or "", advice=NO_MORE)
        with pytest.raises(ServerError):
            await calling
        await client.close()


@BOTH
async def test_a_late_answer_is_an_ordinary_message(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        seen = Recorder(client.channel("/service/x"))
        with pytest.raises(TransportTimeoutError):
            await client.call("/service/x", 1, timeout=0.05)
        (message,) = requests(server, "/service/x")
        server.deliver(client.client_id or "", "/service/x", "late", id=message["id"])
        await seen.count(1)
        assert seen.data == ["late"]


@BOTH
async def test_data_with_a_foreign_id_settles_nothing(kind: ConnectionType) -> None:
    async with (
        BayeuxServer() as server,
        client_of(server, kind, max_network_delay=30.0) as client,
    ):
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        server.faults.delay_replies(1.0, "/p", count=1)  # later than the event
        publishing = asyncio.create_task(client.publish("/p", 1))
        await server.until(lambda: requests(server, "/p"))
        (message,) = requests(server, "/p")
        await server.publish("/a", "theirs", id=message["id"])
        await seen.count(1)
        assert not publishing.done()
        assert (await publishing)["channel"] == "/p"


# Batching


@BOTH
async def test_batch_holds_until_the_block_ends(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        gone = Recorder(client.channel("/gone"))
        await subscribed(server, "/gone")
        server.received.clear()
        with client.batch():
            first = asyncio.create_task(client.publish("/a", 1))
            seen = Recorder(client.channel("/b"))
            await asyncio.sleep(0.02)  # nothing is sent meanwhile
            with client.batch():
                second = asyncio.create_task(client.publish("/a", 2))
                gone.subscription.dispose()
            await asyncio.sleep(0.02)  # nothing is sent meanwhile
            assert not requests(server, "/a")
        await asyncio.gather(first, second)
        (payload,) = payloads_with(server, "/a")
        channels = sorted(m["channel"] for m in payload)
        assert channels == ["/a", "/a", "/meta/subscribe", "/meta/unsubscribe"]
        assert not seen.ended


@BOTH
async def test_a_batch_that_raises_lets_go(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        publishing = asyncio.create_task(client.publish("/a", 1))
        with pytest.raises(LookupError), client.batch():
            raise LookupError
        await publishing
        assert sent(server) == [1]


async def test_no_reply_is_waited_for_within_a_batch() -> None:
    async with BayeuxServer() as server, client_of(server) as client:
        await client.subscribe("/b")
        waits: list[Callable[[], Awaitable[object]]] = [
            lambda: client.publish("/a", 1),
            lambda: client.call("/service/a", 1),
            lambda: client.channel("/a").publish(1),
            lambda: client.subscribe("/a"),
            lambda: client.unsubscribe("/b"),
            client.drain,
        ]
        for wait in waits:
            refused = pytest.raises(ClientInvalidOperation, match=r"within batch\(\)")
            with client.batch(), client.batch(), refused:
                await wait()
        assert not sent(server)
        assert client.subscriptions == {"/b"}
        assert not client.closed


async def test_who_holds_no_batch_may_wait() -> None:
    async with BayeuxServer() as server, client_of(server) as client:
        held, wanted = asyncio.Event(), asyncio.Event()

        async def hold() -> None:
            with client.batch():
                held.set()
                await wanted.wait()

        holding = asyncio.create_task(hold())
        await held.wait()
        publishing = asyncio.create_task(client.publish("/a", 1))
        await asyncio.sleep(0)
        wanted.set()
        assert (await publishing)["successful"]
        await holding
        assert sent(server) == [1]


@BOTH
async def test_a_batch_does_not_hold_the_cycle(kind: ConnectionType) -> None:
    async with BayeuxServer(timeout=0.05) as server, client_of(server, kind) as client:
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        with client.batch():
            server.received.clear()
            await server.until(lambda: len(requests(server, "/meta/connect")) >= 2)
            await server.publish("/a", 1)
            await seen.count(1)
            server.faults.forget()
            await subscribed(server, "/a")


@BOTH
async def test_closing_within_a_batch(kind: ConnectionType) -> None:
    async with BayeuxServer() as server:
        client = client_of(server, kind)
        await client.open()
        with client.batch():
            publishing = asyncio.create_task(client.publish("/a", 1))
            await asyncio.sleep(0)
            await client.close()
        await publishing
        assert sent(server) == [1]


# From other threads


@BOTH
async def test_publish_threadsafe(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        futures: list[Future[Message]] = []

        def publish() -> None:
            futures.extend(client.publish_threadsafe("/a", i) for i in range(20))

        threads = [threading.Thread(target=publish) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        replies = await asyncio.gather(*map(asyncio.wrap_future, futures))
        assert all(r["successful"] for r in replies)
        await seen.count(80)


async def test_publish_threadsafe_tells_errors() -> None:
    async with BayeuxServer() as server, client_of(server) as client:
        server.faults.refuse("/a", "403::no")
        with pytest.raises(ServerError):
            await asyncio.wrap_future(client.publish_threadsafe("/a", 1))
        cancelled = client.publish_threadsafe("/a", 1)
        cancelled.cancel()
        await client.publish("/b", 1)
    with pytest.raises(ClientInvalidOperation):
        await asyncio.wrap_future(client.publish_threadsafe("/a", 1))


def test_publish_threadsafe_after_the_loop_is_gone() -> None:
    async def run() -> Any:
        async with BayeuxServer() as server, client_of(server) as client:
            return client

    client = asyncio.run(run())
    with pytest.raises(ClientInvalidOperation):
        client.publish_threadsafe("/a", 1)


# A conversation


def _is_small(number: int) -> bool:
    return number < 20


@BOTH
async def test_a_pipe_that_publishes_what_it_gets(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        tasks: list[asyncio.Task[Message]] = []

        def answer(data: int) -> None:
            tasks.append(asyncio.ensure_future(client.publish("/n", data + 1)))

        seen = Recorder(client.channel("/n"))
        client.channel("/n").pipe(ops.map(data_of), ops.filter(_is_small)).subscribe(answer)
        await client.publish("/n", 0)
        await seen.count(21)
        await asyncio.gather(*tasks)
        assert seen.data == list(range(21))


async def test_the_connect_is_never_behind_a_publish() -> None:
    gate = Gate("/slow")
    async with (
        BayeuxServer(timeout=0.1, extensions=[gate]) as server,
        client_of(server, LONG_POLLING, max_network_delay=30.0) as client,
    ):
        slow = asyncio.create_task(client.publish("/slow", 1))
        await server.until(lambda: requests(server, "/slow"))
        server.received.clear()
        await server.until(lambda: len(requests(server, "/meta/connect")) >= 2)
        assert not slow.done()
        gate.open()
        await slow


async def test_what_is_published_meanwhile_is_gathered() -> None:
    gate = Gate("/slow")
    async with (
        BayeuxServer(extensions=[gate]) as server,
        client_of(server, LONG_POLLING, max_network_delay=30.0) as client,
    ):
        slow = asyncio.create_task(client.publish("/slow", 1))
        await server.until(lambda: requests(server, "/slow"))
        tasks: list[asyncio.Task[Message]] = []
        for i in range(10):
            tasks.append(asyncio.create_task(client.publish("/a", i)))
            await asyncio.sleep(0)
        gate.open()
        await asyncio.gather(slow, *tasks)
        assert sent(server) == list(range(10))
        assert len(payloads_with(server, "/a")) == 1
