"""Salesforce's platform events: after a crash, go on behind the last event processed."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from rx_cometd import Client
from rx_cometd import operators as cometd_ops
from rx_cometd.extensions import ReplayOption, SqliteStore, bearer_auth, replay
from rx_cometd.testing import BayeuxServer, SalesforceAuthentication

TOKEN = "00Dxx0000001gPL!..."  # noqa: S105 - OAuth's access token; this one is of no use
CHANNEL = "/event/Order__e"


async def process(url: str, markers: Path, until: str) -> list[str]:
    """Process orders up to one; what is returned here was processed."""
    processed: list[str] = []
    with SqliteStore(markers) as store:
        extension = replay(
            store,
            initial=ReplayOption.ALL_EVENTS,  # where to begin when nothing is in the store
            fallback=ReplayOption.ALL_EVENTS,  # where to begin when the marker has expired
        )
        client = Client(url, extensions=[extension], auth=bearer_auth(lambda: TOKEN))
        events = client.channel(CHANNEL).pipe(cometd_ops.data(), cometd_ops.to_async_iterable())
        async with client, aiter(events) as pending:
            async for event in pending:
                number: str = event["payload"]["Number__c"]
                if number == until:
                    break  # as if it had crashed: this one is not processed
                processed.append(number)
    return processed


async def main() -> None:
    policy = SalesforceAuthentication(TOKEN)
    async with BayeuxServer(salesforce=True, authentication=policy) as server:
        for number in range(1, 7):
            order: dict[str, Any] = {"payload": {"Number__c": f"O-{number}"}}
            await server.publish(CHANNEL, order)
        with tempfile.TemporaryDirectory() as directory:
            markers = Path(directory) / "markers.sqlite"
            print("processed:      ", await process(server.url, markers, until="O-4"))
            print("after the crash:", await process(server.url, markers, until="O-6"))


if __name__ == "__main__":
    asyncio.run(main())
