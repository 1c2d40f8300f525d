"""Every program of the cookbook runs, and prints what the page says."""

from __future__ import annotations

import contextlib
import io
import logging
import threading
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.project.docs import BLOCKS, COOKBOOK, Block

if TYPE_CHECKING:
    from collections.abc import Iterator

RECIPES = [block for block in BLOCKS if block.page == COOKBOOK]


def name_of(block: Block) -> str:
    return block.name


@pytest.fixture(autouse=True)
def log_level() -> Iterator[None]:
    """Put the level of the log back that a program sets."""
    log = logging.getLogger("rx_cometd")
    level = log.level
    yield
    log.setLevel(level)


@pytest.mark.parametrize("block", RECIPES, ids=name_of)
def test_it_prints_what_the_page_says(
    block: Block, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[str] = []

    def start(thread: threading.Thread) -> None:
        threads.append(thread.name)

    monkeypatch.setattr(threading.Thread, "start", start)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        # In this process, for a new one takes longer than the program.
        exec(compile(block.code, block.name, "exec", dont_inherit=True), {"__name__": "__main__"})
    assert printed.getvalue() == block.output
    assert [r for r in caplog.records if r.levelno >= logging.ERROR] == []
    assert threads == []


def test_there_are_forty_recipes_each_with_a_title_of_its_own() -> None:
    lines = COOKBOOK.read_text(encoding="utf-8").splitlines()
    titles = Counter(line for line in lines if line.startswith("### "))
    assert len(RECIPES) == titles.total() >= 40
    assert titles.most_common(1)[0][1] == 1
