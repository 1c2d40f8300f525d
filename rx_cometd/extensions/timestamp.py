"""The timestamp extension: every message to send carries the time."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import formatdate
from typing import TYPE_CHECKING

from reactivex import operators as ops

from rx_cometd._flow.arguments import check_choice
from rx_cometd.extension import Extension

if TYPE_CHECKING:
    from rx_cometd.extension import Payload

__all__ = ["timestamp"]


def timestamp(*, iso: bool = False) -> Extension:
    """Make the extension that puts a ``timestamp`` into every message sent.

    Args:
        iso: ``False`` for the HTTP date that CometD's own clients send
            (``Thu, 01 Jan 1970 00:00:00 GMT``), ``True`` for the form of the Bayeux
            specification, section "timestamp" (``1970-01-01T00:00:00.00``, in UTC).

    Returns:
        The extension, to be put into ``Client(extensions=[...])``.

    Raises:
        TypeError: ``iso`` is not a bool.
    """
    check_choice("iso", iso)
    now = _iso if iso else _http_date

    def stamp(payload: Payload) -> None:
        text = now()
        for message in payload.messages:
            message["timestamp"] = text

    return Extension.of(outbound=ops.do_action(stamp))


def _http_date() -> str:
    return formatdate(usegmt=True)


def _iso() -> str:
    # The specification's pattern, YYYY-MM-DDThh:mm:ss.ss, has hundredths and no zone.
    now = datetime.now(UTC)
    return f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 10_000:02}"
