"""Fragments: blocks of a page that leave something to the reader, which a test gives them."""

from __future__ import annotations

import ast
import asyncio
import inspect
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.children import child
from tests.project.docs import BLOCKS, ROOT, Block

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

#: What stands in the pages where the reader's server belongs.
PLACEHOLDER = "https://example.com/cometd"

#: The fragments that a test is there for; and those that ran, in this process.
TESTED: set[Block] = set()
RUN: set[Block] = set()


def fragments_of(page: str, heading: str) -> pytest.MarkDecorator:
    """Give a test the fragments of a section, as its argument ``blocks``; it has to run each."""
    blocks = [
        block
        for block in BLOCKS
        if not block.is_program and (block.page.name, block.heading) == (page, heading)
    ]
    if not blocks:
        raise LookupError(f"{page} has no fragment under {heading!r}")
    TESTED.update(blocks)
    return pytest.mark.parametrize("blocks", [blocks], ids=[f"{page}:{heading}"])


def code_of(block: Block, replace: Mapping[str, str] | None = None) -> str:
    """Give the code of a fragment with other words in it, which have to be there."""
    code = block.code
    for old, new in (replace or {}).items():
        assert old in code, old
        code = code.replace(old, new)
    RUN.add(block)
    return code


async def run(
    block: Block, names: dict[str, Any] | None = None, *, replace: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Run a fragment, which may await.

    Args:
        block: The fragment.
        names: What the page leaves to the reader to define; gets what the fragment defines.
        replace: Words of the page, and what to put there.

    Returns:
        The names.
    """
    names = {} if names is None else names
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code = compile(code_of(block, replace), block.name, "exec", flags=flags, dont_inherit=True)
    awaitable = eval(code, names)
    if inspect.isawaitable(awaitable):
        await awaitable
    return names


@asynccontextmanager
async def process(code: str) -> AsyncGenerator[asyncio.subprocess.Process]:
    """Run a program that does not end by itself, until the block does."""
    async with child(
        *(sys.executable, "-u", "-W", "error", "-c", code),
        env={"PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
    ) as running:
        yield running


@asynccontextmanager
async def going_on(coroutine: Any) -> AsyncGenerator[asyncio.Task[Any]]:
    """Run what goes on for ever, until the block ends; what it raises before fails the test."""
    task = asyncio.ensure_future(coroutine)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()
