"""The errors of rx_cometd: one tree, facts as attributes, text made in ``__str__``.

::

    CometDError
    ├── ClientError                  wrong use, or nothing in common with the server
    │   ├── ClientInvalidOperation   not in this state
    │   ├── InvalidChannelError      (also a ValueError)
    │   ├── BufferOverflowError      a consumer was too slow for its buffer
    │   └── ExtensionError           an extension failed, or dropped a request
    ├── TransportError               the network, or the server's HTTP
    │   ├── TransportTimeoutError    no answer, or no link, in time
    │   ├── TransportConnectionClosed
    │   └── ProtocolError            what was received is not Bayeux
    ├── DecodeError                  the data of a message is not of its channel's type
    └── ServerError                  the server refused
        └── AuthenticationError      ... for want of valid credentials

Whose fault it is comes first (ours, the network's, the server's), then what it is. No text
made here ever holds a header, an ``ext`` field or a whole message: credentials travel in them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "AuthenticationError",
    "BufferOverflowError",
    "ClientError",
    "ClientInvalidOperation",
    "CometDError",
    "DecodeError",
    "ExtensionError",
    "InvalidChannelError",
    "ProtocolError",
    "ServerError",
    "TransportConnectionClosed",
    "TransportError",
    "TransportTimeoutError",
]


class CometDError(Exception):
    """Base class of all errors of rx_cometd."""


class ClientError(CometDError):
    """The library was used wrongly, or has nothing in common with the server."""


class ClientInvalidOperation(ClientError):  # noqa: N818 - the contract fixes the name
    """The client is not in a state that allows the operation."""


class InvalidChannelError(ClientError, ValueError):
    """A channel name that the Bayeux grammar does not allow.

    Attributes:
        channel: The name as it was given.
        reason: What is wrong with it.
    """

    def __init__(self, channel: str, reason: str) -> None:
        super().__init__(channel, reason)
        self.channel = channel
        self.reason = reason

    def __str__(self) -> str:
        return f"invalid channel {self.channel!r}: {self.reason}"


class BufferOverflowError(ClientError):
    """A bounded buffer with the policy ``ERROR``, or the outbox, was full.

    Attributes:
        max_pending_count: The bound of the buffer, in messages.
        outbox: Whether it was the outbox: requests that wait to be sent or answered.
    """

    def __init__(self, max_pending_count: int, *, outbox: bool = False) -> None:
        super().__init__(max_pending_count)
        self.max_pending_count = max_pending_count
        self.outbox = outbox

    def __str__(self) -> str:
        if self.outbox:
            return (
                f"max_outbox, {self.max_pending_count} requests, wait to be sent or answered: wait "
                "for replies before you publish more"
            )
        return f"the consumer is too slow: more than {self.max_pending_count} messages were pending"


class ExtensionError(ClientError):
    """An extension raised, or dropped a request, or kept it too long."""


class TransportError(CometDError):
    """The network, or the server's HTTP, failed.

    Attributes:
        http_status: The status of the HTTP response, ``None`` where there was none.
        close_code: The code of the WebSocket close frame, ``None`` where there was none.
        final: Whether waiting cannot fix it: a certificate that is not accepted, no HTTP server
            or nothing at that path, a redirect to another origin, two credentials for one request.
        retry_after: How many seconds the server asks to wait (``Retry-After``, with HTTP 429 or
            503), ``None`` if it does not.
    """

    def __init__(
        self,
        message: str = "",
        *,
        http_status: int | None = None,
        close_code: int | None = None,
        final: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.http_status = http_status
        self.close_code = close_code
        self.final = final


class TransportTimeoutError(TransportError):
    """A reply did not arrive in time, or the link was down for too long."""


class TransportConnectionClosed(TransportError):  # noqa: N818 - the contract fixes the name
    """The connection was closed while a reply was expected."""


class ProtocolError(TransportError):
    """What was received is not Bayeux: bad JSON, not a list of objects, or too large."""


class DecodeError(CometDError):
    """The data of a message on a typed channel is not of the channel's type.

    What does not fit is in the cause, the error of msgspec or pydantic: its text may quote
    the data, and is therefore not part of this one's.

    Attributes:
        channel: The channel of the message.
        path: The place in the data, such as ``$.legs[0].price``; ``None`` if it is not known.
    """

    def __init__(self, channel: str, path: str | None = None) -> None:
        super().__init__(channel, path)
        self.channel = channel
        self.path = path

    def __str__(self) -> str:
        where = "" if self.path is None else f" at {self.path}"
        return f"the data of a message on {self.channel} is not of the channel's type{where}"


class ServerError(CometDError):
    """The server refused a request, or ended the session.

    The ``error`` field of Bayeux replies has the grammar ``code:args:message`` with the args
    separated by commas (Bayeux specification, "error"). It is split at its first two colons,
    and where a server does not keep to the grammar the whole text is the ``error_message``.

    Attributes:
        response: The reply as it came.
        error: The ``error`` field as text, ``""`` where there was none.
        error_code: The code, ``None`` where there is none or it is not a number.
        error_args: The arguments, empty ones left out.
        error_message: The message.
        advice: The ``advice`` field of the reply, ``{}`` where there was none.
    """

    def __init__(self, message: str, response: Mapping[str, Any] | None = None) -> None:
        super().__init__(message, response)
        self.message = message
        self.response: Mapping[str, Any] = response if response is not None else {}
        error = self.response.get("error")
        self.error = "" if error is None else str(error)
        self.error_code, self.error_args, self.error_message = _parse_error(self.error)
        advice = self.response.get("advice")
        self.advice: Mapping[str, Any] = advice if isinstance(advice, dict) else {}

    def __str__(self) -> str:
        return f"{self.message}: {self.error}" if self.error else self.message

    def __repr__(self) -> str:
        # Not the default one, which would show the response.
        return f"{type(self).__name__}({str(self)!r})"


class AuthenticationError(ServerError):
    """The server does not accept the credentials."""


#: Three digits by the grammar; more are let be, but not so many that ``int`` refuses them.
_CODE = re.compile("[0-9]{0,9}")


def _parse_error(error: str) -> tuple[int | None, tuple[str, ...], str]:
    """Split ``code:args:message`` at its first two colons; texts may hold further ones."""
    parts = error.split(":", 2)
    if len(parts) != 3 or _CODE.fullmatch(parts[0]) is None:
        return None, (), error
    code, args, message = parts
    return (
        int(code) if code else None,
        tuple(arg.strip() for arg in args.split(",") if arg.strip()),
        message,
    )
