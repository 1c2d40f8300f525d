"""``rx-cometd publish``: one message, or one for each line of standard input."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Any

import click

from rx_cometd import Overflow
from rx_cometd import operators as cometd_ops
from rx_cometd.cli.connection import Connection, connection_options, parse_json
from rx_cometd.cli.output import write_stdout
from rx_cometd.cli.running import run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from rx_cometd import Client

__all__ = ["publish"]


@click.command()
@click.argument("url")
@click.argument("channel")
@click.argument("data", metavar="JSON")
@click.option("--call", is_flag=True, help="Wait for the answer of a service, and print that.")
@connection_options
def publish(url: str, channel: str, data: str, *, call: bool, **options: Any) -> None:
    """Publish JSON on CHANNEL, and print the server's reply.

    With - for JSON, every line of standard input is published, several at a time; replies are
    printed in their order.
    """
    client = Connection(**options).client(url)
    if data == "-":
        if call:
            raise click.UsageError("--call takes one message, not standard input")
        run(_publish_lines(client, channel))
    else:
        run(_publish_one(client, channel, parse_json(data, "JSON"), call=call))


async def _publish_one(client: Client, channel: str, data: Any, *, call: bool) -> None:
    async with client:
        reply = await (client.call if call else client.publish)(channel, data)
    await write_stdout(json.dumps(reply, ensure_ascii=False) + "\n")


async def _publish_lines(client: Client, channel: str) -> None:
    replies = cometd_ops.from_async_iterable(_stdin()).pipe(
        # No line is read while the buffers are full, so a file of any size will do.
        cometd_ops.publish_to(client, channel, max_in_flight=16, overflow=Overflow.SUSPEND),
        cometd_ops.to_async_iterable(overflow=Overflow.SUSPEND),
    )
    async with client:
        async for reply in replies:
            await write_stdout(json.dumps(reply, ensure_ascii=False) + "\n")


async def _stdin() -> AsyncIterator[Any]:
    number = 0
    # Files, pipes and terminals alike can be read on a thread, and only there.
    while line := await asyncio.to_thread(sys.stdin.readline):
        number += 1
        if line.strip():
            yield parse_json(line, f"line {number}")
