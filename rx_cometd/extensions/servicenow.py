"""What a client for ServiceNow's Asynchronous Message Bus (AMB) needs: address, cookies, token.

Source: the AMB client that ServiceNow's own pages load: CometD at ``/amb``, the cookies of the
logged-in HTTP session, and that session's token in the header ``X-UserToken``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from rx_cometd.extensions.origin import origin_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import aiohttp
    from yarl import URL

__all__ = ["ServiceNowSettings", "servicenow"]


class ServiceNowSettings(TypedDict):
    """Arguments of `Client`, as returned by `servicenow`."""

    url: URL
    connection_timeout: float | None
    headers: Callable[[], dict[str, str]]
    http_session: aiohttp.ClientSession


def servicenow(
    instance_url: str,
    http_session: aiohttp.ClientSession,
    *,
    user_token: Callable[[], str] | None = None,
    connection_timeout: float | None = None,
) -> ServiceNowSettings:
    """Return the arguments of a client for AMB: ``Client(**servicenow(url, http_session))``.

    Args:
        instance_url: ``https://example.service-now.com``.
        http_session: One that is logged in: its cookies are the credentials.
        user_token: Returns the token of the HTTP session (``g_ck`` on ServiceNow's pages); called
            for each handshake and request.
        connection_timeout: As for `Client`; the default here is ``None``, no limit.

    Returns:
        The arguments, to be passed to `Client` with ``**``, together with others.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: ``instance_url`` is not an absolute HTTP address.
    """

    def headers() -> dict[str, str]:
        return {} if user_token is None else {"X-UserToken": user_token()}

    return {
        "url": origin_of("instance_url", instance_url) / "amb",
        "connection_timeout": connection_timeout,
        "headers": headers,
        "http_session": http_session,
    }
