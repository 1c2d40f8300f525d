"""What the library logs, as lines a user of the command line can read."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

__all__ = ["log_lines"]

_LOGGER = "rx_cometd"


class _Lines(logging.Handler):
    """Tells warnings and errors in a line each, the same one not twice in a row."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._tell = tell
        self._told: str | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Tell of a record: its message, and the error's text in place of its traceback."""
        error = record.exc_info[1] if record.exc_info else None
        text = " ".join(f"{record.getMessage()}{'' if error is None else f': {error}'}".split())
        if text != self._told:
            self._told = text
            self._tell(text)


@contextmanager
def log_lines(tell: Callable[[str], None]) -> Generator[None]:
    """Have warnings of the library told in lines until the block ends."""
    handler = _Lines(tell)
    logger = logging.getLogger(_LOGGER)
    propagated, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagated
