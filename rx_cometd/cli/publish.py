"""``rx-cometd publish`` and ``call``: one message, or one for each line of a file."""

from __future__ import annotations

import asyncio
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from rx_cometd import ClientError, InvalidChannelError, Overflow, TransportTimeoutError
from rx_cometd import operators as cometd_ops
from rx_cometd.cli.connection import Connection, connection_options
from rx_cometd.cli.input import lines_of
from rx_cometd.cli.link import opened
from rx_cometd.cli.output import write_stdout
from rx_cometd.cli.parameters import POSITIVE, check_text, read_json
from rx_cometd.cli.rendering import Rendering, rendering_options
from rx_cometd.cli.running import run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from rx_cometd import Client, Message

__all__ = ["call", "publish"]


@click.command(short_help="Publish messages on a channel.")
@click.argument("url")
@click.argument("channel")
@click.argument("data", metavar="JSON")
@click.option("--call", is_flag=True, help="As the command call: wait for a service's answer.")
@click.option("--rate", type=POSITIVE, help="Lines per second, at most.")
@click.option("--text", is_flag=True, help="What is published is plain text, not JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Do not print the replies.")
@rendering_options
@connection_options
def publish(
    url: str,
    channel: str,
    data: str,
    rate: float | None,
    *,
    call: bool,
    text: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Publish JSON on CHANNEL, and print the server's reply.

    \b
    rx-cometd publish http://127.0.0.1:8080/cometd /news '{"text": "hi"}'

    With - for JSON, every line of standard input is published, and with @FILE every line of that
    file; several at a time, and the replies are printed in their order. A line that is no JSON
    ends it with exit code 1; those before it are published.

    JSON that begins with a hyphen goes last, behind two of them: -- -1
    """  # noqa: D301 - click's mark for a paragraph to be left as it is
    connection, rendering = Connection.of(options), Rendering.of(options)
    client, render = connection.client(url), rendering.renderer()
    _check_target(client, channel, service=call)
    show = _silent if quiet else render
    read = str if text else read_json
    if data == "-" or data.startswith("@"):
        if call:
            raise click.UsageError("--call takes one message, not standard input or a file")
        lines = _lines(_open(data), read, rate)
        run(_publish_lines(client, connection, channel, lines, show), endless=False)
    run(_ask(client, connection, channel, _given(data, read), show, call=call), endless=False)


@click.command(short_help="Call a service, and print its answer.")
@click.argument("url")
@click.argument("channel")
@click.argument("data", metavar="[JSON]", default="{}")
@click.option("--text", is_flag=True, help="What is sent is plain text, not JSON.")
@rendering_options
@connection_options
def call(url: str, channel: str, data: str, *, text: bool, **options: Any) -> None:
    """Send JSON (an empty object, if left out) to a service channel, and print the answer.

    \b
    rx-cometd call http://127.0.0.1:8080/cometd /service/echo '{"ping": 1}' --data

    The answer is the message of that channel with the id of the request, as remoteCall of the
    reference clients has it.
    """  # noqa: D301 - click's mark for a paragraph to be left as it is
    connection, rendering = Connection.of(options), Rendering.of(options)
    client, render = connection.client(url), rendering.renderer()
    _check_target(client, channel, service=True)
    read = str if text else read_json
    run(_ask(client, connection, channel, _given(data, read), render, call=True), endless=False)


def _check_target(client: Client, channel: str, *, service: bool) -> None:
    try:
        client.channel(channel)
    except InvalidChannelError as error:
        raise click.BadParameter(str(error), param_hint="CHANNEL") from error
    if "*" in channel:
        raise click.BadParameter(
            f"invalid channel {channel!r}: a glob is listened to, not published on",
            param_hint="CHANNEL",
        )
    if service and not channel.startswith("/service/"):
        raise click.BadParameter(
            f"invalid channel {channel!r}: only services answer, on channels that begin with"
            " /service/",
            param_hint="CHANNEL",
        )


def _silent(_message: Message) -> str:
    return ""


def _given(text: str, read: Callable[[str], Any]) -> Any:
    """Read what was given on the command line."""
    check_text(text, "JSON")
    try:
        return read(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="JSON") from error


async def _ask(
    client: Client,
    connection: Connection,
    channel: str,
    data: Any,
    show: Callable[[Any], str],
    *,
    call: bool,
) -> None:
    async with opened(client, connection):
        if call:
            asking: Awaitable[Message] = client.call(channel, data, timeout=None)
        else:
            asking = client.publish(channel, data)
        try:
            async with asyncio.timeout(connection.timeout):
                reply = await asking
        except TimeoutError:
            raise TransportTimeoutError(
                f"no reply on {channel} within {connection.timeout:g} s"
            ) from None
    await write_stdout(show(reply))


async def _publish_lines(
    client: Client,
    connection: Connection,
    channel: str,
    lines: AsyncIterator[Any],
    show: Callable[[Any], str],
) -> None:
    replies = cometd_ops.from_async_iterable(lines).pipe(
        # No line is read while the buffers are full, so a file of any size will do.
        cometd_ops.publish_to(client, channel, max_in_flight=16, overflow=Overflow.SUSPEND),
        cometd_ops.to_async_iterable(overflow=Overflow.SUSPEND),
    )
    async with opened(client, connection):
        async for reply in replies:
            await write_stdout(show(reply))


def _open(source: str) -> TextIO:
    if source == "-":
        given: Any = sys.stdin  # None, where the shell closed it
        if given is None:
            raise click.UsageError("there is no standard input to read lines from: it is closed")
        return sys.stdin
    try:
        return Path(source[1:]).open(encoding="utf-8")
    except OSError as error:
        raise click.BadParameter(f"{source[1:]}: {error.strerror}", param_hint="JSON") from error


async def _lines(
    file: TextIO, read: Callable[[str], Any], rate: float | None
) -> AsyncIterator[Any]:
    """Give what the lines of a file hold, no faster than asked for.

    Raises:
        ClientError: A line cannot be read. No wrong usage: those before it are published.
    """
    time = asyncio.get_running_loop().time
    number, due = 0, time()
    with nullcontext(file) if file is sys.stdin else file:
        async for line in _decoded(file):
            number += 1
            if not line.strip():
                continue
            if rate is not None:
                await asyncio.sleep(max(0.0, due - time()))
                due = max(due, time()) + 1.0 / rate
            try:
                data = read(line)
            except ValueError as error:
                raise ClientError(f"line {number}: {error}") from error
            yield data


async def _decoded(file: TextIO) -> AsyncIterator[str]:
    try:
        async for line in lines_of(file):
            yield line
    except UnicodeDecodeError as error:
        raise ClientError(f"{file.name} is no UTF-8: {error}") from error
