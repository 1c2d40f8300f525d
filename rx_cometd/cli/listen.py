"""``rx-cometd listen``: messages as JSON lines."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from rx_cometd import InvalidChannelError
from rx_cometd.cli.connection import Connection, connection_options
from rx_cometd.cli.link import LinkReport, opened
from rx_cometd.cli.output import write_stdout
from rx_cometd.cli.rendering import Rendering, rendering_options
from rx_cometd.cli.running import run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rx_cometd import Client

__all__ = ["check_channels", "listen"]

#: Lines that are written in one go where the reader is slower than the server.
_CHUNK = 256


@click.command(short_help="Print the messages of channels.")
@click.argument("url")
@click.argument("channels", nargs=-1, required=True, metavar="CHANNEL...")
@click.option("-n", "--count", type=click.IntRange(min=1), help="End after so many messages.")
@click.option("-q", "--quiet", is_flag=True, help="Do not tell what becomes of the connection.")
@rendering_options
@connection_options
def listen(
    url: str, channels: Sequence[str], count: int | None, *, quiet: bool, **options: Any
) -> None:
    """Print the messages of channels, one JSON object a line.

    \b
    rx-cometd listen http://127.0.0.1:8080/cometd '/stock/**' --count 3

    CHANNEL may be a glob (quote it: '/stock/*', '/stock/**') or a service channel. Messages go
    to standard output, what becomes of the connection to standard error. Once connected, which
    must come to pass within --timeout, it goes on until Ctrl-C, over reconnects and new sessions.

    A message that matches several of the channels is printed once. What comes faster than the
    reader takes it waits, 10,000 messages at most: beyond them the server is made to wait where
    that loses nothing (long-polling, or --ack), and elsewhere the command fails.
    """  # noqa: D301 - click's mark for a paragraph to be left as it is
    connection, rendering = Connection.of(options), Rendering.of(options)
    client = connection.client(url)
    check_channels(client, channels)
    listening = _listen(client, channels, connection, rendering.renderer(), count, quiet=quiet)
    run(listening, endless=count is None)


def check_channels(client: Client, channels: Sequence[str]) -> None:
    """See that the names can be those of channels, before anything is sent.

    Raises:
        click.BadParameter: One cannot.
    """
    try:
        for channel in channels:
            client.channel(channel)
    except InvalidChannelError as error:
        raise click.BadParameter(str(error), param_hint="CHANNEL") from error


async def _listen(
    client: Client,
    channels: Sequence[str],
    connection: Connection,
    render: Callable[[Any], str],
    count: int | None,
    *,
    quiet: bool,
) -> None:
    report = LinkReport.on_stderr(reconnect=connection.reconnect)
    with client.state_changes.subscribe((lambda _: None) if quiet else report):
        async with opened(client, connection):
            # In one turn of the loop, so in one payload. The pull view gives a message once
            # however many of the channels match it; a merge of observables would repeat it.
            await asyncio.gather(*map(client.subscribe, channels))
            await _print(client, render, count)


async def _print(client: Client, render: Callable[[Any], str], count: int | None) -> None:
    while count is None or count > 0:
        lines = [render(await client.receive())]
        room = _CHUNK if count is None else min(_CHUNK, count)
        while client.has_pending_messages and len(lines) < room:
            lines.append(render(await client.receive()))
        await write_stdout("".join(lines))
        count = None if count is None else count - len(lines)
