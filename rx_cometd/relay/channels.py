"""Which channels a relay may have together, and what may be said of where their events go."""

from __future__ import annotations

import re
from itertools import permutations
from typing import TYPE_CHECKING

from rx_cometd._protocol.channel_names import matches, validate_channel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rx_cometd.relay.sink import Sink

__all__ = ["check_apart", "check_templates"]


def check_apart(channels: Sequence[str]) -> None:
    """Check that no event can arrive twice, by two of the channels.

    Raises:
        InvalidChannelError: One cannot be that of a channel.
        ValueError: One is matched by another, or there is none.
    """
    if not channels:
        raise ValueError("channels must not be empty: there is nothing to relay")
    for channel in channels:
        validate_channel(channel)
    for one, other in permutations(channels, 2):
        if matches(one, other):
            raise ValueError(f"{one} has the events of {other} already: leave one of them out")


def check_templates(sink: Sink, template: str, dead_letter: str) -> None:
    """Check the template of subjects, and the subject of dead letters.

    Raises:
        ValueError: One is empty, has a placeholder that is none, or makes what the broker forbids.
    """
    if not (template and dead_letter):
        raise ValueError("template and dead_letter must not be empty")
    for told, known in ((template, {"{channel}"}), (dead_letter, set[str]())):
        if wrong := set(re.findall(r"\{[^}]*\}?", told)) - known:
            raise ValueError(
                f"{told!r} has the placeholder {wrong.pop()}:"
                " there is only {channel}, of templates"
            )
        sink.subject(told, "/channel")
    if sink.subject(dead_letter, "/channel") != dead_letter:
        raise ValueError(f"{dead_letter!r} cannot be where dead letters go: the broker forbids it")
