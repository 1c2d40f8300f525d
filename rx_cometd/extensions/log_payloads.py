"""Logging what travels, without the secrets in it."""

from __future__ import annotations

import json
import logging
import re
from typing import TYPE_CHECKING, Any, Final, cast

from reactivex import operators as ops

from rx_cometd._flow.arguments import check_methods
from rx_cometd.extension import Extension

if TYPE_CHECKING:
    from collections.abc import Callable

    from rx_cometd.extension import Payload

__all__ = ["log_payloads"]

_HIDDEN: Final = "***"

#: Names under which credentials travel: ``Authorization``, ``Set-Cookie``, ``X-Api-Key``,
#: ``access_token``, ``com.devexperts.auth.AuthToken``, ``com.cumulocity.authn``, ``xsrfToken``
#: ... but not ``author``.
_SECRET: Final = re.compile(
    r"token|passw|passphrase|pwd|secret|credential|cookie|bearer|jwt|signature|session.?id"
    r"|api.?key|private.?key|access.?key|csrf|xsrf|\b(?:tfa|otp|pin)\b|auth(?!or(?!i[sz]))",
    re.IGNORECASE,
)


def log_payloads(logger: logging.Logger | None = None, level: int = logging.DEBUG) -> Extension:
    """Make the extension that logs every payload: ``>`` what is sent, ``<`` what is received.

    Each message is a line of JSON, and so are the headers of a payload, if any. A value, at any
    depth, whose name looks like that of a credential is shown as ``***``,
    in headers and in messages. The position in the client's list of extensions decides which form
    of a message is logged; what the ``auth`` extension adds comes after all of them.

    Args:
        logger: Where to log; ``rx_cometd.payloads`` by default.
        level: The level; if the logger does not log it, nothing is formatted.

    Returns:
        The extension, to be put into ``Client(extensions=[...])``.

    Raises:
        TypeError: An argument is of the wrong kind.
    """
    if logger is not None:
        check_methods("logger", logger, "isEnabledFor", "log")
    given: Any = level
    if isinstance(given, bool) or not isinstance(given, int):
        raise TypeError(f"level must be an int, as logging.DEBUG is, not {given!r}")
    target = logging.getLogger("rx_cometd.payloads") if logger is None else logger
    return Extension.of(
        inbound=ops.do_action(_log(target, level, "<")),
        outbound=ops.do_action(_log(target, level, ">")),
    )


def _log(logger: logging.Logger, level: int, direction: str) -> Callable[[Payload], None]:
    def log(payload: Payload) -> None:
        if not logger.isEnabledFor(level):
            return
        if payload.headers:
            headers = [(name, _visible(name, value)) for name, value in payload.headers.items()]
            logger.log(
                level,
                "%s headers %s",
                direction,
                _json(headers),
                extra={"event": "payload_headers", "direction": direction},
            )
        for message in payload.messages:
            logger.log(
                level,
                "%s %s",
                direction,
                _json(_redacted(message)),
                extra={
                    "event": "payload_message",
                    "direction": direction,
                    "channel": message.get("channel"),
                },
            )

    return log


def _visible(name: str, value: str) -> str:
    # The one such header that tells no secret, and helps most with a 401.
    if name.lower() == "www-authenticate":
        return value
    return _HIDDEN if _SECRET.search(name) else value


def _redacted(value: Any) -> Any:
    """Give a JSON value with what looks like a credential hidden."""
    if isinstance(value, dict):
        return {
            str(key): _HIDDEN if _SECRET.search(str(key)) else _redacted(inner)
            for key, inner in cast("dict[object, Any]", value).items()
        }
    if isinstance(value, list | tuple):
        return [_redacted(inner) for inner in cast("list[Any]", value)]
    return value


def _json(value: Any) -> str:
    # What JSON cannot say (bytes ahead of the binary extension) is shown as Python would.
    return json.dumps(value, ensure_ascii=False, default=repr)
