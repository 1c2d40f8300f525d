"""What a client checks of its arguments when it is made, so that mistakes show at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ssl import SSLContext
from typing import Any

import aiohttp
from yarl import URL

from rx_cometd._flow.arguments import check_bound, check_plain_function
from rx_cometd.extension import AuthExtension, Extension

__all__ = [
    "check_buffering",
    "check_extensions",
    "check_fields",
    "check_functions",
    "check_limits",
    "check_network",
]


def check_buffering(max_pending_count: Any, overflow: Any) -> None:
    """Check the defaults of buffers.

    Raises:
        TypeError: The bound is no integer, or the policy no `Overflow`.
    """
    if isinstance(max_pending_count, bool) or not isinstance(max_pending_count, int):
        raise TypeError(f"max_pending_count must be an int, not {max_pending_count!r}")
    check_bound(max_pending_count, overflow)


def check_limits(
    *,
    connection_timeout: Any,
    max_network_delay: Any,
    max_suspension: Any,
    heartbeat: Any,
    max_message_size: Any,
    max_outbox: Any,
) -> None:
    """Check times, in seconds, and sizes.

    Raises:
        TypeError: One is no number.
        ValueError: One is negative, or 0 where that allows nothing.
    """
    if connection_timeout is not None:
        _check_number("connection_timeout", connection_timeout, zero=True)
    _check_number("max_network_delay", max_network_delay)
    _check_number("max_suspension", max_suspension, zero=True)
    if heartbeat is not None:
        _check_number("heartbeat", heartbeat)
    if isinstance(max_outbox, bool) or not isinstance(max_outbox, int):
        raise TypeError(f"max_outbox must be an int, not {max_outbox!r}")
    if not isinstance(max_message_size, int):
        raise TypeError(f"max_message_size must be an int, not {max_message_size!r}")
    _check_number("max_message_size", max_message_size)


def check_functions(
    *,
    backoff: Any,
    json_dumps: Any,
    json_loads: Any,
    headers: Any,
    handshake_fields: Any,
    is_transient: Any,
) -> None:
    """Check what is called, and what may be.

    Raises:
        TypeError: One cannot be called, or is a coroutine function where none can be.
    """
    if backoff is not None:
        check_plain_function("backoff", backoff)
    if is_transient is not None:
        check_plain_function("is_transient", is_transient)
    check_plain_function("json_dumps", json_dumps)
    check_plain_function("json_loads", json_loads)
    for name, given in (("headers", headers), ("handshake_fields", handshake_fields)):
        if given is not None and not isinstance(given, Mapping) and not callable(given):
            raise TypeError(f"{name} must be a mapping, a function that gives one, or None")


def check_fields(fields: Any) -> None:
    """Check the extra fields of a subscribe, which are sent later.

    Raises:
        TypeError: They are neither a mapping nor a plain function.
    """
    if fields is not None and not isinstance(fields, Mapping):
        check_plain_function("fields", fields)


def check_network(*, ssl: Any, proxy: Any, http_session: Any) -> None:
    """Check what is handed on to aiohttp, which would only tell at the first attempt.

    Raises:
        TypeError: One is not of the kind that aiohttp takes.
    """
    if ssl is not None and not isinstance(ssl, bool | SSLContext | aiohttp.Fingerprint):
        raise TypeError(f"ssl must be an SSLContext, a Fingerprint, a bool or None, not {ssl!r}")
    if proxy is not None and not isinstance(proxy, str | URL):
        raise TypeError(f"proxy must be an address or None, not a {type(proxy).__name__}")
    if http_session is not None and not isinstance(http_session, aiohttp.ClientSession):
        raise TypeError(f"http_session must be an aiohttp.ClientSession, not {http_session!r}")


def check_extensions(extensions: Any, auth: Any) -> None:
    """Check the extensions.

    Raises:
        TypeError: They are no sequence of `Extension`, or ``auth`` is no `AuthExtension`.
    """
    given: Any = () if extensions is None else extensions
    if not isinstance(extensions, Sequence | None):
        raise TypeError(f"extensions must be a list of extensions, not {extensions!r}")
    for extension in given:
        if not isinstance(extension, Extension):
            raise TypeError(
                f"extensions must hold instances of Extension, not {extension!r}: pairs of "
                "operators become one by Extension.of(inbound=..., outbound=...)"
            )
    if auth is not None and not isinstance(auth, AuthExtension):
        raise TypeError(f"auth must be an AuthExtension or None, not {auth!r}")


def _check_number(name: str, value: Any, *, zero: bool = False) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number, not {value!r}")
    if not (value > 0 or (zero and value == 0)):
        raise ValueError(f"{name} must be {'at least' if zero else 'more than'} 0, not {value!r}")
