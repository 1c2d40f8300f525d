"""The lease of a relay in NATS: a key that the server forgets unless it is put again."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from nats.js.errors import KeyWrongLastSequenceError

from rx_cometd.relay.errors import LeaseLostError
from rx_cometd.relay.names import legal
from rx_cometd.relay.nats_connection import NatsConnection, bucket_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["NatsLease"]

_KEY = "holder"


class NatsLease:
    """A key in a bucket of its own, whose keys live for the time of the lease.

    It has a connection of its own: a large batch must not hold up the renewal.

    Args:
        url: The server.
        name: The relay's name.
        seconds: How long the lease lasts.
        options: Further arguments of nats-py's ``connect``.
    """

    def __init__(
        self, url: str, name: str, seconds: float, options: Mapping[str, Any] | None = None
    ) -> None:
        self._connection = NatsConnection(url, options)
        self._bucket = f"cometd-lease-{legal(name)}"
        self._seconds = seconds
        self._revision = 0

    async def acquire(self) -> bool:
        """Create the key, unless it is there."""
        async with self._connection.jetstream() as (_, js):
            bucket = await bucket_of(js, self._bucket, self._seconds)
            try:
                self._revision = await bucket.create(_KEY, b"")
            except KeyWrongLastSequenceError:
                return False
        return True

    async def renew(self) -> None:
        """Put the key again, unless somebody else did."""
        async with self._connection.jetstream() as (_, js):
            bucket = await bucket_of(js, self._bucket, self._seconds)
            try:
                self._revision = await bucket.update(_KEY, b"", last=self._revision)
            except KeyWrongLastSequenceError as error:
                raise LeaseLostError("another relay of this name has the lease") from error

    async def release(self) -> None:
        """Delete the key, and close the connection."""
        try:
            async with self._connection.jetstream() as (_, js):
                bucket = await bucket_of(js, self._bucket, self._seconds)
                with suppress(KeyWrongLastSequenceError):
                    await bucket.delete(_KEY, last=self._revision)
        finally:
            await self._connection.aclose()
