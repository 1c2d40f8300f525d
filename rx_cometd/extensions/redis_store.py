"""Replay markers in Redis, for several machines (``pip install rx-cometd[redis]``)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from rx_cometd._flow.extras import how_to_install

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from redis.asyncio import Redis

    from rx_cometd.extensions.replay_store import ReplayId

__all__ = ["RedisStore"]

# Markers are JSON. Lua's numbers are doubles, so that integers are compared as decimals: the
# longer one is the greater, and a negative one (a replay option) is less than all others.
_SAVE = """
local old = redis.call('HGET', KEYS[1], ARGV[1])
if old and ARGV[3] == '0' then
  local old_sign, old_digits = string.match(old, '^(%-?)(%d+)$')
  local new_sign, new_digits = string.match(ARGV[2], '^(%-?)(%d+)$')
  if old_digits and new_digits and old_sign == '' then
    if new_sign == '-' or #new_digits < #old_digits
        or (#new_digits == #old_digits and new_digits <= old_digits) then
      return 0
    end
  end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
"""


class RedisStore:
    """Markers in a hash of a Redis server.

    A marker moves in one script, so it only moves forward, whichever machine is first. How
    durable it is depends on the server (``appendonly``): a lost marker means duplicates.

    Args:
        server: A URL (``redis://...``), or a ``redis.asyncio.Redis``, which is not closed. Either
            belongs to one event loop.
        key: The name of the hash.

    Raises:
        ImportError: A URL was given, and the package ``redis`` is not installed.
    """

    def __init__(self, server: str | Redis, *, key: str = "rx_cometd:replay") -> None:
        self._owned = isinstance(server, str)
        self._client: Any = _connect(server) if isinstance(server, str) else server
        self._key = key
        self._script: Any = self._client.register_script(_SAVE)

    def __repr__(self) -> str:
        return f"<RedisStore {self._key}>"  # the URL may hold a password

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def load(self, channel: str) -> ReplayId | None:
        """Return the marker of a channel, ``None`` if there is none.

        Raises:
            redis.RedisError: The server cannot be reached, or refuses.
        """
        text: str | bytes | None = await self._client.hget(self._key, channel)
        return None if text is None else cast("ReplayId", json.loads(text))

    async def save(self, channel: str, replay_id: ReplayId, *, reset: bool = False) -> None:
        """Keep the marker of a channel; see `ReplayStore.save`.

        Raises:
            redis.RedisError: The server cannot be reached, or refuses.
        """
        arguments = [channel, json.dumps(replay_id), int(reset)]
        await self._script(keys=[self._key], args=arguments)

    async def aclose(self) -> None:
        """Close the connections, if they are the store's own."""
        if self._owned:
            await self._client.aclose()


def _connect(url: str) -> Any:
    try:
        from redis.asyncio import Redis  # noqa: PLC0415 - an extra
    except ImportError as error:
        text = f"RedisStore needs the package redis: {how_to_install('redis')}"
        raise ImportError(text) from error
    client: Any = Redis
    return client.from_url(url)
