"""What those who run relays ask them over HTTP: alive, ready, and how much."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import fields
from typing import TYPE_CHECKING

from aiohttp import web

from rx_cometd.relay.counts import Counts

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator, Sequence

    from rx_cometd.relay.intake import Intake
    from rx_cometd.relay.relay import Relay

__all__ = ["metrics", "operations"]

_TEXT = "text/plain; version=0.0.4; charset=utf-8"
_TOTALS = [field.name for field in fields(Counts) if field.name != "available"]


@asynccontextmanager
async def operations(
    relays: Sequence[Relay], *, host: str = "127.0.0.1", port: int
) -> AsyncGenerator[int]:
    """Serve ``/healthz``, ``/readyz`` and ``/metrics`` until the block ends; gives the port.

    - ``/healthz``: 200 as long as the process answers.
    - ``/readyz``: 200 if every relay is ready (`Relay.ready`), 503 otherwise; says which are not.
    - ``/metrics``: Prometheus's text format.

    Args:
        relays: Those to tell of.
        host: The address to listen on.
        port: The port; 0 takes a free one.

    Raises:
        OSError: The port is taken.
    """

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        waiting = [relay.name for relay in relays if not relay.ready]
        if waiting:
            return web.Response(status=503, text=f"not ready: {', '.join(waiting)}\n")
        return web.Response(text="ok\n")

    async def tell(_: web.Request) -> web.Response:
        return web.Response(body=metrics(relays).encode(), headers={"Content-Type": _TEXT})

    app = web.Application()
    app.add_routes(
        [web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", tell)]
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


def metrics(relays: Sequence[Relay]) -> str:
    """Give the figures of relays in Prometheus's text format."""
    lines: list[str] = []
    for name, kind, samples in _families(relays):
        lines.append(f"# TYPE {name} {kind}")
        lines += [f"{name}{{{labels}}} {value}" for labels, value in samples]
    return "\n".join(lines) + "\n"


def _families(relays: Sequence[Relay]) -> Iterator[tuple[str, str, list[tuple[str, int]]]]:
    for total in _TOTALS:
        values = [(_label("relay", relay.name), getattr(relay.counts, total)) for relay in relays]
        yield f"rx_cometd_relay_{total}_total", "counter", values
    for gauge in ("leading", "ready"):
        values = [(_label("relay", relay.name), int(getattr(relay, gauge))) for relay in relays]
        yield f"rx_cometd_relay_{gauge}", "gauge", values
    channels = [
        (f"{_label('relay', relay.name)},{_label('channel', intake.name)}", intake)
        for relay in relays
        for intake in relay.intakes
    ]
    figures: tuple[tuple[str, str, Callable[[Intake], int]], ...] = (
        ("events_total", "counter", lambda intake: intake.arrived_count),
        ("bytes_total", "counter", lambda intake: intake.waiting.taken_bytes),
        ("refused_total", "counter", lambda intake: intake.refused_count),
        ("pending", "gauge", lambda intake: intake.pending_count),
    )
    for name, kind, of in figures:
        told = [(labels, of(intake)) for labels, intake in channels]
        yield f"rx_cometd_relay_channel_{name}", kind, told


def _label(name: str, value: str) -> str:
    r"""Give a label as the format wants it.

    >>> print(_label("channel", 'a"b'))
    channel="a\"b"
    """
    escaped = value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return f'{name}="{escaped}"'
