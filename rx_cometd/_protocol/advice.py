"""Advice: what the server recommends on when and how to connect again.

Bayeux specification, section "Advice". Times travel in milliseconds and are seconds from here
on. A new advice is merged onto what is known, as the specification has it; everything known is
cleared at each handshake, since a successful handshake reply may carry none (Salesforce), and a
stale ``reconnect: handshake`` would then repeat for ever.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Advice", "Reconnect", "reconnect_of"]


class Reconnect(StrEnum):
    """What to do next, in the words of the wire."""

    RETRY = "retry"
    HANDSHAKE = "handshake"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Advice:
    """What the server advised.

    Attributes:
        reconnect: What to do after a failed connect, ``None`` while not told.
        interval: Seconds to wait before the next connect or handshake.
        timeout: Seconds that the server may hold a connect. Until it tells, 60, as in the
            reference JavaScript client (``cometd.js``, default advice).
        max_interval: Seconds after which a server forgets a client that does not connect,
            ``None`` while not told.
    """

    reconnect: Reconnect | None = None
    interval: float = 0.0
    timeout: float = 60.0
    max_interval: float | None = None

    def merge(self, raw: object) -> Advice:
        """Merge the ``advice`` field of a message onto this; what cannot be read is ignored."""
        if raw is None:
            return self
        fields = _fields(raw)
        changes: dict[str, Any] = {}
        reconnect = reconnect_of(fields)
        if reconnect is not None:
            changes["reconnect"] = reconnect
        for name, keys in _TIMES.items():
            seconds = _first_seconds(fields, keys)
            if seconds is not None:
                changes[name] = seconds
        if changes.get("max_interval") == 0:
            # The reference clients' word for "not told" (BayeuxClient.java, cometd.js).
            changes["max_interval"] = None
        return replace(self, **changes)


_TIMES: Final = {
    "interval": ("interval",),
    "timeout": ("timeout",),
    # Message.java:47 has maxInterval; the other spelling is seen in the wild.
    "max_interval": ("maxInterval", "max-interval"),
}


def reconnect_of(raw: object) -> Reconnect | None:
    """Read what an ``advice`` field says of reconnecting, ``None`` if nothing that is known.

    A negative ``interval`` means that the client must not reconnect (Bayeux specification,
    "interval advice field").
    """
    if raw is None:
        return None
    fields = _fields(raw)
    interval = _number(fields.get("interval"))
    if interval is not None and interval < 0:
        return Reconnect.NONE
    try:
        return Reconnect(str(fields.get("reconnect")))
    except ValueError:
        return None


def _fields(raw: object) -> Mapping[str, object]:
    return cast("dict[str, object]", raw) if isinstance(raw, dict) else {}


def _first_seconds(fields: Mapping[str, object], keys: tuple[str, ...]) -> float | None:
    for key in keys:
        milliseconds = _number(fields.get(key))
        if milliseconds is not None and milliseconds >= 0:
            return milliseconds / 1000
    return None


def _number(value: object) -> float | None:
    """Read a number that a server may have sent as text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
