"""The lease of a relay in Redis: a key that expires, with a value that only its holder knows."""

from __future__ import annotations

import uuid

from rx_cometd.relay.errors import LeaseLostError
from rx_cometd.relay.redis_connection import connect, redis_errors

__all__ = ["RedisLease"]

_RENEW = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""
_RELEASE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""


class RedisLease:
    """A key that is set if there is none.

    It says who may begin. That nobody writes who should have stopped is up to the token that every
    batch of `RedisSink` names.

    Args:
        url: The server.
        key: The key.
        seconds: How long the lease lasts.
    """

    def __init__(self, url: str, key: str, seconds: float) -> None:
        self._client = connect(url)
        self._key = key
        self._milliseconds = round(seconds * 1000)
        self._value = uuid.uuid4().hex

    async def acquire(self) -> bool:
        """Set the key, unless it is there."""
        with redis_errors():
            done = await self._client.set(self._key, self._value, nx=True, px=self._milliseconds)
        return bool(done)

    async def renew(self) -> None:
        """Let the key live for the whole time again, if it is ours."""
        with redis_errors():
            done = await self._client.eval(_RENEW, 1, self._key, self._value, self._milliseconds)
        if not done:
            raise LeaseLostError("another relay of this name has the lease")

    async def release(self) -> None:
        """Delete the key, if it is ours, and close the connection."""
        try:
            with redis_errors():
                await self._client.eval(_RELEASE, 1, self._key, self._value)
        finally:
            await self._client.aclose()
