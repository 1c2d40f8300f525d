"""A real server as a child process: started, killed, paused and restarted on the same port."""

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Any, ClassVar, Final, Self, TypedDict, cast

import aiohttp

from tests.servers.reserved_port import ReservedPort

Option = str | int | float | bool

_START_SECONDS: Final = 40.0
_STOP_SECONDS: Final = 5.0
_RESTART_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Capabilities:
    """What a server and its control channel can do; all of them can publish, deny and drop.

    Attributes:
        disconnect: Control command: the server ends a session and tells the client.
        deliver: Control command: a message to one session, without a subscription.
        echo: `/service/echo` sends the data of a message back to its sender.
        remote_call: That answer carries the id of the request, and `/service/refuse` answers
            likewise with `successful: false`.
        ack: The acknowledged messages extension.
        binary: The binary extension; `publish` and `deliver` take `binary` (base64) for `data`.
        timesync: The time synchronisation extension.
        denial_advice: `deny` of handshakes takes the `advice` to send.
        cookies: Over HTTP a session is bound to the BAYEUX_BROWSER cookie.
        unknown_client: The error code for a client id that the server does not know.
        milliseconds: Its `timeout` option counts milliseconds; otherwise seconds.
    """

    disconnect: bool
    deliver: bool
    echo: bool
    remote_call: bool
    ack: bool
    binary: bool
    timesync: bool
    denial_advice: bool
    cookies: bool
    unknown_client: int
    milliseconds: bool


class Counters(TypedDict):
    """What the server received since its start, or since `reset_counters`.

    A payload is one HTTP request body or one WebSocket frame. `subscribe_payloads` counts those
    with at least one `/meta/subscribe`, `largest_subscribe_payload` is the most in one of them,
    `subscribed_channels` counts every name of a `subscription` array.
    """

    payloads: int
    messages: int
    handshakes: int
    connects: int
    disconnects: int
    publishes: int
    subscribes: int
    unsubscribes: int
    subscribed_channels: int
    subscribe_payloads: int
    largest_subscribe_payload: int


class StartError(Exception):
    """A server did not come up; the text ends with what it wrote to its standard error."""


class ControlError(Exception):
    """The control channel refused a command: unknown to this server, or wrong arguments."""


