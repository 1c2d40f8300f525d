"""The fragments of the home page, of the first steps, and for those who come from aiocometd."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from rx_cometd.testing import BayeuxServer
from tests.project.pages.fragment import (
    PLACEHOLDER,
    code_of,
    fragments_of,
    going_on,
    process,
    run,
)
from tests.project.pages.printed import Printed

if TYPE_CHECKING:
    from tests.project.docs import Block

pytestmark = pytest.mark.usefixtures("nothing_left")


@fragments_of("index.md", "rx_cometd")
async def test_the_home_page_watches_prices(blocks: list[Block]) -> None:
    async with BayeuxServer() as server:
        names = await run(blocks[0], replace={PLACEHOLDER: server.url})
        names["print"] = printed = Printed()
        async with going_on(names["watch"]()):
            await server.until(lambda: server.subscribers("/stock/ACME"))
            for price in (99, 101):
                await server.publish("/stock/ACME", {"price": price})
            assert await printed.next() == {"price": 101}


@fragments_of("quickstart.md", "The first message")
async def test_the_first_program_with_a_server_of_ones_own(blocks: list[Block]) -> None:
    async with BayeuxServer() as server:
        async with process(code_of(blocks[0], {PLACEHOLDER: server.url})) as program:
            await server.until(lambda: server.subscribers("/news/sport"), 30)
            await server.publish("/news/sport", "2:1")
            assert program.stdout is not None
            line = await asyncio.wait_for(program.stdout.readline(), 30)
        assert line == b"/news/sport 2:1\n"


@fragments_of("migration.md", "Coming from aiocometd")
async def test_what_aiocometd_would_do(blocks: list[Block]) -> None:
    async with BayeuxServer() as server:
        names = await run(blocks[0], replace={PLACEHOLDER: server.url})
        names["print"] = printed = Printed()
        async with going_on(names["chat"]()):
            assert await printed.next() == {"text": "hello"}
            await server.publish("/chat/demo", {"text": "and good-bye"})
            assert await printed.next() == {"text": "and good-bye"}
