"""What the protocol tells the session: outcomes to act on, and payloads to send.

What is made for each payload is no tuple: those with names take twice as long to make.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from rx_cometd.messages import Message
    from rx_cometd.states import StateChange

__all__ = [
    "Answered",
    "Changed",
    "Due",
    "Ended",
    "Lane",
    "Outcome",
    "Outgoing",
    "ResendDue",
    "Settled",
    "Step",
    "Subscribed",
    "SubscriptionFailed",
    "Told",
    "Unauthorized",
    "Unsubscribed",
]


class Step(Enum):
    """What the session is to have the protocol do next."""

    HANDSHAKE = "handshake"
    CONNECT = "connect"


class Lane(Enum):
    """How a payload travels."""

    HANDSHAKE = "handshake"
    """By itself, before everything else."""
    CONNECT = "connect"
    """By itself, beside everything else."""
    RESUBSCRIBE = "resubscribe"
    """In order with the ordinary payloads, and before the next connect."""
    ORDINARY = "ordinary"
    """In order."""
    DISCONNECT = "disconnect"
    """By itself, after everything else."""


@dataclass(slots=True)
class Outgoing:
    """A payload to send.

    Attributes:
        lane: How it travels.
        messages: The messages.
        timeout: Seconds that the replies may take.
    """

    lane: Lane
    messages: list[Message]
    timeout: float


class Due(NamedTuple):
    """A step is to be taken after a delay in seconds; it replaces the one that was due."""

    step: Step
    delay: float


class ResendDue(NamedTuple):
    """Lost subscribes are to be sent again after a delay in seconds."""

    delay: float


class Changed(NamedTuple):
    """The state changed."""

    change: StateChange


class Told(NamedTuple):
    """The server refused something that is tried again; the state stays as it is."""

    change: StateChange


class Settled(NamedTuple):
    """A publish or call has its reply, or its error."""

    request_id: str
    reply: Message | None
    error: Exception | None = None


@dataclass(slots=True)
class Answered:
    """Publishes were taken by the server: the replies, in the order in which they came."""

    replies: list[Message]


class Subscribed(NamedTuple):
    """The server confirmed a subscription."""

    channel: str


class SubscriptionFailed(NamedTuple):
    """The server refused a subscription, at first or in a new session."""

    channel: str
    error: Exception


class Unsubscribed(NamedTuple):
    """The server does not have a subscription any more, or with an error refused to end it."""

    channel: str
    error: Exception | None = None


class Unauthorized(NamedTuple):
    """Requests wait for new credentials."""

    error: Exception


class Ended(NamedTuple):
    """The session is over; ``None`` where it was closed in order."""

    error: Exception | None


Outcome: TypeAlias = (
    Due
    | ResendDue
    | Changed
    | Told
    | Settled
    | Answered
    | Subscribed
    | SubscriptionFailed
    | Unsubscribed
    | Unauthorized
    | Ended
)
