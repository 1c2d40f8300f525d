from __future__ import annotations

import logging

from rx_cometd.cli.log_lines import log_lines


def test_warnings_are_told_in_a_line_each_and_not_twice_in_a_row() -> None:
    told: list[str] = []
    logger = logging.getLogger("rx_cometd.somewhere")
    with log_lines(told.append):
        logger.info("quiet")
        for _ in range(3):
            try:
                raise ValueError("why")  # noqa: TRY301
            except ValueError:
                logger.exception("it\nfailed")
        logger.warning("%d more", 2)
    assert told == ["it failed: why", "2 more"]


def test_afterwards_the_logger_is_as_before() -> None:
    logger = logging.getLogger("rx_cometd")
    before = (logger.propagate, [*logger.handlers])
    with log_lines(lambda _: None):
        assert not logger.propagate
    assert (logger.propagate, logger.handlers) == before
