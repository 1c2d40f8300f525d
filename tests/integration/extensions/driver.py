"""What the tests of extensions through the whole client share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rx_cometd import Extension
from rx_cometd.testing import InFlight, ServerExtension

if TYPE_CHECKING:
    from collections.abc import Callable

    from rx_cometd import Payload

    Json = dict[str, Any]


class Trace:
    """Extensions that write down what passes them."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, tuple[str, ...]]] = []

    def extension(self, name: str) -> Extension:
        """Make one, of operators that let payloads pass."""
        from reactivex import operators as ops

        return Extension.of(
            inbound=ops.do_action(lambda payload: self.note(name, "in", payload.messages)),
            outbound=ops.do_action(lambda payload: self.note(name, "out", payload.messages)),
        )

    def note(self, name: str, way: str, messages: Any) -> None:
        self.lines.append((name, way, tuple(m.get("channel", "") for m in messages)))

    def names(self, way: str, channel: str) -> list[str]:
        """Give who saw a channel's first message, in order, in one direction."""
        return [name for name, w, channels in self.lines if w == way and channel in channels]


class Witness(ServerExtension):
    """Keeps the headers that messages came to the server with."""

    def __init__(self) -> None:
        self.headers: list[tuple[str, dict[str, str]]] = []

    async def incoming(self, in_flight: InFlight) -> Json | None:
        headers = {name.lower(): value for name, value in in_flight.exchange.headers.items()}
        self.headers.append((in_flight.message["channel"], headers))
        return None

    def of(self, header: str) -> list[str | None]:
        """Give the values of a header, one for each message."""
        return [headers.get(header.lower()) for _, headers in self.headers]


def on_data(change: Callable[[Any], Any]) -> Callable[[Payload], Payload]:
    """Make a mapper that changes the data of ordinary messages in place."""

    def mapper(payload: Payload) -> Payload:
        for message in payload.messages:
            if "data" in message:
                message["data"] = change(message["data"])
        return payload

    return mapper
