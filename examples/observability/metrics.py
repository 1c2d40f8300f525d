"""A client whose metrics Prometheus can scrape, with something to see in each of them.

    pip install rx-cometd[otel] opentelemetry-sdk opentelemetry-exporter-prometheus
    python examples/observability/metrics.py --port 9464

Point Prometheus at 127.0.0.1:9464, and import dashboard.json from beside this file into Grafana.
The server is the embedded one; it forgets the session now and then.
"""

from __future__ import annotations

import argparse
import asyncio
import random
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import start_http_server

from rx_cometd import Client, CometDError
from rx_cometd import operators as cometd_ops
from rx_cometd.extensions import MemoryStore, ack, replay, telemetry
from rx_cometd.operators import Overflow
from rx_cometd.testing import BayeuxServer, ReplayLog

if TYPE_CHECKING:
    from rx_cometd import Event

TEMPLATES = ["/event/{name}", "/stock/{symbol}"]


async def feed(client: Client) -> None:
    """Publish for ever."""
    for number in range(1_000_000):
        # What is lost with the link or the session: it is for applications to send it again.
        with suppress(CometDError):
            await client.publish(f"/stock/{random.choice('ABC')}", {"price": number})
            await client.publish("/event/Order__e", {"payload": {"number": number}})
        await asyncio.sleep(0.01)


async def forget(server: BayeuxServer) -> None:
    """Lose the link, and the session, by turns."""
    while True:
        await asyncio.sleep(0.7)
        server.faults.drop_link()
        await asyncio.sleep(0.7)
        server.faults.forget()


async def store(event: Event) -> int:
    """Take a while for an order."""
    await asyncio.sleep(0.03)
    return int(event["data"]["payload"]["number"])


async def main(port: int, seconds: float) -> None:
    provider = MeterProvider([PrometheusMetricReader()])
    http, thread = start_http_server(port, "127.0.0.1")
    print(f"http://127.0.0.1:{http.server_port}/metrics", flush=True)
    measured = telemetry(templates=TEMPLATES, meter_provider=provider)
    traced = cometd_ops.traced(templates=TEMPLATES, meter_provider=provider)
    async with (
        BayeuxServer(replay=ReplayLog()) as server,
        Client(server.url, extensions=[measured, ack(), replay(MemoryStore())]) as client,
    ):
        orders = client.channel("/event/Order__e")
        latest: Any = cometd_ops.map_async(
            traced(store), max_pending_count=5, overflow=Overflow.DROP_OLDEST
        )
        subscriptions = [orders.pipe(latest).subscribe()]
        slow: Any = cometd_ops.map_async(traced(store), max_pending_count=5)
        subscriptions.append(orders.pipe(slow).subscribe())
        subscriptions.append(client.channel("/stock/*").subscribe())
        works = [asyncio.create_task(feed(client)), asyncio.create_task(forget(server))]
        await asyncio.wait(works, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
        for work in works:
            work.cancel()
        for subscription in subscriptions:
            subscription.dispose()
        await asyncio.gather(*works, return_exceptions=True)
    http.shutdown()
    http.server_close()
    thread.join()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--port", type=int, default=9464, help="where to serve; 0 is any")
    parser.add_argument("--seconds", type=float, default=3600.0)
    arguments = parser.parse_args()
    asyncio.run(main(arguments.port, arguments.seconds))
