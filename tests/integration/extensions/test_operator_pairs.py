"""Extensions made of operators, in a client against the embedded server."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import TYPE_CHECKING, Any

import pytest
import reactivex as rx
from reactivex import operators as ops

from rx_cometd import (
    AuthExtension,
    ConnectionType,
    Extension,
    ExtensionError,
    Payload,
    ServerError,
)
from rx_cometd.extension import Operators
from rx_cometd.extensions import ack
from rx_cometd.testing import BayeuxServer
from tests.integration.client_driver import BOTH, Recorder, client_of, held, requests, subscribed
from tests.integration.extensions.driver import Trace, Witness, on_data

if TYPE_CHECKING:
    from collections.abc import Callable

    from reactivex import Observable

pytestmark = pytest.mark.usefixtures("nothing_left")


async def later(payload: Payload) -> Payload:
    """Change the data of a payload after a while: the first for longer than the others."""
    numbers = [m["data"]["n"] for m in payload.messages if "data" in m]
    await asyncio.sleep(0.05 if 0 in numbers else 0)
    return double(payload)


def _double(data: Any) -> Any:
    return data if isinstance(data, int | str) else {"n": data["n"] * 2}


double = on_data(_double)


def drop_threes(payload: Payload) -> bool:
    return not any(m.get("data") == {"n": 3} for m in payload.messages)


def anew(payload: Payload) -> Payload:
    return double(Payload(list(payload.messages), payload.headers))


def anew_of_copies(payload: Payload) -> Payload:
    return double(Payload([m.copy() for m in payload.messages], payload.headers))


def is_meta(payload: Payload) -> bool:
    return not any("data" in m for m in payload.messages)


def is_event(payload: Payload) -> bool:
    return not is_meta(payload)


to_double = ops.map(double)


OPERATORS: dict[str, Callable[[], Callable[[Observable[Payload]], Observable[Payload]]]] = {
    "map": lambda: ops.map(double),
    "do_action": lambda: ops.do_action(lambda payload: void(double(payload))),
    "concat_map": lambda: ops.concat_map(
        lambda payload: rx.from_future(asyncio.ensure_future(later(payload)))
    ),
    "delay": lambda: rx.compose(ops.map(double), ops.delay(0.02)),
    "delay, then map": lambda: rx.compose(ops.delay(0.02), ops.map(double)),
    "a new payload": lambda: ops.map(anew_of_copies),
    "a new payload, later": lambda: rx.compose(
        ops.map(anew),
        ops.delay(0.02),
    ),
    "two branches": lambda: branches,
}


def branches(source: Observable[Payload]) -> Observable[Payload]:
    """Subscribe to the source twice."""
    return rx.merge(source.pipe(ops.filter(is_meta)), source.pipe(ops.filter(is_event), to_double))


def void(_: object) -> None: ...


@BOTH
@pytest.mark.parametrize("name", list(OPERATORS))
async def test_any_operator_inbound(kind: ConnectionType, name: str) -> None:
    extension = Extension.of(inbound=OPERATORS[name]())
    async with (
        BayeuxServer(timeout=0.2) as server,
        client_of(server, kind, extensions=[extension]) as client,
    ):
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        for n in range(6):
            await server.publish("/a", {"n": n})
        await seen.count(6)
        assert [d["n"] for d in seen.data] == [0, 2, 4, 6, 8, 10]
        assert (await client.publish("/b", {"n": 1}))["successful"] is True


@BOTH
@pytest.mark.parametrize("name", list(OPERATORS))
async def test_any_operator_outbound(kind: ConnectionType, name: str) -> None:
    extension = Extension.of(outbound=OPERATORS[name]())
    async with (
        BayeuxServer(timeout=0.2) as server,
        client_of(server, kind, extensions=[extension]) as client,
    ):
        async with asyncio.TaskGroup() as group:
            for n in range(6):
                group.create_task(client.publish("/a", {"n": n}))
                await asyncio.sleep(0)  # several payloads
        assert [m["data"]["n"] for m in requests(server, "/a")] == [0, 2, 4, 6, 8, 10]


@BOTH
async def test_filter_drops_payloads_for_good(kind: ConnectionType) -> None:
    extension = Extension.of(inbound=ops.filter(drop_threes))
    async with (
        BayeuxServer(timeout=0.15) as server,
        client_of(server, kind, extensions=[extension], max_network_delay=0.2) as client,
    ):
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        for n in range(6):
            connects = len(requests(server, "/meta/connect"))
            await server.publish("/a", {"n": n})
            # The next connect goes out once what is stuck would have been given back.
            await server.until(lambda c=connects: len(requests(server, "/meta/connect")) > c)  # type: ignore[misc]
        await seen.until(lambda: {"n": 5} in seen.data)
        assert [d["n"] for d in seen.data] == [0, 1, 2, 4, 5]


class _Auth(AuthExtension):
    def __init__(self, trace: Trace) -> None:
        self._trace = trace

    def operators(self) -> Operators:
        return self._trace.extension("auth").operators()


@BOTH
async def test_outbound_in_list_order_and_auth_last_inbound_auth_first(
    kind: ConnectionType,
) -> None:
    trace = Trace()
    extensions = [trace.extension("a"), trace.extension("b")]
    async with (
        BayeuxServer() as server,
        client_of(server, kind, extensions=extensions, auth=_Auth(trace)) as client,
    ):
        seen = Recorder(client.channel("/x"))
        await subscribed(server, "/x")
        await client.publish("/x", 1)
        await seen.count(1)
    for channel in ("/meta/handshake", "/meta/connect", "/meta/subscribe", "/x"):
        assert trace.names("out", channel)[:3] == ["a", "b", "auth"]
        assert trace.names("in", channel)[:3] == ["auth", "a", "b"]
    assert trace.names("out", "/meta/disconnect") == ["a", "b", "auth"]


@BOTH
async def test_extensions_see_payloads_not_messages(kind: ConnectionType) -> None:
    trace = Trace()
    async with (
        BayeuxServer(messages_per_frame=None, timeout=0.2) as server,
        client_of(server, kind, extensions=[trace.extension("a")]) as client,
    ):
        seen = Recorder(client.channel("/x"))
        await subscribed(server, "/x")
        with client.batch():
            publishes = [asyncio.ensure_future(client.publish("/b", n)) for n in range(5)]
            await asyncio.sleep(0)
        await asyncio.gather(*publishes)
        [session] = server.sessions.values()
        for n in range(5):
            server.deliver(session.client_id, "/x", n)  # in one turn: one frame, one response
        await seen.count(5)
    assert ("a", "out", ("/b",) * 5) in trace.lines
    together = [channels for _, way, channels in trace.lines if way == "in" and "/x" in channels]
    if kind is ConnectionType.WEBSOCKET:
        assert together == [("/x",) * 5]
    else:
        assert together in ([("/x",) * 5 + ("/meta/connect",)], [("/x",), ("/x",) * 4])


@BOTH
async def test_without_extensions_nothing_is_made(
    kind: ConnectionType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def impossible(*_: object, **__: object) -> None:
        raise AssertionError("a pipeline, or a payload, was made")

    for module in ("inbound", "outbound"):
        monkeypatch.setattr(f"rx_cometd._session.{module}.Pipeline", impossible)
    monkeypatch.setattr("rx_cometd._session.pipeline.Payload", impossible)
    async with BayeuxServer() as server, client_of(server, kind) as client:
        seen = Recorder(client.channel("/x"))
        await subscribed(server, "/x")
        await client.publish("/x", 1)
        await seen.count(1)


class Next:
    """Where the JSON functions and an observer write down the turn of the loop they ran in.

    The JSON functions are called next to the socket: they tell when it is reached.
    """

    def __init__(self) -> None:
        self.sent = self.turn = 0
        self.received = self.delivered = -1

    def dumps(self, value: Any) -> str:
        if value[0].get("data") == "out":
            self.sent = self.turn
        return json.dumps(value)

    def loads(self, data: Any) -> Any:
        self.received = self.turn
        return json.loads(data)

    def on_next(self, _: object) -> None:
        self.delivered = self.turn

    async def count_turns(self, condition: Callable[[], bool]) -> None:
        """Count the turns of the loop until something is true."""
        while not condition():
            self.turn += 1
            await asyncio.sleep(0)


@BOTH
async def test_synchronous_operators_add_no_turn(kind: ConnectionType) -> None:
    turns_to_the_socket: list[int] = []
    for count in (0, 3):
        at = Next()
        extensions = [
            Extension.of(inbound=ops.map(double), outbound=ops.do_action(void))
            for _ in range(count)
        ]
        async with (
            BayeuxServer() as server,
            client_of(
                server, kind, extensions=extensions, json_dumps=at.dumps, json_loads=at.loads
            ) as client,
        ):
            client.channel("/x").subscribe(at.on_next)
            await subscribed(server, "/x")
            await held(server)
            await client.publish("/z", 0)  # nothing is under way any more
            publish = asyncio.ensure_future(client.publish("/y", "out"))
            await at.count_turns(lambda at=at: bool(at.sent))  # type: ignore[misc]
            turns_to_the_socket.append(at.sent)
            await publish
            await server.publish("/x", 1)
            await at.count_turns(lambda at=at: at.delivered > 0)  # type: ignore[misc]
            assert at.delivered == at.received
    # To start the publish, to end the turn it was made in, to start the lane.
    assert turns_to_the_socket[0] == turns_to_the_socket[1] <= 4


class Counting(Extension):
    """Has operators with a state of each session's own."""

    def __init__(self) -> None:
        self.made: list[list[str]] = []

    def operators(self) -> Operators:
        mine: list[str] = []
        self.made.append(mine)

        def note(payload: Payload) -> None:
            mine.extend(m.get("channel", "") for m in payload.messages)

        return Operators(outbound=ops.do_action(note))


