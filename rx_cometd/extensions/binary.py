"""The binary extension: ``bytes`` as data, in both directions.

On the wire (CometD's ``BinaryExtension``) a message with binary data is marked with
``ext.binary: {}``, and its data are ``{"data": <Z85 text>, "last": <bool>, "meta": <object>}``.
Nothing is said at the handshake.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from reactivex import operators as ops

from rx_cometd._protocol.channel_names import is_meta
from rx_cometd.extension import Extension
from rx_cometd.extensions import z85
from rx_cometd.extensions.ext import as_object, get_ext, put_ext

if TYPE_CHECKING:
    from rx_cometd.extension import Payload
    from rx_cometd.messages import Message

__all__ = ["binary"]

_logger = logging.getLogger("rx_cometd.extensions.binary")


def binary() -> Extension:
    """Make the extension that sends and receives ``bytes`` as data.

    To send, publish (or call with) either

    - ``bytes``, ``bytearray`` or ``memoryview``: one chunk, which is the last; or
    - ``{"data": <bytes>, "last": False, "meta": {...}}``: one of several chunks, or one with
      metadata. ``last`` is ``True`` and ``meta`` missing by default.

    What is received has the same two forms: ``message["data"]`` is ``bytes`` where the chunk
    is the last and has no ``meta``, and such a dictionary otherwise. ``ext.binary`` is taken
    out of the message. Text that is no Z85 is logged and delivered as it came, with
    ``ext.binary`` still there.

    Returns:
        The extension, to be put into ``Client(extensions=[...])``.
    """
    return Extension.of(inbound=ops.do_action(_receive), outbound=ops.do_action(_send))


def _send(payload: Payload) -> None:
    for message in payload.messages:
        content = _content(message.get("data"))
        if content is not None and not is_meta(message.get("channel", "")):
            # Data and ext are the caller's: what is sent is a new message.
            message["data"] = content
            put_ext(message, "binary", {})


def _content(data: Any) -> dict[str, Any] | None:
    """Give the form on the wire of binary data, ``None`` if they are not binary."""
    content: dict[str, Any] = as_object(data) or {"data": data}
    if isinstance(content.get("data"), bytes | bytearray | memoryview):
        return {"last": True, **content, "data": z85.encode(content["data"])}
    return None


def _receive(payload: Payload) -> None:
    for message in payload.messages:
        channel: object = message.get("channel")
        ours = isinstance(channel, str) and not is_meta(channel)
        if ours and get_ext(message, "binary") is not None:
            try:
                _decode(message)
            except ValueError as error:
                _logger.warning(
                    "binary data on %s: %s",
                    channel,
                    error,
                    extra={"event": "binary_malformed", "channel": channel},
                )


def _decode(message: Message) -> None:
    if message.get("data") is None:
        return  # the reply to a publish, which may carry the ext of its request
    content = as_object(message.get("data"))
    text = content.get("data")
    if not isinstance(text, str):
        raise ValueError("they have no text")  # noqa: TRY004 - the server's fault, not ours
    chunk = z85.decode(text)
    if content.get("last", True) and not content.get("meta"):
        message["data"] = chunk
    else:
        message["data"] = {**content, "data": chunk}
    ext = {key: value for key, value in message.get("ext", {}).items() if key != "binary"}
    if ext:
        message["ext"] = ext
    else:
        del message["ext"]