class ServerProcess(ABC):
    """A real Bayeux server in a process of its own, for use with `async with`.

    Options are the server's own, by their own names, such as `timeout=1500`; names with a dot go
    as `**{"ws.idleTimeout": 500}`. The child chooses free ports, keeps them over `restart()`, and
    ends when its standard input does, that is with the test process at the latest.
    """

    capabilities: ClassVar[Capabilities]

    def __init__(self, **options: Option) -> None:
        self.options = options
        self._process: subprocess.Popen[bytes] | None = None
        self._stderr: IO[bytes] | None = None
        self._said = ""
        self._port: int = 0
        self._control_port: int = 0
        #: Kept from the first start to the end, whether the child lives or not.
        self._reserved: list[ReservedPort] = []

    @abstractmethod
    def command(self) -> Sequence[str]:
        """What starts the server, options left out.

        Raises:
            UnavailableError: It cannot run on this machine.
        """

    @property
    @abstractmethod
    def connection_types(self) -> tuple[str, ...]:
        """The connection types that the server offers, in its order."""

    @property
    def port(self) -> int:
        """The TCP port of the Bayeux server, 0 before its first start."""
        return self._port

    @property
    def url(self) -> str:
        """Where clients find the Bayeux server."""
        return f"http://127.0.0.1:{self._port}/cometd"

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._running().pid

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if failure is not None:
            sys.stderr.write(self.stderr())
        await self.stop()

    async def start(self) -> None:
        """Starts the child and waits until it accepts connections.

        Raises:
            StartError: It ended, or said nothing for 40 seconds.
            UnavailableError: It cannot run on this machine.
        """
        if self._process is not None:
            raise RuntimeError("already started")
        self._reserve()
        try:
            self._process = self._launch()
            ready = await self._first_line()
        except BaseException:
            self._release()
            raise
        if not ready:
            await self.kill()
            self._release()
            raise StartError(f"{type(self).__name__} did not start\n{self.stderr()}")
        bound: dict[str, int] = json.loads(ready)
        self._port, self._control_port = bound["port"], bound["control"]

    async def stop(self) -> None:
        """Ends the child by closing its standard input; by force if that is not enough."""
        self._release()
        if self._process is None:
            return
        self.unpause()
        cast("IO[bytes]", self._process.stdin).close()
        try:
            await asyncio.to_thread(self._process.wait, _STOP_SECONDS)
        except subprocess.TimeoutExpired:
            sys.stderr.write(f"{type(self).__name__} did not end by itself\n")
        await self.kill()

    async def kill(self) -> None:
        """Ends the child with SIGKILL, as a crash would, and reaps it."""
        if self._process is None:
            return
        process, self._process = self._process, None
        process.kill()
        await asyncio.to_thread(process.wait)
        self._said = self.stderr()
        for stream in (process.stdin, process.stdout, self._stderr):
            cast("IO[bytes]", stream).close()
        self._stderr = None

    async def restart(self) -> None:
        """Kills the child and starts another on the same ports, with no sessions.

        Raises:
            StartError: It did not come up within a minute, however often it was tried.
        """
        await self.kill()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _RESTART_SECONDS
        while True:
            try:
                return await self.start()
            except StartError:
                if loop.time() > deadline:
                    raise

    def command_line(self) -> Sequence[str]:
        """What starts the server, on the ports that it keeps once it was started."""
        arguments = {"port": self._port, "control": self._control_port, **self.options}
        return [
            *self.command(),
            *(f"{name}={_text(value)}" for name, value in arguments.items()),
        ]

    def pause(self) -> None:
        """Stops the child where it is: connections stay open and nobody answers."""
        process = self._running()
        process.send_signal(signal.SIGSTOP)
        # Signals take a moment; WNOWAIT leaves it to Popen to reap a child that is dead instead.
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def unpause(self) -> None:
        """Lets a paused child go on."""
        self._running().send_signal(signal.SIGCONT)

    def stderr(self) -> str:
        """The end of what the child, or the last one, wrote to its standard error."""
        if self._stderr is None:
            return self._said
        self._stderr.seek(0)
        return self._stderr.read()[-20_000:].decode(errors="replace")

    async def control(self, command: str, **arguments: Any) -> Any:
        """Asks the server itself to do something, behind the protocol's back.

        Commands: `publish(channel, data | count[, first, size])` where count messages are
        `{"n": first + i}` padded to `size` bytes; `deliver(client_id, channel, data)`;
        `greet(channel, count)`, after which every new session is delivered that many of the same
        while it is made (not Faye);
        `disconnect(client_id)`; `forget(client_id)`, after which the server does not know the
        client; `deny` and `allow(operation[, channel])` of "handshake", "subscribe" or "publish";
        `drop()`, which cuts every TCP connection; `sessions()`; `subscribers(channel)`;
        `counters()`; `reset_counters()`; `ping()`.

        Raises:
            ControlError: The server cannot do it; see `capabilities`.
        """
        url = f"http://127.0.0.1:{self._control_port}/"
        # Of large bodies aiohttp wants to be told as files.
        body = io.BytesIO(json.dumps({"command": command, **arguments}).encode())
        async with aiohttp.ClientSession() as session, session.post(url, data=body) as response:
            answer: dict[str, Any] = await response.json()
            if response.status != 200:
                raise ControlError(f"{command}: {answer['error']}")
            return answer["result"]

    async def sessions(self) -> list[str]:
        """The ids of the clients that the server knows."""
        return list(await self.control("sessions"))

    async def subscribers(self, channel: str) -> list[str]:
        """The ids of the clients subscribed to exactly this channel or glob."""
        return list(await self.control("subscribers", channel=channel))

    async def counters(self) -> Counters:
        """What the server received so far."""
        return cast("Counters", await self.control("counters"))

    def _reserve(self) -> None:
        """Keep the ports; one that is an option of the server is its own."""
        if not self._reserved:
            self._reserved = [ReservedPort(self._port), ReservedPort(self._control_port)]
            self._port, self._control_port = (reserved.port for reserved in self._reserved)

    def _release(self) -> None:
        for reserved in self._reserved:
            reserved.release()
        self._reserved.clear()

    def _launch(self) -> "subprocess.Popen[bytes]":
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - read when the child is gone
        return subprocess.Popen(
            self.command_line(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            bufsize=0,
            # In a group of its own: the kernel wakes and ends even a stopped child (SIGCONT and
            # SIGHUP go to orphaned groups), should the test process be gone without a word.
            process_group=0,
        )

    async def _first_line(self) -> bytes:
        """The line that says the ports; empty if the child ended or took too long."""
        stdout = cast("IO[bytes]", self._running().stdout)
        reading = asyncio.create_task(asyncio.to_thread(stdout.readline))
        try:
            await asyncio.wait({reading}, timeout=_START_SECONDS)
            if not reading.done():
                self._running().kill()  # Ends the thread, which cannot be cancelled.
            return await reading
        except asyncio.CancelledError:
            await self.kill()
            raise

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is None:
            raise RuntimeError(f"{type(self).__name__} is not running")
        return self._process


def _text(value: Option) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
