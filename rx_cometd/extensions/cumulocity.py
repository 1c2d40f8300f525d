"""What a client for Cumulocity's real-time notifications needs: address and login.

Source: Cumulocity's API reference, "Real-time notification API": Bayeux at
``/notification/realtime``, credentials in the handshake's ``ext``, under ``com.cumulocity.authn``.
"""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any, TypedDict

from rx_cometd.extensions.origin import origin_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from yarl import URL

__all__ = ["CumulocitySettings", "cumulocity"]


class CumulocitySettings(TypedDict):
    """Arguments of `Client`, as returned by `cumulocity`."""

    url: URL
    connection_timeout: float | None
    handshake_fields: Callable[[], dict[str, Any]]


def cumulocity(
    base_url: str,
    *,
    tenant: str | None = None,
    user: str | None = None,
    password: str | None = None,
    token: Callable[[], str] | None = None,
    xsrf_token: Callable[[], str] | None = None,
    connection_timeout: float | None = None,
) -> CumulocitySettings:
    """Return the arguments of a client for Cumulocity: ``Client(**cumulocity(url, ...))``.

    Pass ``user`` and ``password``, or ``token``.

    Args:
        base_url: ``https://example.cumulocity.com``.
        tenant: The tenant's id, if the host does not determine it.
        user: The user name.
        password: The password.
        token: Returns the token of an OAuth login; called for each handshake.
        xsrf_token: Returns the ``XSRF-TOKEN`` of that login; called for each handshake.
        connection_timeout: As for `Client`; the default here is ``None``, no limit.

    Returns:
        The arguments, to be passed to `Client` with ``**``, together with others.

    Raises:
        TypeError: Neither or both of the logins are given.
        ValueError: ``base_url`` is not an absolute HTTP address.

    Example:
        >>> from rx_cometd import Client
        >>> Client(**cumulocity("https://example.cumulocity.com", user="me", password="..."))
        <Client https://example.cumulocity.com/notification/realtime DISCONNECTED no transport>
    """
    given = (user is not None, password is not None, token is not None)
    if given not in ((True, True, False), (False, False, True)):
        raise TypeError("cumulocity needs user and password, or token, and not both")

    def handshake_fields() -> dict[str, Any]:
        credentials = {"token": _basic(tenant, user, password) if token is None else token()}
        if xsrf_token is not None:
            credentials["xsrfToken"] = xsrf_token()
        return {"ext": {"com.cumulocity.authn": credentials}}

    return {
        "url": origin_of("base_url", base_url) / "notification/realtime",
        "connection_timeout": connection_timeout,
        "handshake_fields": handshake_fields,
    }


def _basic(tenant: str | None, user: str | None, password: str | None) -> str:
    """Give a login as it stands behind ``Basic`` in an ``Authorization`` header."""
    login = f"{user}:{password}" if tenant is None else f"{tenant}/{user}:{password}"
    return b64encode(login.encode()).decode()
