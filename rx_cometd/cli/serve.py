"""``rx-cometd serve``: a Bayeux server to try things with."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any, cast

import click

from rx_cometd import ConnectionType
from rx_cometd.cli.market import Market
from rx_cometd.cli.output import write_stdout
from rx_cometd.cli.parameters import SECONDS, checked_host
from rx_cometd.cli.running import run
from rx_cometd.testing import (
    BayeuxServer,
    BearerAuthentication,
    SalesforceAuthentication,
    ServiceRequest,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rx_cometd.testing import ServerOptions

__all__ = ["serve", "serve_until_stopped"]


#: What needs no quoting in an address, so that the one that is printed can be pasted.
_PATH = re.compile(r"/|(/[\w.~!$&'()*+,;=:@-]+)+/?", re.ASCII)


def _checked_path(_context: click.Context, _parameter: click.Parameter, path: str) -> str:
    if not _PATH.fullmatch(path):
        raise click.BadParameter(f"{path!r} is no path such as /cometd")
    return path


@click.command(short_help="Run a server to try things with.")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    callback=checked_host,
    help="The address to listen on.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    help="The port; 0 takes a free one.",
)
@click.option(
    "--path",
    default="/cometd",
    show_default=True,
    callback=_checked_path,
    help="The path of the endpoint.",
)
@click.option(
    "--transport",
    multiple=True,
    type=click.Choice([kind.value for kind in ConnectionType]),
    help="What it speaks; default: both.",
)
@click.option(
    "--timeout",
    type=SECONDS,
    default=30.0,
    show_default=True,
    help="Seconds that it holds connects.",
)
@click.option(
    "--max-interval",
    type=SECONDS,
    default=10.0,
    show_default=True,
    help="Seconds that a session lives without a connect.",
)
@click.option("--token", multiple=True, help="Demand one of these bearer tokens.")
@click.option(
    "--salesforce",
    is_flag=True,
    help="Behave like Salesforce's streaming endpoint; what --ticker publishes can be replayed.",
)
@click.option("--ticker", is_flag=True, help="Publish made-up quotes on /stock/<SYMBOL>.")
def serve(
    transport: Sequence[str],
    host: str,
    port: int,
    token: Sequence[str],
    *,
    ticker: bool,
    **options: Any,
) -> None:
    """Run a Bayeux server until Ctrl-C: for trying things, not for production.

    \b
    rx-cometd serve --ticker

    Everybody may subscribe and publish. What is published on /service/echo comes back to its
    sender. The server's address is printed on standard output.
    """  # noqa: D301 - click's mark for a paragraph to be left as it is
    chosen = cast("ServerOptions", {**options, "max_received": 0})
    if transport:
        chosen["connection_types"] = [ConnectionType(name) for name in transport]
    if token:
        kind = SalesforceAuthentication if options["salesforce"] else BearerAuthentication
        chosen["authentication"] = kind(*token)
    run(serve_until_stopped(BayeuxServer(host, port, **chosen), ticker=ticker))


async def serve_until_stopped(server: BayeuxServer, *, ticker: bool) -> None:
    """Serve until cancelled, with the echo service, and the ticker if asked for."""

    @server.service("/service/echo")
    def echo(request: ServiceRequest) -> None:
        # Not by returning it: a handler that returns null gives no answer.
        about = {"id": request.message["id"]} if "id" in request.message else {}
        answer = {"successful": True, **about}
        server.deliver(request.session.client_id, request.channel, request.data, **answer)

    async with server:
        await write_stdout(f"{server.url}\n")
        if ticker:
            await Market(server).run()
        else:
            await asyncio.Event().wait()