@BOTH
async def test_operators_are_made_for_each_session_of_each_client(kind: ConnectionType) -> None:
    extension = Counting()
    async with BayeuxServer() as server:
        first = client_of(server, kind, extensions=[extension])
        second = client_of(server, kind, extensions=[extension])
        assert extension.made == []
        async with first, second:
            await first.publish("/first", 1)
            await second.publish("/second", 1)
        async with first:
            await first.publish("/again", 1)
    assert [[c for c in made if not c.startswith("/meta")] for made in extension.made] == [
        ["/first"],
        ["/second"],
        ["/again"],
    ]
    assert all(made[0] == "/meta/handshake" for made in extension.made)


@BOTH
async def test_operators_are_kept_over_new_bayeux_sessions(kind: ConnectionType) -> None:
    extension = Counting()
    async with (
        BayeuxServer(timeout=0.1) as server,
        client_of(server, kind, extensions=[extension]) as client,
    ):
        old = client.client_id
        server.faults.forget()
        await server.until(lambda: server.sessions and old not in server.sessions)
        await held(server)
    [made] = extension.made
    assert made.count("/meta/handshake") == 2


@BOTH
async def test_one_ack_serves_two_clients(kind: ConnectionType) -> None:
    shared = ack()
    async with (
        BayeuxServer(timeout=1) as server,
        client_of(server, kind, extensions=[shared]) as first,
        client_of(server, kind, extensions=[shared]) as second,
    ):
        one, two = Recorder(first.channel("/1")), Recorder(second.channel("/2"))
        await subscribed(server, "/1")
        await subscribed(server, "/2")
        for n in range(4):
            await server.publish("/1", n)
            await one.until(lambda n=n: n in one.data)  # type: ignore[misc]
        server.faults.drop_link(second.client_id)
        await server.publish("/2", "lost with the link")
        await two.until(lambda: "lost with the link" in two.data)
        batches: dict[str, list[int]] = {}
        for message in requests(server, "/meta/connect"):
            batches.setdefault(message["clientId"], []).append(message["ext"]["ack"])
        for acknowledged in batches.values():
            assert acknowledged == sorted(acknowledged)
        assert max(batches[str(first.client_id)]) > max(batches[str(second.client_id)])


