"""``rx-cometd top``: what flows, on a whole screen, or once for scripts."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import click
from yarl import URL

from rx_cometd.cli.connection import Connection, connection_options
from rx_cometd.cli.link import opened
from rx_cometd.cli.listen import check_channels
from rx_cometd.cli.log_lines import LogLines, told_by
from rx_cometd.cli.output import to_json, write_stdout
from rx_cometd.cli.parameters import Number
from rx_cometd.cli.running import run
from rx_cometd.cli.watched import Watched, WatchedClient, WatchedMetrics

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from contextlib import AbstractAsyncContextManager

__all__ = ["top"]

_MISSING = (
    "the screen needs textual, which is not installed: pip install 'rx-cometd[cli]', or use --once"
)


@click.command(short_help="See what flows, on a whole screen.")
@click.argument("url")
@click.argument("channels", nargs=-1, metavar="[CHANNEL...]")
@click.option("--once", is_flag=True, help="Measure once, print that, and end.")
@click.option("--json", "as_json", is_flag=True, help="With --once: print JSON.")
@click.option(
    "--interval",
    type=Number(min=0.1, max=60),
    default=1.0,
    show_default=True,
    help="Seconds that are measured, and between two redraws.",
)
@connection_options
def top(
    url: str,
    channels: Sequence[str],
    interval: float,
    *,
    once: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Show the channels of a server: rates, ages, trends, and what becomes of the connection.

    \b
    rx-cometd top http://127.0.0.1:8080/cometd '/stock/**' --once

    Without --once it fills the screen; press ? there for its keys. Without CHANNEL it looks at
    /**, which some servers refuse. With the /metrics of a relay for URL it shows the figures
    of that relay.

    Sizes are those of one message of each channel and measuring, times their number.
    """  # noqa: D301 - click's mark for a paragraph to be left as it is
    connection = Connection.of(options)
    if as_json and not once:
        raise click.UsageError("--json goes with --once")
    if not once and not (_is_terminal(sys.stdin) and _is_terminal(sys.stdout)):
        raise click.UsageError("top fills a terminal, and this is none: use --once")
    watching = _watching(url, channels or ("/**",), connection)
    if once:
        run(_once(watching, interval, as_json=as_json), endless=False)
    run(_screen(watching, interval))


def _is_terminal(file: Any) -> bool:
    return file is not None and bool(file.isatty())  # None, where the shell closed it


def _watching(
    url: str, channels: Sequence[str], connection: Connection
) -> AbstractAsyncContextManager[Watched]:
    client = connection.client(url)  # it sees to the address as well
    if URL(url).path.endswith("/metrics"):
        return _metrics(url, connection)
    check_channels(client, channels)
    return _client(url, channels, connection)


@asynccontextmanager
async def _client(
    url: str, channels: Sequence[str], connection: Connection
) -> AsyncGenerator[Watched]:
    client = connection.client(url)
    watched = WatchedClient(client, _shown(url))
    watched.observe_link()
    try:
        async with opened(client, connection):
            watched.observe(channels)
            yield watched
    finally:
        watched.dispose()


@asynccontextmanager
async def _metrics(url: str, connection: Connection) -> AsyncGenerator[Watched]:
    async with connection.http_session() as session:
        watched = WatchedMetrics(url, session, _shown(url))
        await watched.refresh()
        yield watched


def _shown(url: str) -> str:
    """Give an address without the credentials that may be in it."""
    return str(URL(url).with_user(None).with_query(None).with_fragment(None))


async def _once(
    watching: AbstractAsyncContextManager[Watched], interval: float, *, as_json: bool
) -> None:
    async with watching as watched:
        await asyncio.sleep(interval)
        await watched.refresh()
        text = to_json(snapshot(watched)) + "\n" if as_json else _lines(watched)
        await write_stdout(text)


async def _screen(watching: AbstractAsyncContextManager[Watched], interval: float) -> None:
    try:
        from rx_cometd.cli.screen import TopScreen  # noqa: PLC0415 - textual is slow to load
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "textual":
            raise
        raise click.UsageError(_MISSING) from error
    async with watching as watched:
        # Lines on standard error would tear the screen.
        with told_by(LogLines(watched.note)):
            await TopScreen(watched, interval).run_async()


def snapshot(watched: Watched) -> dict[str, Any]:
    """Give what is known, as what JSON is made of."""
    return {
        "url": watched.url,
        "connection": watched.facts(),
        "channels": [
            {
                "channel": channel.name,
                "messages": channel.messages,
                "rate": round(channel.rate, 2),
                "bytes_per_second": _rounded(channel.byte_rate),
                "age": _rounded(channel.age),
                "pending": channel.pending,
                "drops": channel.drops,
            }
            for channel in sorted(watched.activity.channels.values(), key=lambda c: -c.rate)
        ],
    }


def _rounded(figure: float | None) -> float | None:
    return None if figure is None else round(figure, 1)


def _lines(watched: Watched) -> str:
    facts = "  ".join(f"{name} {value}" for name, value in watched.facts().items())
    channels = sorted(watched.activity.channels.values(), key=lambda c: -c.rate)
    rows = [
        f"{c.name:<32} {c.rate:>10.1f} {_known(c.byte_rate):>12}"
        f" {_known(c.pending):>8} {_known(c.drops):>8}\n"
        for c in channels
    ]
    head = f"{'channel':<32} {'msg/s':>10} {'B/s':>12} {'pending':>8} {'drops':>8}\n"
    return f"{watched.url}\n{facts}\n{head}{''.join(rows)}"


def _known(figure: float | None) -> str:
    return "-" if figure is None else f"{figure:,.0f}"
