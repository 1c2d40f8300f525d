"""Redis Streams as the broker of a relay (``pip install 'rx-cometd[redis]'``)."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING

from redis.exceptions import ResponseError

from rx_cometd.relay.errors import LeaseLostError, RecordRefusedError
from rx_cometd.relay.redis_connection import connect, redis_errors
from rx_cometd.relay.redis_lease import RedisLease

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rx_cometd.extensions import ReplayId
    from rx_cometd.relay.record import Batch

__all__ = ["RedisSink"]

# Every batch names the one before it. So a batch that was written though the reply was lost is
# not written again, and a relay that another one has taken over from writes nothing any more.
# A script that fails undoes nothing: what can fail is looked at before the first write.
_WRITE = """
local markers, token = KEYS[1], redis.call('HGET', KEYS[1], 'token')
if token == ARGV[1] then return 0 end
if token ~= ARGV[2] then return redis.error_reply('FENCED another relay has written') end
for i = 2, #KEYS do
  local kind = redis.call('TYPE', KEYS[i]).ok
  if kind ~= 'none' and kind ~= 'stream' then
    return redis.error_reply('REFUSED ' .. KEYS[i] .. ' holds a ' .. kind .. ', no stream')
  end
end
local at = 4
for _ = 1, ARGV[3] do
  local key, count = KEYS[tonumber(ARGV[at])], tonumber(ARGV[at + 1])
  redis.call('XADD', key, '*', unpack(ARGV, at + 2, at + 1 + count))
  at = at + 2 + count
end
for i = at, #ARGV, 2 do
  redis.call('HSET', markers, ARGV[i], ARGV[i + 1])
end
redis.call('HSET', markers, 'token', ARGV[1])
return 1
"""
#: The field of an entry that holds the event's data.
DATA = "data"


class RedisSink:
    """A Redis server: each channel a stream, the markers in a hash, both written by one script.

    An entry has the fields ``data`` (JSON), ``cometd-channel``, ``cometd-id``,
    ``cometd-replay-id`` and ``cometd-received``. The hash ``cometd-markers:<name>`` has the replay
    id of each channel as JSON, and the token of the last batch.

    Args:
        url: ``redis://host:port/database``.
        name: The relay's name.
        max_bytes: Data above that are refused; Redis takes 512 MB (``proto-max-bulk-len``).

    Raises:
        ValueError: ``url`` is no such address.
    """

    system = "redis"

    def __init__(self, url: str, name: str, *, max_bytes: int = 512 * 1024 * 1024) -> None:
        self._url = url
        self._client = connect(url)
        self._markers = f"cometd-markers:{name}"
        self._lease = f"cometd-lease:{name}"
        self._script = self._client.register_script(_WRITE)
        self._max_bytes = max_bytes
        self._token = ""

    def __repr__(self) -> str:
        return f"<RedisSink {self._markers}>"  # the URL may hold a password

    def subject(self, template: str, channel: str) -> str:
        """Give the key of the stream: segments with dots between them."""
        return template.replace("{channel}", channel[1:].replace("/", "."))

    async def markers(self) -> Mapping[str, ReplayId]:
        """Give the markers; whoever was at work before can write no more."""
        token = uuid.uuid4().hex
        with redis_errors():
            async with self._client.pipeline(transaction=True) as pipeline:
                pipeline.hset(self._markers, "token", token)
                pipeline.hgetall(self._markers)
                _, found = await pipeline.execute()
        self._token = token
        fields: dict[bytes, bytes] = found
        return {
            name.decode(): json.loads(value) for name, value in fields.items() if name != b"token"
        }

    async def write(self, batch: Batch) -> None:
        """Add the records to their streams and move the markers, all at once."""
        keys = {key: number for number, key in enumerate({r.subject for r in batch.records}, 2)}
        arguments: list[bytes | str | int] = [batch.token, self._token, len(batch.records)]
        for record in batch.records:
            if len(record.value) > self._max_bytes:
                raise RecordRefusedError(f"its data have more than {self._max_bytes} bytes")
            arguments += [keys[record.subject], 2 * (len(record.headers) + 1)]
            for header in record.headers.items():
                arguments += header
            arguments += [DATA, record.value]
        for channel, replay_id in batch.markers.items():
            arguments += [channel, json.dumps(replay_id)]
        with redis_errors():
            try:
                await self._script(keys=[self._markers, *keys], args=arguments)
            except ResponseError as error:
                _raise_refusal(error)
                raise
        self._token = batch.token

    def lease(self, seconds: float) -> RedisLease:
        """Make the lease, a key that expires."""
        return RedisLease(self._url, self._lease, seconds)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def _raise_refusal(error: ResponseError) -> None:
    """Raise what the script refused as what it means."""
    word, _, reason = str(error).partition(" ")
    if word == "FENCED":
        raise LeaseLostError(f"{reason} since this one began") from error
    if word == "REFUSED":
        raise RecordRefusedError(reason) from error
