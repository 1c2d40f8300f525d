"""Sharing the channels among several relays."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

__all__ = ["Shard"]


@dataclass(frozen=True, slots=True)
class Shard:
    """One of several parts of all channels.

    A channel belongs to the part with the highest hash of part and channel (rendezvous hashing):
    with one part more, only what that part gets moves.

    Attributes:
        number: Which part, from 1 on.
        count: How many parts there are.

    Example:
        >>> [Shard(n, 2).has("/event/Order__e") for n in (1, 2)]
        [False, True]
    """

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read ``i/n``.

        Raises:
            ValueError: It is no such pair, or not ``1 <= i <= n``.
        """
        number, slash, count = text.partition("/")
        if not (slash and number.isdecimal() and count.isdecimal()):
            raise ValueError(f"a shard is i/n, as in 1/3, not {text!r}")
        if not 1 <= int(number) <= int(count):
            raise ValueError(f"there is no shard {text}: they are 1/{count} to {count}/{count}")
        return cls(int(number), int(count))

    def has(self, channel: str) -> bool:
        """Tell whether a channel (or a glob, taken as a name) belongs to this part."""
        return self.number == max(range(1, self.count + 1), key=lambda n: _weight(n, channel))


def _weight(number: int, channel: str) -> bytes:
    return hashlib.blake2b(f"{number}:{channel}".encode(), digest_size=8).digest()
