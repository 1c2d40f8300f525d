"""Bayeux messages: plain dictionaries, as they were decoded.

A message is never copied or wrapped on its way from the socket to its observers; the
`Message` type only names the fields that the Bayeux specification gives it (section "Bayeux
Protocol Elements").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NotRequired, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "CONNECT",
    "DISCONNECT",
    "HANDSHAKE",
    "SUBSCRIBE",
    "UNSUBSCRIBE",
    "Event",
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
    """One Bayeux message, a reply say. Any field may be missing, and servers add their own.

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


class Event(TypedDict):
    """An event message: what channels emit. It always has a channel and data.

    The other fields are there if the server or an extension sends them. As with `Message`, it
    is the dictionary that was decoded, shared by all observers of the channel.
    """

    channel: str
    data: Any
    id: NotRequired[str]
    clientId: NotRequired[str]
    ext: NotRequired[dict[str, Any]]
    advice: NotRequired[dict[str, Any]]
    timestamp: NotRequired[str]


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
