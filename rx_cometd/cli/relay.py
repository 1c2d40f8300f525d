"""``rx-cometd relay``: from the channels of a server into a broker."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
from contextlib import AsyncExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import click
from click.core import ParameterSource

from rx_cometd.cli.connection import Connection, connection_options
from rx_cometd.cli.log_lines import LogLines, Teller, told_by
from rx_cometd.cli.parameters import POSITIVE, checked_host
from rx_cometd.cli.running import run, tell
from rx_cometd.extensions import ReplayOption
from rx_cometd.relay import (
    BrokerError,
    Relay,
    Shard,
    intact_json_loads,
    operations,
    relays_of,
    sink_for,
    traced_sink,
)
from rx_cometd.relay import demo as run_demo
from rx_cometd.relay.relay import MAX_MESSAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

__all__ = ["relay"]

#: What the command is told though a file says what to relay.
_BESIDE_A_FILE: Final = ("config", "host", "port", "log")


def _shard(_context: click.Context, _parameter: click.Parameter, text: str | None) -> Shard | None:
    try:
        return None if text is None else Shard.parse(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command(short_help="Write the events of channels into NATS, Redis or Kafka.")
@click.argument("url", required=False)
@click.argument("channels", nargs=-1, metavar="CHANNEL...")
@click.option("--to", metavar="URL", help="The broker: nats://, redis://, kafka:// or stdout:.")
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A TOML file with sources, instead of URL and CHANNEL.",
)
@click.option("--demo", is_flag=True, help="Show it, with a server and a broker of its own.")
@click.option("--seconds", type=POSITIVE, default=9.0, show_default=True, help="Of the demo.")
@click.option("--name", default="relay", show_default=True, help="Markers belong to a name.")
@click.option(
    "--template",
    default="cometd.{channel}",
    show_default=True,
    help="The subject, stream or topic of a channel.",
)
@click.option("--dead-letter", default="cometd-dead", show_default=True, help="For the refused.")
@click.option("--lease", type=POSITIVE, help="Seconds after which a standby may take over.")
@click.option("--shard", callback=_shard, metavar="I/N", help="Relay only this part of all.")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="Serve /healthz, /readyz and /metrics there."
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    callback=checked_host,
    help="The address for --port.",
)
@click.option("--traced", is_flag=True, help="Make OpenTelemetry spans of what is written.")
@click.option("--log", type=click.Choice(["text", "json"]), default="text", show_default=True)
@connection_options
def relay(url: str | None, channels: Sequence[str], **options: Any) -> None:
    """Write the events of channels into a broker, until it is stopped.

    \b
    rx-cometd relay --demo
    rx-cometd relay https://example.com/cometd /news --to nats://localhost
    rx-cometd relay --config relays.toml --port 8080

    It goes on where it ended: the replay ids of what the broker has are kept there. SIGTERM and
    Ctrl-C write what is pending, then end it.
    """  # noqa: D301 - a backspace keeps click from filling a paragraph
    connection = Connection.of(options)
    if options["config"] is not None:
        _check_of_a_file()
    if options["demo"]:
        run(run_demo(options["seconds"], click.echo))
    try:
        relays = _relays(url, channels, connection, options)
    except (ValueError, ImportError, OSError, BrokerError) as error:
        raise click.UsageError(str(error)) from error
    run(_run(relays, options["host"], options["port"], as_json=options["log"] == "json"))


def _check_of_a_file() -> None:
    """Refuse options that the file would have passed over."""
    context = click.get_current_context()
    for name in context.params:
        given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if given and name not in _BESIDE_A_FILE:
            told = "URL and CHANNEL" if name in ("url", "channels") else f"--{name}"
            raise click.UsageError(
                f"with --config the file says everything: leave {told.replace('_', '-')} out"
            )


def _relays(
    url: str | None, channels: Sequence[str], connection: Connection, options: dict[str, Any]
) -> list[Relay]:
    if options["config"] is not None:
        return relays_of(options["config"])
    if url is None or not channels or options["to"] is None:
        raise click.UsageError("it needs URL, CHANNEL and --to, or --config, or --demo")
    # What the relay has by itself: acknowledgements, and replay from its own markers.
    plain = connection._replace(ack=False, salesforce=False, since=None)
    if connection.salesforce and not plain.transport:
        plain = plain._replace(transport=("long-polling",))
    sink = sink_for(options["to"], options["name"])
    return [
        Relay(
            lambda extensions: plain.client(
                url, extensions, max_message_size=MAX_MESSAGE_SIZE, json_loads=intact_json_loads
            ),
            channels,
            traced_sink(sink) if options["traced"] else sink,
            name=options["name"],
            template=options["template"],
            dead_letter=options["dead_letter"],
            initial=ReplayOption.NEW_EVENTS if connection.since is None else connection.since,
            lease=options["lease"],
            shard=options["shard"],
        )
    ]


async def _run(relays: Sequence[Relay], host: str, port: int | None, *, as_json: bool) -> None:
    loop = asyncio.get_running_loop()
    at_once = cast("asyncio.Task[None]", asyncio.current_task()).cancel

    def stop() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, at_once)  # who asks again waits for nothing
        _stop(relays)

    with suppress(NotImplementedError, RuntimeError):  # Windows and threads have no such handlers
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
    # What it fails at is raised to us; its lines would stand beside, and between, ours.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    async with AsyncExitStack() as stack:
        stack.enter_context(_logged(_JsonLines() if as_json else LogLines(tell, logging.INFO)))
        if port is not None:
            bound = await stack.enter_async_context(operations(relays, host=host, port=port))
            click.echo(f"http://{host}:{bound}/metrics", err=True)
        tasks = [asyncio.create_task(relay.run()) for relay in relays]
        try:
            await asyncio.gather(*tasks)
        finally:
            _stop(relays)
            await asyncio.gather(*tasks, return_exceptions=True)


def _stop(relays: Sequence[Relay]) -> None:
    for relay in relays:
        relay.stop()


#: What every record has.
_PLAIN: Final = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime"})


class _JsonLines(Teller):
    """Writes records as JSON lines to standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        told: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        # What the library says beside the text: `event`, which names the line, and its fields.
        told |= {name: value for name, value in vars(record).items() if name not in _PLAIN}
        if record.exc_info and record.exc_info[1] is not None:
            told["error"] = repr(record.exc_info[1])
        sys.stderr.write(json.dumps(told, ensure_ascii=False, default=str) + "\n")


@contextmanager
def _logged(teller: Teller) -> Generator[None]:
    """Have a log as that of a service is: with what becomes of its links."""
    logger = logging.getLogger("rx_cometd")
    level = logger.level
    logger.setLevel(logging.INFO)
    try:
        with told_by(teller):
            yield
    finally:
        logger.setLevel(level)
