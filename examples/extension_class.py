"""An extension as a class: what was written for aiocometd runs with another import."""

import asyncio
from collections.abc import MutableMapping

from rx_cometd import Client, Extension, Message
from rx_cometd.testing import BayeuxServer


class Encryption(Extension):
    """Hides what is said (from children: it is ROT13)."""

    _TABLE = str.maketrans(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
        "nopqrstuvwxyzabcdefghijklmNOPQRSTUVWXYZABCDEFGHIJKLM",
    )

    async def outgoing(self, payload: list[Message], headers: MutableMapping[str, str]) -> None:
        """Encrypt the texts that are published; all of a payload's messages pass here."""
        headers["X-Encryption"] = "rot13"
        self._translate(payload)

    async def incoming(
        self, payload: list[Message], headers: MutableMapping[str, str] | None = None
    ) -> None:
        """Decrypt the texts that come."""
        del headers  # those of the response, None over a WebSocket
        self._translate(payload)

    def _translate(self, payload: list[Message]) -> None:
        for message in payload:
            data = message.get("data")
            if isinstance(data, str):
                message["data"] = data.translate(self._TABLE)


async def main() -> None:
    async with (
        BayeuxServer() as server,
        Client(server.url, extensions=[Encryption()]) as friend,
        Client(server.url) as eavesdropper,
    ):
        await friend.subscribe("/chat")
        await eavesdropper.subscribe("/chat")
        await friend.publish("/chat", "Meet me at noon")
        print("a friend reads:      ", (await friend.receive())["data"])
        print("an eavesdropper sees:", (await eavesdropper.receive())["data"])


if __name__ == "__main__":
    asyncio.run(main())
