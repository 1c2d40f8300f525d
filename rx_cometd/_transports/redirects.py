"""Which redirects are followed: those to the same origin.

A payload carries credentials: the user's headers, cookies, the ``ext`` of a handshake. Whom
they are meant for the user says with the address, and no server may say otherwise. So another
scheme, host or port is an error that names it, and nothing is sent there.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

import aiohttp
from yarl import URL

from rx_cometd._transports.base import as_http
from rx_cometd._transports.errors import shown
from rx_cometd.exceptions import TransportError

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from aiohttp.connector import Connection

__all__ = ["MOST_REDIRECTS", "Redirected", "Upgrade", "redirect_target", "upgrading"]

#: How many redirects in a row are followed.
MOST_REDIRECTS: Final = 5
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


def redirect_target(status: int, headers: Mapping[str, str], sent_to: URL) -> URL | None:
    """Give the address that a response redirects to, ``None`` where it does not.

    Args:
        status: The status of the response.
        headers: Its headers.
        sent_to: Where the request was sent.

    Raises:
        TransportError: It is of another origin, or no address.
    """
    location = headers.get("Location") or headers.get("URI")  # as aiohttp reads them
    if status not in _REDIRECTS or not location:
        return None
    try:
        target = as_http(sent_to.join(URL(location)))
        named = str(target.origin())
    except ValueError:
        raise TransportError(
            f"{shown(sent_to)} redirects to something that is no address", http_status=status
        ) from None
    if _place(target) == _place(as_http(sent_to)):
        return target.with_user(sent_to.user).with_password(sent_to.password)
    raise TransportError(
        f"{shown(sent_to)} redirects to {named}, which is another origin: nothing was sent there, "
        "for credentials would go with it; if it is the right server, use its address",
        http_status=status,
        final=True,
    )


def _place(address: URL) -> tuple[str, str | None, int | None]:
    """Give the origin of an address, in which a default port is the same as none."""
    return address.scheme, address.host, address.port


class Redirected(Exception):  # noqa: N818 - it is no error, but how aiohttp is stopped
    """A WebSocket is to be sought at another address.

    Attributes:
        target: The address.
    """

    def __init__(self, target: URL) -> None:
        super().__init__()
        self.target = target


class Upgrade:
    """One attempt to open a WebSocket.

    Attributes:
        address: What is asked for it.
        connection: The connection, once there is an answer.
    """

    def __init__(self, address: URL) -> None:
        self.address = address
        self.connection: Connection | None = None


@contextmanager
def upgrading(http: aiohttp.ClientSession, address: URL) -> Generator[Upgrade]:
    """Have redirects of the upgrade in this block told as `Redirected`, not followed.

    ``ws_connect`` cannot be told so. A trace can stop it, and one that belongs to another task
    or block does nothing.
    """
    if _TRACE not in http.trace_configs:
        http.trace_configs.append(_TRACE)
    upgrade = Upgrade(address)
    token = _current.set(upgrade)
    try:
        yield upgrade
    finally:
        _current.reset(token)


_current: ContextVar[Upgrade | None] = ContextVar("rx_cometd.upgrade", default=None)


async def _stop(
    _session: aiohttp.ClientSession, _: object, params: aiohttp.TraceRequestRedirectParams
) -> None:
    upgrade = _current.get()
    if upgrade is not None:
        response = params.response
        target = redirect_target(response.status, response.headers, upgrade.address)
        if target is not None:
            raise Redirected(target)


async def _note_connection(
    _session: aiohttp.ClientSession, _: object, params: aiohttp.TraceRequestEndParams
) -> None:
    upgrade = _current.get()
    if upgrade is not None:
        upgrade.connection = params.response.connection


def _trace() -> aiohttp.TraceConfig:
    trace = aiohttp.TraceConfig()
    trace.on_request_redirect.append(_stop)
    trace.on_request_end.append(_note_connection)
    trace.freeze()
    return trace


_TRACE: Final = _trace()
