"""Standard output for streams: whole lines, and a slow reader does not stop the event loop."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from rx_cometd.cli.daemon import on_daemon_thread

__all__ = ["encodable", "to_json", "write_stdout"]


def encodable(text: str) -> bool:
    """Tell whether standard output can hold a text: not every locale is UTF-8."""
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def to_json(value: Any, *, indent: int | None = None) -> str:
    """Give a value as JSON: as it reads best, or in ASCII where the output cannot hold that."""
    try:
        text = json.dumps(value, ensure_ascii=False, indent=indent)
    except RecursionError:
        return json.dumps("(nested too deeply to be shown)")
    return text if encodable(text) else json.dumps(value, indent=indent)


async def write_stdout(text: str) -> None:
    """Write text to standard output, and wait until it is written.

    The writing is done on a thread, so heartbeats go on while a pipe is full, and past the
    buffers of ``sys.stdout``, whose lock would keep Ctrl-C from ending the process.

    Args:
        text: Whole lines. What the encoding of the output cannot hold is escaped.

    Raises:
        BrokenPipeError: The reader is gone.
        OSError: It cannot be written for another reason.
    """
    sys.stdout.flush()
    descriptor = sys.stdout.fileno()
    encoded = text.encode(sys.stdout.encoding or "utf-8", "backslashreplace")

    def write() -> None:
        rest = memoryview(encoded)
        while rest:
            rest = rest[os.write(descriptor, rest) :]

    await on_daemon_thread(write)
