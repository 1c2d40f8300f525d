"""Redis as the brokers' part of a relay sees it: its client, and its errors told as ours."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError

from rx_cometd.relay.errors import BrokerError, BrokerUnavailableError

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["connect", "redis_errors"]


def connect(url: str) -> Any:
    """Make a client, which connects when it is used and tries nothing twice by itself."""
    untyped: Any = Redis
    return untyped.from_url(
        url,
        socket_connect_timeout=2.0,
        socket_timeout=5.0,
        retry=Retry(NoBackoff(), 0),
    )


@contextmanager
def redis_errors() -> Generator[None]:
    """Tell errors of the client as those of a broker.

    Raises:
        BrokerError: The server refused the credentials.
        BrokerUnavailableError: Anything else.
    """
    try:
        yield
    except AuthenticationError as error:
        raise BrokerError("the Redis server refused the credentials") from error
    except (RedisError, OSError, TimeoutError) as error:
        raise BrokerUnavailableError(f"Redis: {error!r}") from error
