from __future__ import annotations

import asyncio
import re
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from tests.children import child
from tests.integration.cli.commands import COMMAND, ENVIRONMENT, ROOT, line_from, spawned
from tests.integration.cli.terminal import at_terminal

if TYPE_CHECKING:
    from tests.integration.cli.commands import Invocation

SUMMARY = re.compile(r"(\S+): (\d+) quotes, (\d+) lost, (\d+) repeated")


async def test_without_a_terminal_it_prints_lines(invoke: Invocation) -> None:
    outcome = await invoke("demo", "--seconds", "1.5", "--cut", "0")
    assert outcome.code == 0
    assert outcome.err == ""
    assert "\x1b" not in outcome.out
    assert outcome.out.startswith("rx-cometd demo: /stock/** from http://127.0.0.1:")
    assert re.search(
        r"^ +\d+\.\d s  ACME +\d+\.\d\d +[+-]\d\.\d\d% +\d+\.\d/s  [▁-█]+$",
        outcome.out,
        re.MULTILINE,
    )
    lanes = {match[1]: int(match[2]) for match in SUMMARY.finditer(outcome.out)}
    assert set(lanes) == {"websocket", "long-polling"}
    assert all(count > 10 for count in lanes.values())


async def test_cuts_lose_nothing(invoke: Invocation) -> None:
    outcome = await invoke("demo", "--seconds", "3", "--cut", "0.7", "--speed", "2")
    assert outcome.code == 0
    assert outcome.out.count("the server cuts all connections") > 1
    assert "link lost, reconnecting" in outcome.out
    assert "the same session goes on" in outcome.out
    assert [match[3] for match in SUMMARY.finditer(outcome.out)] == ["0", "0"]


async def test_it_ends_by_itself_on_time(invoke: Invocation) -> None:
    began = asyncio.get_running_loop().time()
    assert (await invoke("demo", "--seconds", "0.3")).code == 0
    assert asyncio.get_running_loop().time() - began < 20


async def test_ctrl_c_ends_it_in_order() -> None:
    async with spawned("demo") as process:
        await line_from(process.stdout, lambda line: "ACME" in line)
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 60) == 0
        assert process.stdout is not None
        assert process.stderr is not None
        assert SUMMARY.search((await process.stdout.read()).decode())
        assert await process.stderr.read() == b""


@pytest.mark.parametrize("option", ["--seconds", "--speed"])
async def test_wrong_usage(option: str, invoke: Invocation) -> None:
    assert (await invoke("demo", option, "0")).code == 2
    assert (await invoke("demo", option, "nan")).code == 2
    assert (await invoke("demo", option, "inf")).code == 2
    assert (await invoke("demo", "--cut", "-1")).code == 2


async def test_it_ends_on_time_however_fast_the_market(invoke: Invocation) -> None:
    began = asyncio.get_running_loop().time()
    assert (await invoke("demo", "--seconds", "1", "--speed", "1000")).code == 0
    assert asyncio.get_running_loop().time() - began < 20  # unbounded, it never came to an end


@pytest.mark.parametrize("last", ["rx-cometd demo", "connected", "ACME"])
async def test_a_reader_that_goes_ends_it_quietly(last: str) -> None:
    async with spawned("demo", "--seconds", "20") as process:
        await line_from(process.stdout, lambda line: last in line)
        assert process.stdout is not None
        process.stdout._transport.close()  # type: ignore[attr-defined]
        assert await asyncio.wait_for(process.wait(), 60) == 0
        assert process.stderr is not None
        assert await process.stderr.read() == b""


async def test_output_that_is_not_utf_8_gets_ascii() -> None:
    async with child(
        *(*COMMAND, "demo", "--seconds", "1.2"),
        cwd=ROOT,
        env={**ENVIRONMENT, "PYTHONIOENCODING": "ascii"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    ) as process:
        out, err = await asyncio.wait_for(process.communicate(), 60)
    assert (process.returncode, err) == (0, b"")
    assert re.search(rb"ACME .*/s  [_.\-=+*%#]+\n", out)


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
async def test_on_a_terminal_it_draws_a_table_in_place() -> None:
    command = (*COMMAND, "demo", "--seconds", "2", "--cut", "0.8")
    async with at_terminal(*command, variables={"COLUMNS": "80", "LINES": "24"}) as terminal:
        assert await terminal.end() == 0
    screen = terminal.shown.decode()
    assert re.search(r"\x1b\[\d+A", screen)  # up, to draw over what was drawn
    assert "\x1b[2K" not in screen  # and nothing is erased: that flickers
    for text in ("Transport", "websocket", "long-polling", "connected", "Symbol", "ACME", "WAYN"):
        assert text in screen
    assert "the server cuts all connections" in screen
    # Nothing was cut off or wrapped at the right edge of 80 columns.
    assert "Repeated" in screen
    assert "…" not in screen
