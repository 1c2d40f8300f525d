"""JSON whose ``data`` stays as it came, for channels that decode it straight into a type.

`raw_json_loads` is a ``json_loads`` for `Client`. What it leaves is completed before anybody sees
it who is not a typed channel: extensions, replies, and observers of plain messages.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rx_cometd.messages import Event, Message

__all__ = ["complete", "data_decoder", "raw_json_loads", "raw_type"]


def raw_json_loads(payload: str | bytes) -> Any:
    """Decode a payload, but leave the ``data`` of its messages as JSON (``msgspec.Raw``).

    Pass it to `Client` as ``json_loads``: typed channels (``client.channel(name, type=Quote)``)
    then decode the data from the JSON straight into their type. All others get it decoded as
    usual. Fields of a message that neither Bayeux nor CometD names are left out.

    Raises:
        ImportError: msgspec is not installed.
        ValueError: It is no JSON.
    """
    import msgspec  # noqa: PLC0415 - an extra

    try:
        return _payload_decoder()(payload)
    except msgspec.ValidationError:
        # It is JSON, but not just messages: what there is of them is for the codec to find.
        return data_decoder()(payload)


def complete(messages: Iterable[Message | Event]) -> None:
    """Decode the data that was left as JSON."""
    decode = data_decoder()
    raw = raw_type()
    for message in messages:
        data: object = message.get("data")
        if type(data) is raw:
            message["data"] = decode(data)


@cache
def raw_type() -> type:
    """Give the type of data that was left as JSON."""
    import msgspec  # noqa: PLC0415 - an extra

    return msgspec.Raw


@cache
def data_decoder() -> Callable[[Any], Any]:
    """Give what decodes data that was left as JSON."""
    import msgspec  # noqa: PLC0415 - an extra

    return msgspec.json.Decoder().decode


@cache
def _payload_decoder() -> Callable[[str | bytes], Any]:
    import msgspec  # noqa: PLC0415 - an extra

    # As types of their own these fields would be checked, which is the protocol's to do.
    fields: dict[str, Any] = {"data": msgspec.Raw, **dict.fromkeys(_FIELDS, Any)}
    make: Any = TypedDict  # called: "x-messages" is no name that a class could have
    message: Any = make("message", fields, total=False)
    return msgspec.json.Decoder(list[message] | message).decode


_FIELDS = (
    "channel",
    "id",
    "clientId",
    "ext",
    "advice",
    "successful",
    "error",
    "failure",
    "subscription",
    "timestamp",
    "version",
    "minimumVersion",
    "supportedConnectionTypes",
    "connectionType",
    "x-messages",
)
