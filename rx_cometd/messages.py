"""Bayeux messages: plain dictionaries, as they were decoded.

A message is never copied or wrapped on its way from the socket to its observers; the
`Message` type only names the fields that the Bayeux specification gives it (section "Bayeux
Protocol Elements").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "CONNECT",
    "DISCONNECT",
    "HANDSHAKE",
    "SUBSCRIBE",
    "UNSUBSCRIBE",
    "Message",
    "connect",
    "handshake",
]

HANDSHAKE: Final = "/meta/handshake"
CONNECT: Final = "/meta/connect"
SUBSCRIBE: Final = "/meta/subscribe"
UNSUBSCRIBE: Final = "/meta/unsubscribe"
DISCONNECT: Final = "/meta/disconnect"


class Message(TypedDict, total=False):
    """One Bayeux message. Any field may be missing, and servers add their own.

    Observers of one channel share the same dictionary: it is theirs to read, not to change.
    """

    channel: str
    data: Any
    id: str
    clientId: str
    ext: dict[str, Any]
    advice: dict[str, Any]
    successful: bool
    error: str
    subscription: str | list[str]
    timestamp: str
    version: str
    minimumVersion: str
    supportedConnectionTypes: list[str]
    connectionType: str


def handshake(fields: Mapping[str, Any], connection_types: list[str]) -> Message:
    """Make a handshake, with the user's fields below the protocol's own."""
    message: Any = {
        **fields,
        "channel": HANDSHAKE,
        "version": "1.0",
        "minimumVersion": "1.0",
        "supportedConnectionTypes": connection_types,
    }
    return message  # type: ignore[no-any-return]


def connect(connection_type: str, *, held: bool) -> Message:
    """Make a connect; one that is not to be held asks for an answer at once."""
    message: Message = {"channel": CONNECT, "connectionType": connection_type}
    if not held:
        message["advice"] = {"timeout": 0}
    return message
