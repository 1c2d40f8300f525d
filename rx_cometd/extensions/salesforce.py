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
    """Arguments of `Client`, as `salesforce` gives them."""

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
    """Give the arguments of a client for Salesforce: ``Client(**salesforce(url, auth))``.

    The client uses long-polling, the only transport there; seeks a lost link for ever; replays
    from the markers in the store, and from the oldest event where a marker is too old; comes back
    whenever Salesforce disconnects, which it does as a matter of course since version 64; and holds
    the server back for 30 s at most, for Salesforce ends a session after 40 s.

    Args:
        login_url: ``https://MyDomain.my.salesforce.com``.
        auth: Mostly `salesforce_auth`, which also tells the host to talk to.
        store: Where replay markers are kept; in memory if ``None``, so not beyond the process.
        version: Of the API.
        initial: Where to begin on a channel that has no marker. With ``NEW_EVENTS``, what comes
            before the first event was processed is lost if the session is lost meanwhile.
        fallback: Where to begin when the marker is refused, see `replay`.
        extensions: Further extensions.
        connection_timeout: As for `Client`; ``None``, the default here, is for ever.

    Returns:
        The arguments, to be unpacked beside others of `Client`.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: ``login_url`` is no absolute HTTP address.

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
