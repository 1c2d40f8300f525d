"""The data of events as their JSON came, byte for byte (with msgspec, which the extras bring)."""

from __future__ import annotations

import json
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, cast

from rx_cometd._protocol.raw_data import raw_json_loads, raw_type

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["IntactData", "intact_json_loads"]

#: Whether msgspec is installed.
_AVAILABLE: Final = find_spec("msgspec") is not None


class IntactData(dict[str, Any]):
    """The data of an event: ``event``, by which it names itself, and the JSON of all of it.

    Attributes:
        json: What the server sent, in UTF-8.
    """

    __slots__ = ("json",)

    def __init__(self, data: bytes) -> None:
        self.json = data
        about = _event_of()(data)
        if about is not None:
            self["event"] = about


def intact_json_loads(payload: str | bytes) -> Any:
    """Decode a payload, but keep the JSON of the ``data`` of its messages, for a relay to write.

    A `Relay` gives it to the client that it makes. Give it to yours, as ``json_loads``, if a
    function makes that. The data then are a dictionary of no more than their ``event``, by which
    they name themselves: for a relay, but not for extensions that look at them.

    What only Python's ``json`` takes for JSON (``NaN``, half a surrogate pair) that decodes, with
    the data of all messages in that payload as usual; and everything, if msgspec is not installed.
    """
    if not _AVAILABLE:
        return json.loads(payload)
    import msgspec  # noqa: PLC0415 - it is asked for only if it is there

    try:
        decoded: object = raw_json_loads(payload)
    except msgspec.DecodeError:
        return json.loads(payload)
    raw = raw_type()
    for message in _elements(decoded):
        if isinstance(message, dict):
            fields = cast("dict[str, Any]", message)
            data: object = fields.get("data")
            if type(data) is raw:
                # Copied: it would keep the whole payload, which may be a long one.
                fields["data"] = IntactData(bytes(cast("Any", data)))
    return decoded


def _elements(decoded: object) -> list[object]:
    return cast("list[object]", decoded) if isinstance(decoded, list) else [decoded]


@cache
def _event_of() -> Callable[[bytes], Any]:
    """Give the function that decodes nothing but the field ``event`` of data."""
    import msgspec  # noqa: PLC0415 - as above

    class About(msgspec.Struct):
        event: Any = None

    decode = msgspec.json.Decoder(About).decode

    def event_of(data: bytes) -> Any:
        try:
            return decode(data).event
        except msgspec.ValidationError:  # it is no object
            return None

    return event_of
