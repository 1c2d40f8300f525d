"""What travels: messages as dictionaries, each encoded once however many sessions it goes to.

This package shares no protocol logic with the client. Whatever both need, it has its own of.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Codec", "Event", "Json", "MalformedPayload"]

#: A JSON object.
Json: TypeAlias = dict[str, Any]


class MalformedPayload(Exception):  # noqa: N818 - named for what it is, it never leaves here
    """What a client sent is not Bayeux: not JSON, or neither an object nor a list of them."""


@dataclass(frozen=True, slots=True)
class Codec:
    """The JSON functions of a server; ``dumps`` may give text or bytes."""

    dumps: Callable[[Any], str | bytes]
    loads: Callable[[Any], Any]

    def encode(self, message: Json) -> str:
        """Encode one message."""
        encoded = self.dumps(message)
        return encoded if isinstance(encoded, str) else encoded.decode()

    def decode(self, payload: str | bytes) -> list[Json]:
        """Decode a payload into its messages; a single object counts as a list of one.

        Raises:
            MalformedPayload: The payload is not JSON, or not made of objects.
        """
        try:
            decoded = self.loads(payload)
        except (ValueError, TypeError) as error:
            raise MalformedPayload("the payload is no JSON") from error
        messages: list[object] = (
            cast("list[object]", decoded) if isinstance(decoded, list) else [decoded]
        )
        if not all(isinstance(message, dict) for message in messages):
            raise MalformedPayload("the payload is no list of objects")
        return cast("list[Json]", messages)

    @staticmethod
    def join(texts: Iterable[str]) -> str:
        """Make one payload of encoded messages."""
        return f"[{','.join(texts)}]"


class Event:
    """A message on its way to any number of sessions.

    Attributes:
        message: The message; not to be changed any more.
    """

    __slots__ = ("_codec", "_text", "message")

    def __init__(self, message: Json, codec: Codec) -> None:
        self.message = message
        self._codec = codec
        self._text: str | None = None

    def __repr__(self) -> str:
        return f"<Event {self.message.get('channel')}>"

    @property
    def text(self) -> str:
        """The message as JSON, encoded when first asked for."""
        if self._text is None:
            self._text = self._codec.encode(self.message)
        return self._text