@BOTH
async def test_extensions_and_operators_that_cannot_be_made(kind: ConnectionType) -> None:
    class Impossible(Extension):
        def operators(self) -> Operators:
            raise ValueError("no")

    async with BayeuxServer() as server:
        client = client_of(server, kind, extensions=[Impossible()])
        for _ in range(2):  # the failure leaves the client as it was
            with pytest.raises(ValueError, match="no"):
                await client.open()
            assert client.closed
        await client.close()


# Headers, ids, and what may be changed


@BOTH
async def test_headers_go_with_every_http_request_and_with_the_upgrade(
    kind: ConnectionType,
) -> None:
    witness = Witness()
    count = itertools.count(1)

    def put(payload: Payload) -> None:
        payload.headers["x-number"] = str(next(count))

    extension = Extension.of(outbound=ops.do_action(put))
    async with (
        BayeuxServer(extensions=[witness]) as server,
        client_of(server, kind, extensions=[extension], headers={"X-Number": "0"}) as client,
    ):
        await client.publish("/a", 1)
        await client.publish("/a", 2)
    numbers = witness.of("X-Number")
    if kind is ConnectionType.WEBSOCKET:
        assert set(numbers) == {"1"}
    else:
        assert len(set(numbers)) == len(numbers) > 4
        assert None not in numbers


