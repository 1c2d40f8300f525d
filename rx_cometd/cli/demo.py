"""``rx-cometd demo``: a live stream on the terminal, from a server in the same process."""

from __future__ import annotations

import asyncio
import math
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import click
import reactivex as rx
from reactivex import operators as ops

from rx_cometd import Client, ConnectionType, Overflow
from rx_cometd import operators as cometd_ops
from rx_cometd.cli.board import Board, LiveBoard, PlainBoard
from rx_cometd.cli.frame import PipeConsole
from rx_cometd.cli.market import Market
from rx_cometd.cli.parameters import POSITIVE, SECONDS
from rx_cometd.cli.quotes import updates
from rx_cometd.cli.running import run
from rx_cometd.extensions import ack
from rx_cometd.relay.first import until_first
from rx_cometd.testing import BayeuxServer

if TYPE_CHECKING:
    from reactivex import Observable

    from rx_cometd.cli.quotes import Update

__all__ = ["demo"]


@click.command(short_help="Show a live stream, from a server of its own.")
@click.option(
    "--seconds",
    type=POSITIVE,
    default=20.0,
    show_default=True,
    help="How long it runs.",
)
@click.option(
    "--speed",
    type=POSITIVE,
    default=1.0,
    show_default=True,
    help="How many times 225 quotes per second.",
)
@click.option(
    "--cut",
    type=SECONDS,
    default=6.0,
    show_default=True,
    help="Cut all connections every so many seconds; 0: never.",
)
def demo(seconds: float, speed: float, cut: float) -> None:
    """Show a live stream: a stock ticker in this process, over both transports.

    \b
    rx-cometd demo

    Two clients, one on WebSocket and one on long-polling, observe the glob /stock/**. Every few
    seconds all connections are cut; the streams go on, and with the acknowledgement extension
    no quote is lost. It needs no network, and ends by itself; Ctrl-C ends it before.
    """  # noqa: D301 - click's mark for a paragraph to be left as it is
    run(_demo(seconds, speed, cut))


async def _demo(seconds: float, speed: float, cut: float) -> None:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(BayeuxServer(timeout=5.0, max_received=0))
        # A client each, as two applications would have; one that has the choice takes the
        # WebSocket.
        clients = [
            (via, await stack.enter_async_context(Client(server.url, via, extensions=[ack()])))
            for via in ConnectionType
        ]
        title = f"rx-cometd demo: /stock/** from {server.url}, for {seconds:g} s"
        board = stack.enter_context(_board(title))
        # Not a task group, which would wrap what tells that the reader went away.
        await until_first(
            _show(updates(clients), board, seconds),
            _trade(server, Market(server, speed)),
            _cut(server, board, cut),
        )


def _board(title: str) -> Board:
    console = PipeConsole()
    return LiveBoard(console, title) if console.is_terminal else PlainBoard(console, title)


async def _show(stream: Observable[Update], board: Board, seconds: float) -> None:
    """Draw the latest of everything, one frame after the other.

    The stream is much faster than any terminal. While a frame is awaited updates replace each
    other by their keys, so one drawing shows the latest of each, and no more than one of each
    ever waits.
    """
    latest = stream.pipe(
        ops.take_until(rx.timer(seconds)),
        cometd_ops.to_async_iterable(0, Overflow.CONFLATE, key=lambda update: update.key),
    )
    now = asyncio.get_running_loop().time
    end = now() + seconds
    async with aiter(latest) as pending:
        async for update in pending:
            board.update(update)
            if not pending.pending_count:
                board.draw()
                await asyncio.sleep(min(board.frame, max(0.0, end - now())))


async def _trade(server: BayeuxServer, market: Market) -> None:
    # Not before all listen, so that they can be compared from the first quote on.
    await server.until(lambda: len(server.subscribers("/stock/ACME")) == len(ConnectionType))
    await market.run()


async def _cut(server: BayeuxServer, board: Board, seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds or math.inf)
        board.note("the server cuts all connections")
        server.faults.drop_link()
