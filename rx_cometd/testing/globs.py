"""Channel names and globs as the server sees them.

Bayeux specification, "Channel Globbing": ``/a/*`` matches one further segment, ``/a/**`` any
number of them. Instead of comparing a channel with every glob in use, the server derives the
few names under which somebody can have subscribed to it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

__all__ = ["is_meta", "is_service", "is_valid", "is_wild", "matches", "subscription_names"]

# "channel_name" of the specification, and a last segment of one or two stars.
_CHANNEL: Final = re.compile(r"(/[A-Za-z0-9\-_!~()$@. ]+)*/([A-Za-z0-9\-_!~()$@. ]+|\*\*?)")


@lru_cache(maxsize=4096)
def subscription_names(channel: str) -> tuple[str, ...]:
    """Tell under which names a message on a channel can be subscribed to.

    Example:
        >>> subscription_names("/a/b")
        ('/a/b', '/a/*', '/**', '/a/**')
    """
    segments = channel.split("/")[1:]
    parents = ["".join(f"/{s}" for s in segments[:depth]) for depth in range(len(segments))]
    return (channel, f"{parents[-1]}/*", *(f"{parent}/**" for parent in parents))


def matches(name: str, channel: str) -> bool:
    """Tell whether a channel or glob takes in a channel.

    Example:
        >>> matches("/a/*", "/a/b"), matches("/a/*", "/a/b/c"), matches("/a/**", "/a/b/c")
        (True, False, True)
    """
    return name in subscription_names(channel)


def is_valid(name: object) -> bool:
    """Tell whether something is the name of a channel, or a glob."""
    return isinstance(name, str) and _CHANNEL.fullmatch(name) is not None


def is_meta(channel: str) -> bool:
    """Tell whether a channel is the protocol's own."""
    return channel.startswith("/meta/")


def is_service(channel: str) -> bool:
    """Tell whether a channel leads to the server and nobody else."""
    return channel.startswith("/service/")


def is_wild(name: str) -> bool:
    """Tell whether a name is a glob."""
    return name.endswith("*")
