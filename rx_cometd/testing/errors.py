"""The error texts of the CometD Java server (``BayeuxServerImpl``), and what a verdict means."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from rx_cometd.testing.wire import Json

__all__ = [
    "CHANNEL_INVALID",
    "CHANNEL_MISSING",
    "CREATE_DENIED",
    "HANDSHAKE_AGAIN",
    "HANDSHAKE_DENIED",
    "NO_MORE",
    "PUBLISH_DENIED",
    "SERVICE_FAILED",
    "SESSION_UNKNOWN",
    "SUBSCRIBE_DENIED",
    "SUBSCRIPTION_INVALID",
    "SUBSCRIPTION_MISSING",
    "UNKNOWN_CLIENT",
    "UNKNOWN_META",
    "refusal",
]

SESSION_UNKNOWN: Final = "402::session_unknown"
UNKNOWN_CLIENT: Final = "403::Unknown client"
"""Salesforce's `SESSION_UNKNOWN`."""
HANDSHAKE_DENIED: Final = "403::handshake_denied"
SUBSCRIBE_DENIED: Final = "403:denied_by_security_policy:subscribe_denied"
PUBLISH_DENIED: Final = "403:denied_by_security_policy:publish_denied"
CREATE_DENIED: Final = "403:denied_by_security_policy:create_denied"
SUBSCRIPTION_MISSING: Final = "403::subscription_missing"
SUBSCRIPTION_INVALID: Final = "403::subscription_invalid"
CHANNEL_MISSING: Final = "400::channel_missing"
CHANNEL_INVALID: Final = "405::channel_invalid"
UNKNOWN_META: Final = "404::unknown_meta"
SERVICE_FAILED: Final = "500::service_failed"

HANDSHAKE_AGAIN: Final[Json] = {"reconnect": "handshake", "interval": 0}
NO_MORE: Final[Json] = {"reconnect": "none", "interval": 0}


async def refusal(verdict: Any, default: str) -> Json | None:
    """Turn a policy's verdict, or the awaitable of one, into the fields of a failed reply.

    Args:
        verdict: ``True`` to allow; ``False``, an error text, or fields of the reply to refuse.
        default: The error text where the verdict has none.
    """
    if inspect.isawaitable(verdict):
        verdict = await verdict
    if verdict is True:
        return None
    if isinstance(verdict, str):
        return {"error": verdict}
    if isinstance(verdict, dict):
        return {"error": default, **cast("Json", verdict)}
    return {"error": default}
