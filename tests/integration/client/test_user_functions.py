"""Whatever one of the user's functions raises, once or always, no session is deaf after it.

A function fails the thing that it was called for, by name where that is told to anybody, and the
session goes on; one without which there is no session keeps it from being opened.
"""

from __future__ import annotations

import asyncio
import json
import math
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING, Any, NamedTuple

import aiohttp
import pytest
from reactivex import Observable
from reactivex import operators as ops
from reactivex.disposable import CompositeDisposable, Disposable

from rx_cometd import (
    AuthenticationError,
    AuthExtension,
    Client,
    ClientError,
    CometDError,
    Extension,
    Overflow,
    TransportError,
)
from rx_cometd import operators as cometd_ops
from rx_cometd.extensions import MemoryStore, bearer_auth, replay
from rx_cometd.testing import BayeuxServer, ReplayLog
from tests.integration.client_driver import (
    BOTH,
    COME_BACK,
    Recorder,
    client_of,
    held,
    requests,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from reactivex.abc import DisposableBase
    from yarl import URL

    from rx_cometd import ConnectionType

pytestmark = pytest.mark.usefixtures("nothing_left")

INVALID = "401::invalid token"


class Odd(BaseException):
    """What is no `Exception`, and not meant for the loop either (`pytest.fail` raises such)."""


RAISED = pytest.mark.parametrize("raised", [asyncio.CancelledError, Odd, ValueError])


class Fault:
    """What functions call that are to fail: once for each time that it is armed, or always."""

    def __init__(self, raised: type[BaseException]) -> None:
        self.raised = raised
        self.armed = 0.0
        self.met = asyncio.Event()

    def __call__(self, *_: object) -> None:
        if self.armed:
            self.armed -= 1
            if not self.armed or math.isinf(self.armed):
                self.met.set()
            raise self.raised

    def before(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Give a function that may fail first."""

        def failing(*args: Any) -> Any:
            self()
            return function(*args)

        return failing

    def giving(self, value: Any = None) -> Callable[[], Awaitable[Any]]:
        """Give a coroutine function that may fail, a turn later."""

        async def failing(*_: object) -> Any:
            await asyncio.sleep(0)
            self()
            return value

        return failing


class World(NamedTuple):
    """A server, and a client of it."""

    server: BayeuxServer
    client: Client
    seen: Recorder
    """All that comes on a channel with fields, and with nothing but what is tested."""


# What makes a client call the function


async def lose_link(world: World) -> None:
    world.server.faults.drop_link()


async def lose_session(world: World) -> None:
    world.server.faults.forget()
    world.server.faults.drop_link()


async def refuse_connect(world: World) -> None:
    world.server.faults.refuse_connect("500::no", COME_BACK)
    world.server.faults.drop_link()


async def send_event(world: World) -> None:
    await world.server.publish("/seen", {"event": {"replayId": 1}})


async def send_request(world: World) -> None:
    with pytest.raises(CometDError):
        await world.client.publish("/sent", 0)


async def send_refused(world: World) -> None:
    world.server.faults.refuse("/sent", INVALID)
    with pytest.raises(CometDError):
        await world.client.publish("/sent", 0)


# The functions


class Login(AuthExtension):
    """An authentication whose methods may fail."""

    def __init__(self, *, authenticate: Fault | None = None, origin: Fault | None = None) -> None:
        self._authenticate = authenticate
        self._origin = origin

    @property
    def origin(self) -> URL | None:
        if self._origin is not None:
            self._origin()
        return None

    async def authenticate(self) -> None:
        await asyncio.sleep(0)
        if self._authenticate is not None:
            self._authenticate()


class Class(Extension):
    """An extension in its class form, whose methods may fail."""

    def __init__(self, *, incoming: Fault | None = None, outgoing: Fault | None = None) -> None:
        self._incoming = incoming
        self._outgoing = outgoing

    async def incoming(self, payload: Any, headers: Any = None) -> None:
        del payload, headers
        if self._incoming is not None:
            self._incoming()

    async def outgoing(self, payload: Any, headers: Any) -> None:
        del payload, headers
        if self._outgoing is not None:
            self._outgoing()


class PlainStore(MemoryStore):
    """A store that may fail to load, or to save."""

    def __init__(self, fault: Fault) -> None:
        super().__init__()
        self._fault = fault

    def save(self, channel: str, replay_id: int | str, *, reset: bool = False) -> None:
        self._fault()
        super().save(channel, replay_id, reset=reset)


class CoroutineStore:
    """A store of coroutine functions that may fail."""

    def __init__(self, fault: Fault) -> None:
        self._answer = fault.giving()

    async def load(self, channel: str) -> int | str | None:
        del channel
        await self._answer()
        return None

    async def save(self, channel: str, replay_id: int | str, *, reset: bool = False) -> None:
        del channel, replay_id, reset
        await self._answer()


def receipts(ask: Callable[[Any, Fault], None], fault: Fault) -> Extension:
    """Make an extension that asks for receipts of events."""

    def look(payload: Any) -> None:
        if any("data" in message for message in payload.messages):
            ask(payload, fault)

    return Extension.of(inbound=ops.do_action(look))


def undisposable(
    fault: Fault, look: Callable[..., Any], source: Observable[Any]
) -> Observable[Any]:
    """Make an operator that may fail when it is disposed of, and with a payload as well."""

    def subscribe(observer: Any, scheduler: Any = None) -> DisposableBase:
        passing = source.pipe(ops.do_action(look)).subscribe(observer, scheduler=scheduler)
        return CompositeDisposable(passing, Disposable(fault))

    return Observable(subscribe)


def delays(fault: Fault) -> Any:
    """Give delays that may fail while they are asked for."""
    while True:
        fault()
        yield 0.01


def nothing(client: Client, fault: Fault) -> None:
    """Have nothing that is still to be done once the client is open."""
    del client, fault


def plain(_: Fault) -> dict[str, Any]:
    """Give the settings of a client without functions."""
    return {}


def same(value: Any) -> Any:
    return value


def no_answer(*_: object) -> Any:
    return None


@dataclass(frozen=True)
class Case:
    """A function of the user's: the settings that have it, and what makes a client call it."""

    settings: Callable[[Fault], dict[str, Any]]
    provoke: Callable[[World], Awaitable[None]]
    ready: Callable[[Client, Fault], object] = nothing
    times: int = 1


def extension(make: Callable[[Fault], Extension]) -> Callable[[Fault], dict[str, Any]]:
    """Give the settings of a client with an extension."""
    return lambda fault: {"extensions": [make(fault)]}


CASES: dict[str, Case] = {
    "json_loads": Case(lambda f: {"json_loads": f.before(json.loads)}, send_event),
    "json_dumps": Case(lambda f: {"json_dumps": f.before(json.dumps)}, send_request),
    "headers": Case(lambda f: {"headers": f.before(dict)}, lose_link),
    "headers, a coroutine": Case(lambda f: {"headers": f.giving({})}, lose_link),
    "handshake_fields": Case(lambda f: {"handshake_fields": f.before(dict)}, lose_session),
    "handshake_fields, a coroutine": Case(
        lambda f: {"handshake_fields": f.giving({})}, lose_session
    ),
    "backoff": Case(lambda f: {"backoff": f.before(lambda: repeat(0.01))}, lose_link),
    "the delays of backoff": Case(lambda f: {"backoff": partial(delays, f)}, lose_link),
    "is_transient": Case(lambda f: {"is_transient": f.before(no_answer)}, refuse_connect),
    "authenticate": Case(lambda f: {"auth": Login(authenticate=f)}, send_refused),
    "origin": Case(lambda f: {"auth": Login(origin=f)}, lose_link),
    "a token provider": Case(lambda f: {"auth": bearer_auth(f.giving("t"))}, send_refused),
    "a plain token provider": Case(
        lambda f: {"auth": bearer_auth(f.before(lambda: "t"))}, send_refused
    ),
    "inbound": Case(extension(lambda f: Extension.of(inbound=ops.do_action(f))), send_event),
    "outbound": Case(extension(lambda f: Extension.of(outbound=ops.do_action(f))), send_request),
    "an operator made anew": Case(
        extension(lambda f: Extension.of(inbound=f.before(ops.do_action(f)))), send_event, times=2
    ),
    "the disposal of an inbound operator": Case(
        extension(lambda f: Extension.of(inbound=partial(undisposable, f, f))), send_event, times=2
    ),
    "the disposal of an outbound operator": Case(
        extension(lambda f: Extension.of(outbound=partial(undisposable, f, f))),
        send_request,
        times=2,
    ),
    "incoming": Case(extension(lambda f: Class(incoming=f)), send_event),
    "outgoing": Case(extension(lambda f: Class(outgoing=f)), send_request),
    "on_delivered": Case(
        extension(partial(receipts, lambda payload, f: payload.on_delivered(f))), send_event
    ),
    "on_processed": Case(
        extension(
            partial(receipts, lambda payload, f: payload.on_processed(payload.messages[0], f))
        ),
        send_event,
    ),
    "a store": Case(extension(lambda f: replay(PlainStore(f))), send_event),
    "a store of coroutines": Case(extension(lambda f: replay(CoroutineStore(f))), send_event),
    "an observer": Case(
        plain,
        send_event,
        lambda client, fault: client.channel("/seen").subscribe(fault, no_answer),
    ),
    "an operator": Case(
        plain,
        send_event,
        lambda client, fault: client.channel("/seen").pipe(ops.map(fault)).subscribe(Recorder()),
    ),
    "an observer of everything": Case(
        plain,
        send_event,
        lambda client, fault: client.messages.subscribe(fault, no_answer),
    ),
    "an observer of a meta channel": Case(
        plain,
        lose_link,
        lambda client, fault: client.meta("/meta/connect").subscribe(fault, no_answer),
    ),
    "an observer of the state": Case(
        plain,
        lose_link,
        lambda client, fault: client.state_changes.subscribe(fault, no_answer),
    ),
    "fields": Case(
        plain,
        lose_session,
        lambda client, fault: Recorder(client.channel("/other", fields=fault.before(dict))),
    ),
    "type": Case(
        plain,
        send_event,
        lambda client, fault: Recorder(client.channel("/seen", type=fault.before(same))),
    ),
    "key": Case(
        plain,
        send_event,
        lambda client, fault: Recorder(
            client.channel("/seen").pipe(cometd_ops.conflate(fault.before(no_answer)))
        ),
    ),
}


@asynccontextmanager
async def world_of(case: Case, kind: ConnectionType, fault: Fault) -> AsyncGenerator[World]:
    async with (
        BayeuxServer(replay=ReplayLog()) as server,
        client_of(server, kind, **case.settings(fault)) as client,
    ):
        seen = Recorder(client.channel("/seen"))
        case.ready(client, fault)
        await client.publish("/ready", 0)  # in one payload with the subscribes
        await held(server)
        yield World(server, client, seen)


async def hears_and_is_heard(world: World) -> None:
    """Publish until it succeeds, and wait for what comes of it."""
    async with asyncio.timeout(30):
        while True:
            try:
                await world.client.publish("/seen", "heard")
                break
            except TransportError:
                assert not world.client.closed
    await world.seen.until(lambda: "heard" in world.seen.data or world.seen.ended)
    assert not world.seen.ended


async def survives(case: Case, kind: ConnectionType, fault: Fault) -> None:
    """Have a function fail, and see that the session goes on."""
    async with world_of(case, kind, fault) as world:
        fault.armed = case.times
        async with asyncio.timeout(30):
            await case.provoke(world)
            await fault.met.wait()
        await hears_and_is_heard(world)


@BOTH
@RAISED
@pytest.mark.parametrize("name", CASES)
async def test_a_function_that_raises_once(
    name: str, raised: type[BaseException], kind: ConnectionType
) -> None:
    await survives(CASES[name], kind, Fault(raised))


@BOTH
@RAISED
async def test_a_hook_of_the_users_http_session_that_raises(
    raised: type[BaseException], kind: ConnectionType
) -> None:
    fault = Fault(raised)
    hooks = aiohttp.TraceConfig()

    async def hook(*_: object) -> None:
        fault()

    hooks.on_request_start.append(hook)
    async with aiohttp.ClientSession(trace_configs=[hooks]) as http:
        await survives(Case(lambda _: {"http_session": http}, lose_link), kind, fault)


@BOTH
@RAISED
async def test_what_counts_dropped_messages_fails_its_own_buffer(
    raised: type[BaseException], kind: ConnectionType
) -> None:
    fault = Fault(raised)
    buffer = cometd_ops.bounded_buffer(1, Overflow.DROP_OLDEST, on_overflow=fault)
    case = Case(
        plain,
        send_event,
        lambda client, _: buffered.append(Recorder(client.channel("/seen").pipe(buffer))),
    )
    buffered: list[Recorder] = []
    async with world_of(case, kind, fault) as world:
        fault.armed = 1
        client_id = world.client.client_id
        assert client_id is not None
        with world.client.batch():  # one payload: the buffer is not emptied between its messages
            publishing = [asyncio.create_task(world.client.publish("/seen", n)) for n in range(3)]
            await asyncio.sleep(0)
        await asyncio.gather(*publishing)
        await world.seen.count(3)
        if fault.met.is_set():  # the server may have sent them one by one
            error = await buffered[0].fails()
            assert error.__cause__ is None or isinstance(error.__cause__, raised)
        await hears_and_is_heard(world)


@BOTH
@RAISED
async def test_an_operator_that_cannot_be_disposed_of_when_the_client_is_closed(
    raised: type[BaseException], kind: ConnectionType, caplog: pytest.LogCaptureFixture
) -> None:
    finished: list[bool] = []

    class Last(Extension):
        async def finish(self) -> None:
            finished.append(True)

    fault = Fault(raised)
    operator = partial(undisposable, fault, no_answer)
    extensions = [Extension.of(inbound=operator, outbound=operator), Last()]
    async with world_of(Case(lambda _: {"extensions": extensions}, lose_link), kind, fault) as it:
        fault.armed = math.inf
        await it.client.close()
    assert finished == [True]
    assert "could not be disposed of" in caplog.text


# Always: there is no session without it


NEEDED = [
    *("json_loads", "json_dumps", "headers", "headers, a coroutine"),
    *("handshake_fields", "handshake_fields, a coroutine", "origin"),
]


def told(error: BaseException | None) -> str:
    """Give the texts of an error and of its causes."""
    return "" if error is None else f"{error}; {told(error.__cause__)}"


@BOTH
@pytest.mark.parametrize("raised", [asyncio.CancelledError, Odd])
@pytest.mark.parametrize("name", NEEDED)
async def test_a_function_that_always_raises_is_named(
    name: str, raised: type[BaseException], kind: ConnectionType
) -> None:
    fault = Fault(raised)
    fault.armed = math.inf
    text = f"`{name.partition(',')[0]}` raised {raised.__name__}"
    async with BayeuxServer() as server:
        client = client_of(server, kind, connection_timeout=None, **CASES[name].settings(fault))
        changes = Recorder(client.state_changes)
        opening = asyncio.create_task(client.open())
        await changes.until(lambda: text in told(changes.items[-1].error))
        await client.close()
        await asyncio.gather(opening, return_exceptions=True)
        changes.subscription.dispose()


@BOTH
@pytest.mark.parametrize("name", ["headers", "handshake_fields"])
async def test_a_session_given_up_says_for_which_function(name: str, kind: ConnectionType) -> None:
    fault = Fault(Odd)
    fault.armed = math.inf
    async with BayeuxServer() as server:
        client = client_of(server, kind, connection_timeout=0.5, **CASES[name].settings(fault))
        changes, seen = Recorder(client.state_changes), Recorder(client.channel("/seen"))
        async with asyncio.timeout(30):
            with pytest.raises(CometDError, match=f"`{name}` raised Odd"):
                await client.open()
        assert f"`{name}` raised Odd" in told(seen.error)
        assert f"`{name}` raised Odd" in told(changes.items[-1].error)
        assert client.closed


@BOTH
@pytest.mark.parametrize("raised", [asyncio.CancelledError, Odd])
async def test_an_extension_that_makes_no_operators_is_named(
    raised: type[BaseException], kind: ConnectionType
) -> None:
    class Failing(Extension):
        def operators(self) -> Any:
            fault()
            return super().operators()

    fault = Fault(raised)
    fault.armed = 1
    async with BayeuxServer() as server:
        client = client_of(server, kind, extensions=[Failing()])
        with pytest.raises(ClientError, match=f"`operators` raised {raised.__name__}"):
            await client.open()
        async with client:
            assert (await client.publish("/a", 1))["successful"] is True


# Tasks that somebody else cancels, and programs that do not end


def cancel_all() -> None:
    """Cancel the tasks of all clients, as a program may that cancels whatever it finds."""
    for task in asyncio.all_tasks():
        if task.get_name().startswith("rx_cometd."):
            task.cancel()


@BOTH
async def test_tasks_of_a_session_that_somebody_else_cancels(kind: ConnectionType) -> None:
    async with world_of(Case(plain, lose_link), kind, Fault(Odd)) as world:
        changes = Recorder(world.client.state_changes)
        world.server.faults.delay_replies(60.0, "/sent")
        publishing = asyncio.create_task(world.client.publish("/sent", 0))
        await world.server.until(lambda: requests(world.server, "/sent"))
        cancel_all()
        async with asyncio.timeout(30):
            with pytest.raises(TransportError, match="cancel"):
                await publishing
            await changes.until(lambda: changes.items[-1].resumed)
        await hears_and_is_heard(world)


@BOTH
@pytest.mark.parametrize("turns", [0, 1, 2])
async def test_an_opening_whose_tasks_somebody_else_cancels(
    kind: ConnectionType, turns: int
) -> None:
    """Before they began, and after."""
    async with BayeuxServer() as server:
        client = client_of(
            server, kind, handshake_fields=Fault(Odd).giving({}), connection_timeout=None
        )
        opening = asyncio.create_task(client.open())
        cancelled = 0
        async with asyncio.timeout(30):
            while not opening.done():
                for _ in range(turns):
                    await asyncio.sleep(0)
                if cancelled < 20:
                    cancelled += 1
                    cancel_all()
                await asyncio.sleep(0)
            await opening
            assert (await client.publish("/a", 1))["successful"] is True
            await client.close()


@BOTH
async def test_an_authentication_that_somebody_else_cancels(kind: ConnectionType) -> None:
    begun = asyncio.Event()

    class Hanging(AuthExtension):
        async def authenticate(self) -> None:
            begun.set()
            await asyncio.sleep(60)

    async with (
        BayeuxServer() as server,
        client_of(server, kind, auth=Hanging(), max_network_delay=30.0) as client,
    ):
        server.faults.refuse("/sent", INVALID)
        publishing = asyncio.create_task(client.publish("/sent", 0))
        async with asyncio.timeout(30):
            await begun.wait()
            for task in asyncio.all_tasks():
                if task.get_name() == "rx_cometd.session.authenticate":
                    task.cancel()
            with pytest.raises(AuthenticationError, match="cancel"):
                await publishing
            assert (await client.publish("/sent", 1))["successful"] is True


@BOTH
@pytest.mark.parametrize("name", ["json_loads", "json_dumps", "headers", "state_changes"])
def test_a_program_that_goes_on_after_an_interrupt(name: str, kind: ConnectionType) -> None:
    """A loop that is run again finds the session alive: a shell that awaits does so."""
    loop = asyncio.new_event_loop()

    async def begin(stack: AsyncExitStack) -> tuple[World, Fault]:
        fault = Fault(KeyboardInterrupt)
        case = CASES.get(name, Case(plain, lose_link))
        world = await stack.enter_async_context(world_of(case, kind, fault))
        if name not in CASES:
            world.client.state_changes.subscribe(fault)
        fault.armed = 1
        return world, fault

    async def until_interrupted(world: World) -> None:
        await send_event(world)
        await lose_link(world)
        await asyncio.gather(world.client.publish("/sent", 0), return_exceptions=True)
        await asyncio.sleep(30)

    try:
        stack = AsyncExitStack()
        world, fault = loop.run_until_complete(begin(stack))
        waiting = loop.create_task(until_interrupted(world))
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(waiting)
        assert fault.met.is_set()
        loop.run_until_complete(hears_and_is_heard(world))
        waiting.cancel()
        loop.run_until_complete(asyncio.wait([waiting]))
        loop.run_until_complete(stack.aclose())
    finally:
        loop.close()
