"""A connection to NATS that is made when it is needed, and never outlives an error."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from nats.aio.client import Client
from nats.errors import AuthorizationError, Error
from nats.js import JetStreamContext
from nats.js.api import KeyValueConfig
from nats.js.errors import APIError, BucketNotFoundError, ServiceUnavailableError

from rx_cometd.relay.addresses import servers_of
from rx_cometd.relay.errors import BrokerError, BrokerUnavailableError, told

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from nats.js.kv import KeyValue

__all__ = ["TIMEOUT", "NatsConnection", "bucket_of"]

#: Seconds that the server may take to answer.
TIMEOUT = 5.0
#: What a server says of wrong credentials, which nats-py raises as any other error.
_REFUSED = "authorization violation"
_OPTIONS: Any = {
    "allow_reconnect": False,
    # The first connection is tried again in any case; twice is enough.
    "max_reconnect_attempts": 1,
    "reconnect_time_wait": 0.1,
    "connect_timeout": 2,
    "ping_interval": 10,
}


class NatsConnection:
    """One connection at a time.

    nats-py would reconnect by itself, and then send what had waited meanwhile, before what was
    lost on the way is published again: out of order. So it may not. After an error the connection
    is closed; what was published on it is stored up to some record and no further.

    Args:
        url: ``nats://host:port``, several servers of one cluster with commas.
        options: Further arguments of nats-py's ``connect``.

    Raises:
        ValueError: It is no such address.
    """

    def __init__(self, url: str, options: Mapping[str, Any] | None = None) -> None:
        self._servers = servers_of(url)
        self._options: dict[str, Any] = {**(options or {}), **_OPTIONS}
        self._client: Client | None = None
        #: What the server did not permit on this connection.
        self._violation: Exception | None = None
        #: Ends the block that uses the connection, when that is lost: nats-py lets requests wait.
        self._lost: asyncio.Timeout | None = None

    @asynccontextmanager
    async def jetstream(self) -> AsyncGenerator[tuple[Client, JetStreamContext]]:
        """Give the connection, and JetStream on it; close it if the block fails.

        One block at a time.

        Raises:
            BrokerUnavailableError: There is no server, or the block failed for other reasons
                than a `BrokerError`.
            BrokerError: The server refused the credentials, or does not permit what was asked.
        """
        try:
            if self._client is None or not self._client.is_connected:
                await self.aclose()
                self._client = await self._connected()
            async with asyncio.timeout(None) as lost:
                self._lost = lost
                try:
                    yield self._client, JetStreamContext(self._client, timeout=TIMEOUT)
                finally:
                    self._lost = None
        except BrokerError:
            raise
        except (Error, OSError, TimeoutError) as error:
            await self.aclose()
            if self._violation is not None:
                raise BrokerError(f"the server does not permit it: {self._violation}") from error
            raise BrokerUnavailableError(f"NATS: {_told(error)}") from error
        except BaseException:
            await self.aclose()
            raise

    async def _connected(self) -> Client:
        async def failed(error: Exception) -> None:
            # The rest is raised to who asked for it; nats-py would log it as well.
            if "permissions violation" in str(error).lower():
                self._violation = error
                await closed()  # there will be no answer

        async def closed() -> None:
            if self._lost is not None and self._client is client:
                self._lost.reschedule(asyncio.get_running_loop().time())

        self._violation = None
        client = Client()
        try:
            async with asyncio.timeout(TIMEOUT):
                await client.connect(
                    self._servers, error_cb=failed, closed_cb=closed, **self._options
                )
        except BaseException as error:
            with suppress(Exception):
                await client.close()
            if isinstance(error, AuthorizationError) or _REFUSED in str(error).lower():
                raise BrokerError("the NATS server refused the credentials") from error
            raise
        return client

    async def aclose(self) -> None:
        """Close the connection, if there is one."""
        client, self._client = self._client, None
        if client is not None:
            with suppress(Exception):  # it may be broken, which is why it is closed
                await client.close()


def _told(error: Exception) -> str:
    """Give what an error says, without the name that all of nats-py's begin with."""
    if isinstance(error, APIError) and error.description:
        return error.description
    if isinstance(error, ServiceUnavailableError):
        return "JetStream does not answer; is it enabled (nats-server -js)?"
    return told(error).removeprefix("nats: ")


async def bucket_of(js: JetStreamContext, name: str, seconds: float | None = None) -> KeyValue:
    """Give a key-value bucket, made if there is none; its keys live for so many seconds."""
    try:
        return await js.key_value(name)
    except BucketNotFoundError:
        untyped: Any = js
        made: KeyValue = await untyped.create_key_value(KeyValueConfig(bucket=name, ttl=seconds))
        return made
