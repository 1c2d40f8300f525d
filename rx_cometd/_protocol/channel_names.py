r"""Channel names and globs: their grammar, and what a glob matches.

The grammar is the Bayeux specification's (section "Channels" and appendix "Common Elements")::

    channel_name     = "/"  channel_segments
    channel_segments = channel_segment *( "/" channel_segment )
    channel_segment  = 1*( alpha / digit / "-" / "_" / "!" / "~" / "(" / ")" / "$" / "@" )
    channel_pattern  = *( "/" channel_segment ) "/" wild_card
    wild_card        = "*" | "**"

Servers are laxer: names with dots, spaces, colons, question marks (Salesforce's
``/topic/Orders?Amount=1``) and non-ASCII letters are in daily use, so a segment here is any run
of characters other than ``/``, ``*`` and control characters. What no server can accept is
refused at once.

>>> validate_channel("/stock/*")
>>> globs("/stock/nasdaq/amzn")
('/stock/nasdaq/*', '/stock/nasdaq/**', '/stock/**', '/**')
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from rx_cometd.exceptions import InvalidChannelError

__all__ = [
    "globs",
    "is_glob",
    "is_meta",
    "is_service",
    "matches",
    "validate_channel",
    "validate_target",
]

#   channel          = 1*( "/" segment ) / *( "/" segment ) "/" wild_card
#   segment          = 1*<any character but "/", "*", controls and lone surrogates>
_SEGMENT = r"/[^/*\x00-\x1f\x7f\ud800-\udfff]+"
_CHANNEL = re.compile(rf"(?:{_SEGMENT})*(?:{_SEGMENT}|/\*\*?)")


def validate_channel(channel: str) -> None:
    """Check a channel name or glob.

    Args:
        channel: The name to check.

    Raises:
        InvalidChannelError: The name cannot be that of a channel or a glob.
    """
    name: Any = channel  # as it comes from users
    if not isinstance(name, str):
        raise InvalidChannelError(name, "a channel's name is a str")
    if _CHANNEL.fullmatch(channel) is None:
        raise InvalidChannelError(channel, _fault(channel))


def validate_target(channel: str) -> None:
    """Check the name of a channel to publish to.

    Raises:
        InvalidChannelError: The name cannot be that of a channel, or that channel takes no
            messages of clients.
    """
    name: Any = channel  # as it comes from users
    if isinstance(name, str) and _is_target(channel):
        return
    validate_channel(channel)
    raise InvalidChannelError(channel, "only ordinary and service channels take messages")


@lru_cache(maxsize=1024)
def _is_target(channel: str) -> bool:
    """Tell whether a channel may be published to; most programs publish to the same few."""
    return _CHANNEL.fullmatch(channel) is not None and not (is_meta(channel) or is_glob(channel))


def _fault(channel: str) -> str:
    """Say what is wrong with a name that the grammar refuses."""
    if not channel.startswith("/"):
        return "it must begin with '/'"
    if "*" in channel:
        return "'*' and '**' may only stand alone, as the last segment"
    if channel.endswith("/") or "//" in channel:
        return "it has an empty segment"
    return "it has a control character, or a lone surrogate, which has no UTF-8"


def is_meta(channel: str) -> bool:
    """Tell whether a channel is a meta channel: the protocol's own."""
    return channel.startswith("/meta/")


def is_service(channel: str) -> bool:
    """Tell whether a channel is a service channel: between one client and the server."""
    return channel.startswith("/service/")


def is_glob(channel: str) -> bool:
    """Tell whether a channel is a glob, ending in ``*`` or ``**``."""
    return channel.endswith(("/*", "/**"))


def globs(channel: str) -> tuple[str, ...]:
    """Give the globs that match a channel, the narrowest first.

    ``/*`` matches one further segment, ``/**`` one or more (Bayeux specification, "Channel
    Globbing").

    Args:
        channel: The name of a channel, not itself a glob.

    Returns:
        The globs, for instance ``("/a/*", "/a/**", "/**")`` for ``/a/b``.
    """
    parent = channel.rpartition("/")[0]
    found = [f"{parent}/*"]
    while parent:
        found.append(f"{parent}/**")
        parent = parent.rpartition("/")[0]
    found.append("/**")
    return tuple(found)


def matches(pattern: str, channel: str) -> bool:
    """Tell whether a channel name or glob matches a channel.

    >>> matches("/stock/*", "/stock/amzn"), matches("/stock/*", "/stock/nasdaq/amzn")
    (True, False)
    """
    return pattern == channel or pattern in globs(channel)
