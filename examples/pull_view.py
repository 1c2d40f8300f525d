"""Without Rx: subscribe, receive, and loop over the client, as aiocometd's users know it."""

import asyncio

from rx_cometd import Client, ServerError
from rx_cometd.testing import BayeuxServer


async def main() -> None:
    async with BayeuxServer() as server, Client(server.url) as client:
        await client.subscribe("/chat/demo")
        await client.subscribe("/news/*")
        print("subscribed to", ", ".join(sorted(client.subscriptions)))

        await client.publish("/chat/demo", {"text": "hello"})
        print("received", await client.receive())

        for number in range(3):
            await client.publish("/news/sport", {"number": number})
        await client.publish("/news/sport", "the end")
        async for message in client:
            print("received", message["data"], "with", client.pending_count, "more pending")
            if message["data"] == "the end":
                break

        server.faults.refuse_subscribe("/secret")
        try:
            await client.subscribe("/secret")
        except ServerError as error:
            print("refused:", error.error_code, error.error_message)

        await client.unsubscribe("/news/*")


if __name__ == "__main__":
    asyncio.run(main())
