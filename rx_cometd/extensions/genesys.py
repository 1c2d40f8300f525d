"""What a client for Genesys Engage's Workspace API needs: address, key and cookies.

Source: Genesys's sample programs for the Workspace API: CometD at ``/workspace/v3/notifications``,
by long-polling only, with the header ``x-api-key`` and the cookies of the workspace session.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from rx_cometd.connection_types import ConnectionType
from rx_cometd.extensions.origin import origin_of

if TYPE_CHECKING:
    import aiohttp
    from yarl import URL

__all__ = ["GenesysSettings", "genesys"]


class GenesysSettings(TypedDict):
    """Arguments of `Client`, as returned by `genesys`."""

    url: URL
    connection_types: ConnectionType
    connection_timeout: float | None
    headers: dict[str, str]
    http_session: aiohttp.ClientSession


def genesys(
    base_url: str,
    api_key: str,
    http_session: aiohttp.ClientSession,
    *,
    connection_timeout: float | None = None,
) -> GenesysSettings:
    """Return the arguments of a client for Genesys's Workspace API: ``Client(**genesys(...))``.

    This is Genesys Engage. The notifications of Genesys Cloud are not CometD.

    Args:
        base_url: ``https://api-usw1.genhtcc.com``, or what your region has.
        api_key: The application's key.
        http_session: The one that initialized the workspace: it has the session's cookie.
        connection_timeout: As for `Client`; the default here is ``None``, no limit.

    Returns:
        The arguments, to be passed to `Client` with ``**``, together with others.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: ``base_url`` is not an absolute HTTP address.
    """
    return {
        "url": origin_of("base_url", base_url) / "workspace/v3/notifications",
        "connection_types": ConnectionType.LONG_POLLING,
        "connection_timeout": connection_timeout,
        "headers": {"x-api-key": api_key},
        "http_session": http_session,
    }
