from __future__ import annotations

import logging

import pytest

from rx_cometd import ExtensionError
from rx_cometd.cli.log_lines import LogLines, told_by


@pytest.mark.parametrize("name", ["rx_cometd.somewhere", "aiohttp.server"])
def test_warnings_are_told_in_a_line_each_and_not_twice_in_a_row(name: str) -> None:
    told: list[str] = []
    logger = logging.getLogger(name)
    with told_by(LogLines(told.append)):
        logger.info("quiet")
        for _ in range(3):
            try:
                raise ValueError("why")  # noqa: TRY301
            except ValueError:
                logger.exception("it\nfailed")
        logger.warning("%d more", 2)
    assert told == ["it failed: why", "2 more"]


def test_the_inner_block_is_told_alone_and_afterwards_all_is_as_before() -> None:
    outer: list[str] = []
    inner: list[str] = []
    root, logger = logging.getLogger(), logging.getLogger("rx_cometd")
    before = [*root.handlers]
    with told_by(LogLines(outer.append)):
        with told_by(LogLines(inner.append)):
            logger.warning("within")
        logger.warning("around")
    logger.warning("behind")
    assert (outer, inner) == (["around"], ["within"])
    assert root.handlers == before


def test_what_is_told_elsewhere_is_left_out() -> None:
    told: list[str] = []
    failed = {"event": "extension_failed"}
    with told_by(LogLines(told.append)):
        logging.getLogger("asyncio").warning("a step took 0.2 s")
        logging.getLogger("asyncio").error("a task failed")
        logger = logging.getLogger("rx_cometd")
        logger.error("it failed", exc_info=ExtensionError("no token"), extra=failed)
        logger.error("it failed", exc_info=KeyError("a bug"), extra=failed)
    assert told == ["a task failed", "it failed: 'a bug'"]
