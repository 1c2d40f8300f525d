"""The ``ext`` field of messages, as the ready-made extensions read and write it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from rx_cometd.messages import Message

__all__ = ["as_object", "get_ext", "put_ext"]


def as_object(value: Any) -> dict[str, Any]:
    """Give a JSON value that should be an object, ``{}`` if it is not one."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def get_ext(message: Message, name: str) -> Any:
    """Give one value of a message's ``ext``, ``None`` where there is none."""
    return as_object(message.get("ext")).get(name)


def put_ext(message: Message, name: str, value: object) -> None:
    """Set one value of the ``ext`` of a message to send.

    The field is replaced: the one in the message may be the user's own mapping (of
    ``handshake_fields``, say), which is asked for again at the next handshake.
    """
    message["ext"] = {**message.get("ext", {}), name: value}
