"""An extension made of operators: a header and a field in what goes out, a count of what comes."""

import asyncio
from collections import Counter

from reactivex import operators as ops

from rx_cometd import Client, Extension, Payload
from rx_cometd.testing import BayeuxServer


def sign(payload: Payload) -> None:
    """Say who we are, in every message and in the headers of the request."""
    payload.headers["X-Desk"] = "7"  # over a WebSocket, only the upgrade has headers
    for message in payload.messages:
        message.setdefault("ext", {})["desk"] = 7


async def main() -> None:
    received: Counter[str] = Counter()

    def count(payload: Payload) -> None:
        received.update(message.get("channel", "") for message in payload.messages)

    # One operator for each direction; whole payloads pass it, meta messages included. Any
    # ReactiveX operator will do: `map`, `filter`, `delay`, or `map_async` for a coroutine.
    desk = Extension.of(inbound=ops.do_action(count), outbound=ops.do_action(sign))

    async with BayeuxServer() as server:
        async with Client(server.url, extensions=[desk]) as client:
            await client.subscribe("/orders")
            await client.publish("/orders", {"buy": 1})
            print("received", await client.receive())
        print("sent by way of the extension:")
        for _, payload in server.received:
            for message in payload:
                print("  ", message["channel"], message["ext"])
        print("payloads brought", dict(received))


if __name__ == "__main__":
    asyncio.run(main())
