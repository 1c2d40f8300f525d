"""``rx-cometd listen``: messages as JSON lines."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import click

from rx_cometd.cli.connection import Connection, connection_options, report_states
from rx_cometd.cli.output import write_stdout
from rx_cometd.cli.running import run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rx_cometd import Client

__all__ = ["listen"]

#: Lines that are written in one go where the reader is slower than the server.
_CHUNK = 256


@click.command()
@click.argument("url")
@click.argument("channels", nargs=-1, required=True, metavar="CHANNEL...")
@click.option("-n", "--count", type=click.IntRange(min=1), help="End after so many messages.")
@click.option("--data", "data_only", is_flag=True, help="Print only the data of each message.")
@connection_options
def listen(
    url: str, channels: Sequence[str], count: int | None, *, data_only: bool, **options: Any
) -> None:
    """Print the messages of channels, one JSON object a line.

    CHANNEL may be a glob (quote it: '/stock/*', '/stock/**') or a service channel. Messages go
    to standard output, what becomes of the connection to standard error. It goes on until
    Ctrl-C, over reconnects and new sessions.

    A message that matches several of the channels is printed once. What comes faster than the
    reader takes it waits, 10,000 messages at most: beyond them the server is made to wait where
    that loses nothing (long-polling, or --ack), and elsewhere the command fails.
    """
    client = Connection(**options).client(url)
    run(_print(client, channels, count, data_only=data_only))


async def _print(
    client: Client, channels: Sequence[str], count: int | None, *, data_only: bool
) -> None:
    with report_states(client):
        async with client:
            # In one turn of the loop, so in one payload. The pull view gives a message once
            # however many of the channels match it; a merge of observables would repeat it.
            await asyncio.gather(*map(client.subscribe, channels))
            while count is None or count > 0:
                lines = [await _line(client, data_only=data_only)]
                room = _CHUNK if count is None else min(_CHUNK, count)
                while client.has_pending_messages and len(lines) < room:
                    lines.append(await _line(client, data_only=data_only))
                await write_stdout("".join(lines))
                count = None if count is None else count - len(lines)


async def _line(client: Client, *, data_only: bool) -> str:
    message = await client.receive()
    return json.dumps(message.get("data") if data_only else message, ensure_ascii=False) + "\n"
