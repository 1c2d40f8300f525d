"""Redis as the brokers' part of a relay sees it: its client, and its errors told as ours."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError

from rx_cometd.relay.errors import BrokerError, BrokerUnavailableError, told

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["check_address", "connect", "redis_errors"]

#: What is in answers that will not be others the next time.
_LASTING: Final = re.compile(
    r"WRONGTYPE Operation|DB index is out of range|invalid DB index|unknown command", re.IGNORECASE
)


def connect(url: str) -> Any:
    """Make a client, which connects when it is used and tries nothing twice by itself.

    Raises:
        ValueError: It is no address of Redis.
    """
    check_address(url)
    untyped: Any = Redis
    return untyped.from_url(
        url,
        socket_connect_timeout=2.0,
        socket_timeout=5.0,
        retry=Retry(NoBackoff(), 0),
    )


def check_address(url: str) -> None:
    """Check an address, as far as the client does not, or only when it connects.

    Raises:
        ValueError: It is none. The text does not repeat it: it may hold a password.
    """
    if not _is_address(url):
        raise ValueError(
            "the address of the broker must be redis://HOST:PORT/DATABASE; a port is a number up"
            " to 65535, and a database a number"
        )


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        # The client takes any other path for that of database 0, and no host for this machine.
        return "://" in url and parts.port != 0 and re.fullmatch(r"/?\d*", parts.path) is not None
    except ValueError:
        return False


@contextmanager
def redis_errors() -> Generator[None]:
    """Tell errors of the client as those of a broker.

    Raises:
        BrokerError: The server refused the credentials, or what was asked, for good.
        BrokerUnavailableError: Anything else.
    """
    try:
        yield
    except AuthenticationError as error:
        raise BrokerError("the Redis server refused the credentials") from error
    except (RedisError, OSError, TimeoutError) as error:
        if isinstance(error, NoPermissionError) or (
            isinstance(error, ResponseError) and _LASTING.search(str(error))
        ):
            raise BrokerError(f"the Redis server refused it: {error}") from error
        raise BrokerUnavailableError(f"Redis: {told(error)}") from error
