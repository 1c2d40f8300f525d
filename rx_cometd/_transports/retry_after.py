"""What a response says of when to come back: ``Retry-After`` (RFC 9110, section 10.2.3)."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["retry_after"]

#: Statuses that say "not now", so that it matters when.
_NOT_NOW: Final = frozenset({429, 503})


def retry_after(status: int, headers: Mapping[str, str] | None) -> float | None:
    """Give the seconds that a response asks to wait, ``None`` where it does not.

    Args:
        status: The status of the response.
        headers: Its headers, in any spelling.
    """
    if status not in _NOT_NOW or headers is None:
        return None
    told = headers.get("Retry-After", "").strip()
    try:
        seconds = float(told)
    except ValueError:
        seconds = _until(told, headers.get("Date", ""))
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _until(told: str, now: str) -> float:
    """Give the seconds until an HTTP date, by the server's clock where it tells that."""
    when = _date(told)
    if when is None:
        return math.nan
    return (when - (_date(now) or datetime.now(UTC))).total_seconds()


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)
