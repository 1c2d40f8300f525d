"""A chat room with presence, after CometD's demo: members join over a service channel."""

import asyncio

from reactivex import operators as ops

from rx_cometd import Client, Event
from rx_cometd import operators as cometd_ops
from rx_cometd.testing import BayeuxServer, ServiceRequest

ROOM = "demo"


def serve_chat(server: BayeuxServer) -> None:
    """Teach the embedded server who is in the room."""
    members: dict[str, str] = {}

    @server.service("/service/members")
    async def members_changed(request: ServiceRequest) -> None:
        if request.data["join"]:
            members[request.session.client_id] = request.data["user"]
        else:
            members.pop(request.session.client_id, None)
        await server.publish(f"/members/{ROOM}", sorted(members.values()))


class Member:
    """Somebody in the room."""

    def __init__(self, url: str, name: str) -> None:
        self.name = name
        self.client = Client(url)
        self.chat = self.client.channel(f"/chat/{ROOM}")
        self.members = self.client.channel(f"/members/{ROOM}")

    async def join(self) -> None:
        """Come in, and look who is there."""
        await self.client.open()
        self.chat.subscribe(self.show)
        self.members.pipe(cometd_ops.data()).subscribe(self.show_members)
        await self.client.publish("/service/members", {"user": self.name, "join": True})

    async def say(self, text: str) -> None:
        """Say something, and wait until one hears it oneself."""

        def is_it(message: Event) -> bool:
            return bool(message["data"]["text"] == text)

        heard = aiter(self.chat.pipe(ops.first(is_it), cometd_ops.to_async_iterable()))
        await self.chat.publish({"user": self.name, "text": text})
        await anext(heard)

    async def leave(self) -> None:
        """Disconnect."""
        await self.client.publish("/service/members", {"user": self.name, "join": False})
        await self.client.close()

    def show(self, message: Event) -> None:
        """Show what was said."""
        print(f"{self.name:>6} reads   {message['data']['user']}: {message['data']['text']}")

    def show_members(self, names: list[str]) -> None:
        """Show who is there."""
        print(f"{self.name:>6} sees    {', '.join(names)}")


async def main() -> None:
    async with BayeuxServer() as server:
        serve_chat(server)
        alice, bob = (Member(server.url, name) for name in ("Alice", "Bob"))
        await alice.join()
        await bob.join()
        await alice.say("Hello!")
        await bob.say("Hi Alice.")
        await bob.leave()
        await alice.say("Is anybody there?")
        await alice.leave()


if __name__ == "__main__":
    asyncio.run(main())
