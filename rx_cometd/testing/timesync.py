"""The time synchronisation extension (``TimesyncExtension`` of CometD)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, cast

from rx_cometd.testing.globs import is_meta
from rx_cometd.testing.server_extension import InFlight, ServerExtension

if TYPE_CHECKING:
    from rx_cometd.testing.wire import Json

__all__ = ["TimesyncExtension"]

_ACCURACY: Final = 25


class TimesyncExtension(ServerExtension):
    """Answers ``ext.timesync`` of meta messages, unless the client is in step already.

    Args:
        offset: How many seconds the server's clock is ahead.
    """

    def __init__(self, offset: float = 0.0) -> None:
        self._offset = offset

    def outgoing(self, in_flight: InFlight, reply: Json) -> None:
        """Tell the server's time."""
        message = in_flight.message
        ext = message.get("ext")
        asked: Any = cast("Json", ext).get("timesync") if isinstance(ext, dict) else None
        if not isinstance(asked, dict) or not is_meta(message["channel"]):
            return
        told = cast("Json", asked)
        sent, lag, offset = (int(told.get(key, 0)) for key in ("tc", "l", "o"))
        now = round((time.time() + self._offset) * 1000)
        accuracy = sent + offset + lag - now
        if lag == 0 or abs(accuracy) >= _ACCURACY:
            answer = {"tc": sent, "ts": now, "p": 0, "a": accuracy}
            reply.setdefault("ext", {})["timesync"] = answer
