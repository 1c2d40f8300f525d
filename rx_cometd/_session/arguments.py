"""What a client checks of its arguments when it is made, so that mistakes show at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ssl import SSLContext
from typing import Any

import aiohttp
from yarl import URL

from rx_cometd._flow.arguments import (
    check_bound,
    check_choice,
    check_int,
    check_plain_function,
    check_positive,
    check_seconds,
)
from rx_cometd._protocol.codec import Codec
from rx_cometd._protocol.user_functions import call
from rx_cometd._session.settings import checked_url
from rx_cometd._transports import TransportOptions
from rx_cometd.extension import AuthExtension, Extension

__all__ = [
    "check_buffering",
    "check_fields",
    "check_http_session",
    "checked_extensions",
    "codec_of",
    "transport_options",
]


def check_buffering(max_pending_count: Any, overflow: Any, max_outbox: Any) -> None:
    """Check how much may wait.

    Raises:
        TypeError: A bound is no integer, or the policy no `Overflow`.
    """
    check_int("max_pending_count", max_pending_count)
    check_int("max_outbox", max_outbox)
    check_bound(max_pending_count, overflow)


def check_fields(fields: Any) -> None:
    """Check extra fields, which may be asked for later.

    Raises:
        TypeError: They are neither a mapping nor a plain function.
    """
    if fields is None or isinstance(fields, Mapping):
        return
    if not callable(fields):
        # Its type only: fields may hold credentials.
        kind = type(fields).__name__
        raise TypeError(f"fields must be a mapping, or a function that gives one, not a {kind}")
    check_plain_function("fields", fields)


def checked_extensions(extensions: Any, auth: Any) -> tuple[Extension, ...]:
    """Check what accompanies and changes payloads; give the extensions.

    Raises:
        TypeError: They are no sequence of `Extension`, or ``auth`` is no `AuthExtension`.
    """
    if auth is not None and not isinstance(auth, AuthExtension):
        raise TypeError(f"auth must be an AuthExtension or None, not {auth!r}")
    given: Any = () if extensions is None else extensions
    if not isinstance(extensions, Sequence | None):
        raise TypeError(f"extensions must be a list of extensions, not {extensions!r}")
    for extension in given:
        if not isinstance(extension, Extension):
            raise TypeError(
                f"extensions must hold instances of Extension, not {extension!r}: pairs of "
                "operators become one by Extension.of(inbound=..., outbound=...)"
            )
    return tuple(given)


def codec_of(json_dumps: Any, json_loads: Any) -> Codec:
    """Give the codec that two JSON functions make.

    Raises:
        TypeError: One cannot be called, or is a coroutine function.
    """
    check_plain_function("json_dumps", json_dumps)
    check_plain_function("json_loads", json_loads)
    return Codec(json_dumps, json_loads)


def transport_options(
    url: str | URL,
    ssl: SSLContext | bool | aiohttp.Fingerprint | None,
    proxy: URL | str | None,
    max_message_size: int,
    auth: AuthExtension | None,
    *,
    heartbeat: float | None,
    compress: bool,
) -> TransportOptions:
    """Give the options of the transports.

    Raises:
        TypeError: One is of the wrong kind.
        ValueError: A size or a time is out of range, or the proxy no HTTP address.
        ClientError: The address makes no sense.
    """
    # aiohttp would only tell at the first attempt.
    given: Any = ssl
    if given is not None and not isinstance(given, bool | SSLContext | aiohttp.Fingerprint):
        raise TypeError(f"ssl must be an SSLContext, a Fingerprint, a bool or None, not {given!r}")
    if proxy is not None:
        _check_proxy(proxy)
    check_positive("max_message_size", max_message_size)
    if heartbeat is not None:
        check_seconds("heartbeat", heartbeat)
    check_choice("compress", compress)
    return TransportOptions(
        url=checked_url(url),
        ssl=True if ssl is None else ssl,
        proxy=proxy,
        max_message_size=max_message_size,
        heartbeat=heartbeat,
        compress=compress,
        origin=None if auth is None else lambda: call(lambda: auth.origin, "origin"),
    )


def _check_proxy(proxy: Any) -> None:
    """Look at it now: aiohttp goes past an empty one, and fails with others at each attempt."""
    if not isinstance(proxy, str | URL):
        raise TypeError(f"proxy must be an address or None, not a {type(proxy).__name__}")
    try:
        address = URL(proxy)
    except ValueError:
        address = URL()
    if address.scheme not in ("http", "https") or not address.host:
        # Its scheme only: credentials travel in it.
        raise ValueError(
            "proxy must be the address of an HTTP proxy, as http://host:3128, not one with"
            f" scheme {address.scheme!r}"
        )


def check_http_session(http_session: Any) -> None:
    """Check the user's own HTTP session.

    Raises:
        TypeError: It is none of aiohttp's.
    """
    if http_session is not None and not isinstance(http_session, aiohttp.ClientSession):
        raise TypeError(f"http_session must be an aiohttp.ClientSession, not {http_session!r}")