@BOTH
async def test_headers_received(kind: ConnectionType) -> None:
    types: list[str | None] = []
    extension = Extension.of(
        inbound=ops.do_action(lambda p: types.append(p.headers.get("content-TYPE")))
    )
    async with BayeuxServer() as server, client_of(server, kind, extensions=[extension]):
        pass
    websocket = kind is ConnectionType.WEBSOCKET
    expected = None if websocket else "application/json; charset=utf-8"
    assert set(types) == {expected}


@BOTH
async def test_a_new_mapping_of_headers(kind: ConnectionType) -> None:
    witness = Witness()

    def put(payload: Payload) -> None:
        payload.headers = {"X-Number": "7"}

    extension = Extension.of(outbound=ops.do_action(put))
    async with (
        BayeuxServer(extensions=[witness]) as server,
        client_of(server, kind, extensions=[extension]),
    ):
        pass
    assert set(witness.of("X-Number")) == {"7"}


def renumber(payload: Payload) -> None:
    for message in payload.messages:
        message["id"] = "mine"


def forget_ids(payload: Payload) -> None:
    for message in payload.messages:
        del message["id"]


@BOTH
@pytest.mark.parametrize("change", [renumber, forget_ids])
async def test_ids_are_the_clients(kind: ConnectionType, change: Callable[[Payload], None]) -> None:
    extension = Extension.of(outbound=ops.do_action(change))
    async with (
        BayeuxServer() as server,
        client_of(server, kind, extensions=[extension]) as client,
    ):
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        await asyncio.gather(*(client.publish("/a", n) for n in range(3)))
        await seen.count(3)
        ids = [m["id"] for _, payload in server.received for m in payload]
        assert len(set(ids)) == len(ids)
        assert "mine" not in ids


@BOTH
async def test_messages_may_be_changed_and_fields_added(kind: ConnectionType) -> None:
    def out(payload: Payload) -> None:
        for message in payload.messages:
            message.setdefault("ext", {})["tenant"] = "t"
            if message.get("data") == "plain":
                message["data"] = {"sealed": message["data"]}

    def back(payload: Payload) -> None:
        for message in payload.messages:
            data: Any = message.get("data")
            if isinstance(data, dict):
                message["data"] = data["sealed"]

    extension = Extension.of(inbound=ops.do_action(back), outbound=ops.do_action(out))
    fields: dict[str, Any] = {"ext": {"mine": 1}}
    async with (
        BayeuxServer() as server,
        client_of(server, kind, extensions=[extension], handshake_fields=fields) as client,
    ):
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        await client.publish("/a", "plain", fields=fields)
        await seen.count(1)
        assert seen.data == ["plain"]
        [published] = requests(server, "/a")
        assert published["data"] == {"sealed": "plain"}
        assert published["ext"] == {"mine": 1, "tenant": "t"}
        [handshake] = requests(server, "/meta/handshake")
        assert handshake["ext"] == {"mine": 1, "tenant": "t"}
    assert fields == {"ext": {"mine": 1}}


@BOTH
async def test_channels_may_be_renamed_on_the_way(kind: ConnectionType) -> None:
    def put(message: Any, key: str) -> None:
        if not message.get(key, "/meta/").startswith("/meta/"):
            message[key] = f"/tenant{message[key]}"

    def take(message: Any, key: str) -> None:
        if key in message:
            message[key] = message[key].removeprefix("/tenant")

    def on_both(change: Callable[[Any, str], None]) -> Callable[[Payload], None]:
        def action(payload: Payload) -> None:
            for message in payload.messages:
                change(message, "channel")
                change(message, "subscription")

        return action

    extension = Extension.of(
        inbound=ops.do_action(on_both(take)), outbound=ops.do_action(on_both(put))
    )
    async with (
        BayeuxServer() as server,
        client_of(server, kind, extensions=[extension]) as client,
    ):
        await client.subscribe("/a")
        assert server.subscribers("/tenant/a")
        assert (await client.publish("/a", 1))["channel"] == "/a"
        assert (await client.receive())["channel"] == "/a"


