"""Rules: what a fault applies to, and how often."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from rx_cometd.testing.globs import is_valid, matches

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Rule", "Rules"]

_T = TypeVar("_T")


@dataclass(slots=True)
class Rule(Generic[_T]):
    """A fault that applies to what it fits, a number of times or for ever.

    Attributes:
        effect: What it does.
        channel: The channel or glob it applies to; ``None`` for any.
        count: How often it applies; ``None`` for no limit.
    """

    effect: _T
    channel: str | None
    count: int | None

    def fits(self, channel: object) -> bool:
        """Tell whether it would apply to a channel."""
        if self.count == 0:
            return False
        if self.channel is None or self.channel == channel:
            return True
        return isinstance(channel, str) and is_valid(channel) and matches(self.channel, channel)

    def spend(self) -> _T:
        """Count that it was applied."""
        if self.count is not None:
            self.count -= 1
        return self.effect


@dataclass(slots=True)
class Rules(Generic[_T]):
    """The rules of one kind of fault; the oldest that fits applies."""

    rules: list[Rule[_T]] = field(default_factory=list["Rule[_T]"])

    def add(self, effect: _T, channel: str | None, count: int | None) -> None:
        """Have a fault apply from now on."""
        self.rules.append(Rule(effect, channel, count))

    def clear(self) -> None:
        """Have nothing apply any more."""
        self.rules.clear()

    def apply(self, channel: object) -> _T | None:
        """Tell what applies to a channel, and count it."""
        for rule in self.rules:
            if rule.fits(channel):
                return rule.spend()
        return None

    def apply_any(self, channels: Iterable[object]) -> _T | None:
        """Tell what applies to one of some channels, and count it once."""
        channels = list(channels)
        for rule in self.rules:
            if any(rule.fits(channel) for channel in channels):
                return rule.spend()
        return None

    def apply_unspecific(self) -> _T | None:
        """Tell what applies to any channel, and count it."""
        for rule in self.rules:
            if rule.channel is None and rule.fits(None):
                return rule.spend()
        return None
