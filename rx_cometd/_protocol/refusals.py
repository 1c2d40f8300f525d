"""Reading refusals: what an unsuccessful reply, or a failed exchange, means.

Decisions follow the ``advice``, not the code: 402 is an unknown client in CometD and a missing
parameter in Faye, where an unknown client is 401, and in Salesforce it is 403. Codes are read
only where there is no advice to follow, and to tell authentication failures.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, cast

from rx_cometd._protocol.requests import Kind
from rx_cometd._protocol.user_functions import failure_of
from rx_cometd.exceptions import (
    AuthenticationError,
    ServerError,
    TransportConnectionClosed,
    TransportError,
    TransportTimeoutError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from rx_cometd._protocol.requests import Request
    from rx_cometd.messages import Message

__all__ = [
    "Policy",
    "as_authentication_error",
    "asked_delay",
    "authentication_failed",
    "cause_text",
    "is_final",
    "is_lost",
    "is_passing",
    "not_subscribed",
    "reached_server",
    "refusal",
    "session_ended_meanwhile",
    "unknown_client",
    "unsupported",
]

_log = logging.getLogger("rx_cometd.protocol")

_TEXTS = {
    Kind.HANDSHAKE: "the handshake was refused",
    Kind.CONNECT: "the connect was refused",
    Kind.DISCONNECT: "the disconnect was refused",
    Kind.SUBSCRIBE: "the subscribe to {subscription} was refused",
    Kind.UNSUBSCRIBE: "the unsubscribe from {subscription} was refused",
    Kind.PUBLISH: "the publish to {channel} was refused",
    Kind.CALL: "the call of {channel} was refused",
}


def refusal(request: Request, reply: Message) -> ServerError:
    """Make the error of an unsuccessful reply; authentication failures have their own class."""
    text = _TEXTS[request.kind].format(
        channel=request.channel, subscription=request.message.get("subscription")
    )
    error = ServerError(text, reply)
    return AuthenticationError(text, reply) if _unauthenticated(request.kind, error) else error


class Policy:
    """Decides which refusals, and which disconnects by the server, are transient.

    Args:
        is_transient: The user's function. It gives whether an error is transient, ``None`` for
            what it leaves to the default; what it raises is logged, and the default counts.
    """

    def __init__(self, is_transient: Callable[[ServerError], bool | None] | None = None) -> None:
        self._is_transient = is_transient

    def transient(self, error: ServerError, *, default: bool) -> bool:
        """Tell whether an error passes, so that it is tried again."""
        if self._is_transient is None:
            return default
        try:
            told = self._is_transient(error)
            return default if told is None else bool(told)
        except BaseException as raised:
            failure = failure_of(raised, "is_transient")
            _log.error(
                "`is_transient` failed; the default counts",
                exc_info=failure,
                extra={"event": "callback_failed", "callback": "is_transient"},
            )
            return default


def is_passing(error: ServerError) -> bool:
    """Tell whether the code of a refusal is known to pass, such as "503: the server is too busy".

    Salesforce hides it as a ``failureReason`` behind a 403.
    """
    passing = {str(code) for code in _BUSY}
    return error.error_code in _BUSY or any(r[:3] in passing for r in _failure_reasons(error))


def unknown_client(error: ServerError) -> bool:
    """Tell whether a server refused because it does not know the session (any more)."""
    text = error.error_message.lower()
    named = "unknown" in text and ("client" in text or "session" in text)
    return named and error.error_code in {401, 402, 403}


def not_subscribed(error: Exception) -> bool:
    """Tell whether an unsubscribe was refused because there is nothing to unsubscribe from.

    So do the servers of CometD where nobody has the channel (BayeuxServerImpl.java).
    """
    return isinstance(error, ServerError) and error.error_message == "channel_missing"


def session_ended_meanwhile(error: ServerError) -> bool:
    """Tell whether the session ended while its subscribe was being looked at.

    A channel that is denied is ``subscribe_denied``; ``subscribe_failed`` is what the servers
    of CometD say when the channel would not take the session, which is when that is gone
    (BayeuxServerImpl.java, ServerChannelImpl.subscribe; cometd-nodejs-server likewise).
    """
    return error.error_code == 403 and error.error_message == "subscribe_failed"


def authentication_failed(error: Exception) -> bool:
    """Tell whether new credentials might help."""
    if isinstance(error, TransportError):
        return error.http_status == 401
    return isinstance(error, AuthenticationError)


def as_authentication_error(error: Exception) -> Exception:
    """Give an authentication failure, however it was told, as an `AuthenticationError`."""
    if isinstance(error, AuthenticationError):
        return error
    failure = AuthenticationError(f"the server wants other credentials: {cause_text(error)}")
    failure.__cause__ = error
    return failure


def cause_text(error: BaseException) -> str:
    """Give the text of a cause, for the text of the error that it led to."""
    return str(error) or type(error).__name__


def asked_delay(error: Exception | None) -> float:
    """Give the seconds that a server asks to wait before the next attempt, 0 where it does not."""
    return (error.retry_after or 0.0) if isinstance(error, TransportError) else 0.0


def is_lost(error: Exception) -> bool:
    """Tell whether there was no reply: the network failed, or what came does not hold it."""
    return isinstance(error, TransportError)


def is_final(error: Exception) -> bool:
    """Tell whether no waiting, and no other transport, can mend what failed.

    An answer with a status is for `Negotiation` to judge: the next transport may do.
    """
    return isinstance(error, TransportError) and error.final and error.http_status is None


def reached_server(error: Exception) -> bool:
    """Tell whether something may be in the way of the transport, not just the network down."""
    return isinstance(error, TransportTimeoutError | TransportConnectionClosed) or (
        isinstance(error, TransportError) and error.http_status is not None
    )


def unsupported(error: Exception) -> bool:
    """Tell whether a failed exchange shows that the server does not speak the transport."""
    return (
        isinstance(error, TransportError)
        and error.http_status is not None
        and error.http_status not in _PASSING
    )


#: Codes that say "not now".
_BUSY = frozenset({408, 425, 429, 502, 503, 504})
#: Statuses that say "not now" or "not you" rather than "not this way".
_PASSING = _BUSY | {401, 403, 407, 500}


def _unauthenticated(kind: Kind, error: ServerError) -> bool:
    if unknown_client(error):
        return False
    if error.error_code == 401 or any(r.startswith("401") for r in _failure_reasons(error)):
        return True
    return kind is Kind.HANDSHAKE and error.error_code == 403


def _failure_reasons(error: ServerError) -> list[str]:
    """Give the texts of ``ext.*.failureReason``, where Salesforce puts the true cause."""
    ext = error.response.get("ext")
    if not isinstance(ext, dict):
        return []
    values = cast("dict[str, object]", ext).values()
    fields = [cast("dict[str, object]", value) for value in values if isinstance(value, dict)]
    return [str(field["failureReason"]) for field in fields if "failureReason" in field]
