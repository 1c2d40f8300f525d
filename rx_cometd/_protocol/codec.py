"""Payloads to text and back.

The JSON functions are the user's (``ujson``, ``orjson``, ``msgspec.json`` work as they are):
``dumps`` may give ``str`` or ``bytes``, and ``loads`` is handed what the socket held.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any, cast

from rx_cometd._protocol.raw_data import raw_json_loads
from rx_cometd._protocol.user_functions import failure_of
from rx_cometd.exceptions import ClientError, ProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rx_cometd.messages import Message

__all__ = ["Codec"]

_log = logging.getLogger("rx_cometd.codec")


class Codec:
    """Encodes and decodes payloads.

    Args:
        dumps: Turns a list of messages into JSON, ``str`` or ``bytes``.
        loads: Turns JSON, ``str`` or ``bytes``, into objects.
    """

    def __init__(
        self,
        dumps: Callable[[Any], str | bytes] = json.dumps,
        loads: Callable[[Any], Any] = json.loads,
    ) -> None:
        self._dumps = dumps
        self._loads = loads
        #: Whether the data of messages is left as JSON (`raw_json_loads`).
        self.leaves_raw = loads is raw_json_loads

    def encode(self, messages: list[Message]) -> str | bytes:
        """Encode messages as one payload.

        Raises:
            ClientError: The data cannot be expressed in JSON.
        """
        try:
            return self._dumps(messages)
        except BaseException as error:
            failure = failure_of(error, "json_dumps")
            raise ClientError(f"the message cannot be encoded as JSON: {failure}") from error

    def parse(self, data: str | bytes) -> Any:
        """Decode the JSON of a payload, whatever it holds.

        Raises:
            ProtocolError: It is no JSON, or the user's function failed otherwise.
        """
        try:
            return self._loads(data)
        except Exception as error:
            text = f"the server sent no JSON: {_excerpt(data)}"
            raise ProtocolError(text) from error
        except BaseException as error:
            # It is not the server's doing, but what it sent cannot be read all the same.
            text = f"what the server sent was not decoded: {failure_of(error, 'json_loads')}"
            raise ProtocolError(text) from error

    def messages(self, decoded: Any, data: str | bytes) -> list[Message]:
        """Find the messages of a payload whose JSON was decoded by `parse`.

        A single object is taken as a list of one, nested lists are flattened, and elements
        that are no objects are logged and skipped, so that nothing valid in the same payload
        is lost. An empty list is an empty payload: Faye servers ping with it.

        Args:
            decoded: What the JSON function gave.
            data: What it was given.

        Raises:
            ProtocolError: It is no object and no list, or a list of other things.
        """
        if type(decoded) is list:
            messages: list[Any] = decoded  # pyright: ignore[reportUnknownVariableType]
            for message in messages:
                if type(message) is not dict:
                    break
            else:  # the one case that matters for speed
                return messages
        if isinstance(decoded, dict):
            return [cast("Message", decoded)]
        if not isinstance(decoded, list):
            raise ProtocolError(
                f"the server sent JSON that is no Bayeux payload, neither object nor list: "
                f"{_excerpt(data)}"
            )
        return _objects(cast("list[object]", decoded))


def _objects(decoded: list[object]) -> list[Message]:
    messages: list[Message] = []
    skipped: list[object] = []
    pending: list[Iterable[object]] = [iter(decoded)]
    while pending:
        for element in pending[-1]:
            if isinstance(element, dict):
                messages.append(cast("Message", element))
            elif isinstance(element, list):
                pending.append(iter(cast("list[object]", element)))
                break
            else:
                skipped.append(element)
        else:
            pending.pop()
    if skipped:
        # One line a payload: garbage may have a million of them.
        text = "skipped %d elements of a payload that are no messages, the first: %.80r"
        _log.warning(
            text,
            len(skipped),
            skipped[0],
            extra={"event": "elements_skipped", "count": len(skipped)},
        )
    if not messages:
        raise ProtocolError("the server sent a list that holds no message")
    return messages


def _excerpt(data: str | bytes) -> str:
    """Show the first characters only: garbage may be long, and escaped longer still."""
    head = f"{data[:40]!r:.150}"
    return head if len(data) <= 40 else f"{head}... ({len(data)} long)"
