"""What is logged, as lines a user of the command line can read."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rx_cometd import ExtensionError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

__all__ = ["LogLines", "Teller", "told_by"]


class Teller(logging.Handler):
    """A handler that tells the user of the command line."""


class LogLines(Teller):
    """Tells of records in a line each, the same one not twice in a row.

    Args:
        tell: Takes a line.
        level: The lowest level of what is told.
    """

    def __init__(self, tell: Callable[[str], None], level: int = logging.WARNING) -> None:
        super().__init__(level)
        self._tell = tell
        self._told: str | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        """Leave out what is told elsewhere, or is nothing to a user."""
        if record.name == "asyncio" and record.levelno < logging.ERROR:
            return False  # which step of the event loop was slow
        if getattr(record, "event", None) == "extension_failed" and record.exc_info is not None:
            # What an extension says itself is the error of the request, which is told of.
            return not isinstance(record.exc_info[1], ExtensionError)
        return bool(super().filter(record))

    def emit(self, record: logging.LogRecord) -> None:
        """Tell of a record: its message, and the error's text in place of its traceback."""
        error = record.exc_info[1] if record.exc_info else None
        text = " ".join(f"{record.getMessage()}{'' if error is None else f': {error}'}".split())
        if text != self._told:
            self._told = text
            self._tell(text)


@contextmanager
def told_by(teller: Teller) -> Generator[None]:
    """Have what is logged, by whatever library, told in one way until the block ends.

    A block within it may have it told in another way instead.
    """
    root = logging.getLogger()
    outer = [handler for handler in root.handlers if isinstance(handler, Teller)]
    for former in outer:
        root.removeHandler(former)
    root.addHandler(teller)
    try:
        yield
    finally:
        root.removeHandler(teller)
        for former in outer:
            root.addHandler(former)