@BOTH
@pytest.mark.parametrize("given", [{}, {"id": "1"}, {"id": "audit-1"}])
async def test_messages_may_be_added(kind: ConnectionType, given: dict[str, str]) -> None:
    """Their replies are not taken for those to requests of the client."""

    def add(payload: Payload) -> None:
        for message in list(payload.messages):
            if message.get("channel") == "/a":
                client_id = message.get("clientId")
                audit: Any = {"channel": "/a", "data": "extra", "clientId": client_id, **given}
                payload.messages.insert(0, audit)

    replies: list[Any] = []

    def note(payload: Payload) -> None:
        replies.extend(m for m in payload.messages if m["channel"] == "/a" and "data" not in m)

    extension = Extension.of(inbound=ops.do_action(note), outbound=ops.do_action(add))
    async with (
        BayeuxServer(can_publish=lambda _, __, m: m["data"] != "extra") as server,
        client_of(server, kind, extensions=[extension]) as client,
    ):
        assert (await client.publish("/a", "mine"))["successful"] is True
        assert [m["data"] for m in requests(server, "/a")] == ["extra", "mine"]
        await client.publish("/b", 1)
    assert [reply["successful"] for reply in replies] == [False, True]
    if given == {"id": "audit-1"}:
        assert replies[0]["id"] == "audit-1"


@BOTH
async def test_messages_may_be_dropped(kind: ConnectionType) -> None:
    def drop(payload: Payload) -> None:
        payload.messages = [m for m in payload.messages if m.get("data") != "secret"]

    def drop_received(payload: Payload) -> None:
        payload.messages[:] = [m for m in payload.messages if m.get("data") != "noise"]

    extension = Extension.of(inbound=ops.do_action(drop_received), outbound=ops.do_action(drop))
    async with (
        BayeuxServer(timeout=0.2) as server,
        client_of(server, kind, extensions=[extension]) as client,
    ):
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        results = await asyncio.gather(
            client.publish("/b", "fine"),
            client.publish("/b", "secret"),
            client.publish("/b", "fine too"),
            return_exceptions=True,
        )
        assert isinstance(results[1], ExtensionError)
        assert [m["data"] for m in requests(server, "/b")] == ["fine", "fine too"]
        assert not isinstance(results[0], BaseException)
        assert not isinstance(results[2], BaseException)
        with pytest.raises(ExtensionError, match="dropped"):
            await client.publish("/b", "secret")
        for data in ("noise", "signal", "noise", "signal"):
            await server.publish("/a", data)
        await seen.until(lambda: len(seen.data) == 2)
        assert seen.data == ["signal", "signal"]


@BOTH
async def test_what_is_sent_again_begins_as_it_was(kind: ConnectionType) -> None:
    """An extension asks for a request to be sent again, and sees it as it was made."""
    seen: list[Any] = []

    def out(payload: Payload) -> None:
        for message in payload.messages:
            if message["channel"] == "/a":
                seen.append(json.loads(json.dumps(message)))
                message.setdefault("ext", {})["tries"] = len(seen)

    def back(payload: Payload) -> None:
        for message in payload.messages:
            if message.get("successful") is False:
                payload.retry(message)

    extension = Extension.of(inbound=ops.do_action(back), outbound=ops.do_action(out))
    async with (
        BayeuxServer() as server,
        client_of(server, kind, extensions=[extension]) as client,
    ):
        server.faults.refuse("/a", "503::busy", count=1)
        fields = {"ext": {"mine": 1}}
        assert (await client.publish("/a", 1, fields=fields))["successful"] is True
        assert [m["ext"] for m in requests(server, "/a")] == [
            {"mine": 1, "tries": 1},
            {"mine": 1, "tries": 2},
        ]
        assert [m["ext"] for m in seen] == [{"mine": 1}, {"mine": 1}]
        server.faults.refuse("/a", "503::busy", count=2)
        with pytest.raises(ServerError, match="busy"):
            await client.publish("/a", 2)
