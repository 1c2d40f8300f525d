"""Draw the picture of ``rx-cometd demo`` that the README shows: ``python docs/draw_demo.py``.

Runs the demo on a recording console, and writes its last frame to ``docs/_static/demo.svg``. What
it shows was measured in that run.
"""

from __future__ import annotations

import asyncio
import io
import re
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from rx_cometd import Client, ConnectionType
from rx_cometd.cli.board import LiveBoard
from rx_cometd.cli.market import Market
from rx_cometd.cli.quotes import updates
from rx_cometd.extensions import ack
from rx_cometd.testing import BayeuxServer

if TYPE_CHECKING:
    from rx_cometd.cli.quotes import Update

PICTURE = Path(__file__).parent / "_static" / "demo.svg"
SECONDS = 8.0
CUT_AFTER = 6.0


async def run(console: Console) -> None:
    """Run the demo, and print what it shows at the end."""
    board = LiveBoard(console, "rx-cometd demo")
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(BayeuxServer(timeout=5.0, max_received=0))
        clients = [
            (via, await stack.enter_async_context(Client(server.url, via, extensions=[ack()])))
            for via in ConnectionType
        ]

        def take_in(update: Update) -> None:
            board.update(update)

        stack.enter_context(updates(clients).subscribe(take_in))
        await server.until(lambda: len(server.subscribers("/stock/ACME")) == len(ConnectionType))
        trading = asyncio.create_task(Market(server, 1.0).run())
        await asyncio.sleep(CUT_AFTER)
        board.note("the server cuts all connections")
        server.faults.drop_link()
        await asyncio.sleep(SECONDS - CUT_AFTER)
        trading.cancel()
        await asyncio.gather(trading, return_exceptions=True)
        console.print(board.render())  # before closing is shown


def main() -> None:
    """Draw."""
    console = Console(record=True, width=80, height=24, file=io.StringIO(), force_terminal=True)
    asyncio.run(run(console))
    svg = console.export_svg(title="rx-cometd demo", unique_id="demo")
    # The viewer's own monospace font: nothing is fetched for a picture.
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    svg = svg.replace("Fira Code", "DejaVu Sans Mono")
    PICTURE.write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
