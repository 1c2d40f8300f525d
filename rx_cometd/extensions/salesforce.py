"""What a client for Salesforce's streaming needs: address, version, login and replay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypedDict

from rx_cometd.connection_types import ConnectionType
from rx_cometd.extensions.origin import origin_of
from rx_cometd.extensions.replay import replay
from rx_cometd.extensions.replay_store import MemoryStore, ReplayOption
from rx_cometd.messages import DISCONNECT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from yarl import URL

    from rx_cometd.exceptions import ServerError
    from rx_cometd.extension import AuthExtension, Extension
    from rx_cometd.extensions.replay_store import AsyncReplayStore, ReplayId, ReplayStore

__all__ = ["SalesforceSettings", "salesforce"]

#: Salesforce ends a session 40 s after the last answer to a connect.
_MAX_SUSPENSION: Final = 30.0


class SalesforceSettings(TypedDict):
    """Arguments of `Client`, as returned by `salesforce`."""

    url: URL
    connection_types: ConnectionType
    connection_timeout: float | None
    max_suspension: float
    auth: AuthExtension
    extensions: list[Extension]
    is_transient: Callable[[ServerError], bool | None]


def salesforce(
    login_url: str,
    auth: AuthExtension,
    *,
    store: ReplayStore | AsyncReplayStore | None = None,
    version: str = "64.0",
    initial: ReplayId = ReplayOption.NEW_EVENTS,
    fallback: ReplayId | None = ReplayOption.ALL_EVENTS,
    extensions: Sequence[Extension] = (),
    connection_timeout: float | None = None,
) -> SalesforceSettings:
    """Return the arguments of a client for Salesforce: ``Client(**salesforce(url, auth))``.

    The client uses long-polling, Salesforce's only transport; tries to reconnect without limit;
    replays from the markers in the store, or from the oldest event if a marker is too old; comes
    back whenever Salesforce disconnects, which it does routinely since version 64; and holds
    the server back for 30 s at most, because Salesforce ends a session after 40 s.

    Args:
        login_url: ``https://MyDomain.my.salesforce.com``.
        auth: Usually `salesforce_auth`, which also determines the host.
        store: Where replay markers are kept; in memory if ``None``, so not beyond the process.
        version: Of the API.
        initial: Where to begin on a channel that has no marker. With ``NEW_EVENTS``, events that
            arrive before the first one is processed are lost if the session is lost in that time.
        fallback: Where to begin when the marker is refused, see `replay`.
        extensions: Further extensions.
        connection_timeout: As for `Client`; the default here is ``None``, no limit.

    Returns:
        The arguments, to be passed to `Client` with ``**``, together with others.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: ``login_url`` is not an absolute HTTP address.

    Example:
        >>> from rx_cometd import Client
        >>> from rx_cometd.extensions import salesforce_auth
        >>> url = "https://example.my.salesforce.com"
        >>> Client(**salesforce(url, salesforce_auth(url, "3MVG9", client_secret="...")))
        <Client https://example.my.salesforce.com/cometd/64.0 DISCONNECTED no transport>
    """
    markers = replay(MemoryStore() if store is None else store, initial=initial, fallback=fallback)
    return {
        "url": origin_of("login_url", login_url) / "cometd" / version,
        "connection_types": ConnectionType.LONG_POLLING,
        "connection_timeout": connection_timeout,
        "max_suspension": _MAX_SUSPENSION,
        "auth": auth,
        "extensions": [markers, *extensions],
        "is_transient": _is_transient,
    }


def _is_transient(error: ServerError) -> bool | None:
    return True if error.response.get("channel") == DISCONNECT else None
