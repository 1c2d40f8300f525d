"""Standard output for streams: whole lines, and a slow reader does not stop the event loop."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from typing import Any

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
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return text if encodable(text) else json.dumps(value, indent=indent)


async def write_stdout(text: str) -> None:
    """Write text to standard output, and wait until it is written.

    The writing is done on a thread of its own, so heartbeats go on while a pipe is full. It is
    a daemon, and writes past the buffers of ``sys.stdout``: a reader that has stopped reading
    (``less``, say) must not keep Ctrl-C from ending the process, which both the executor of
    asyncio and the lock of that buffer would.

    Args:
        text: Whole lines. What the encoding of the output cannot hold is escaped.

    Raises:
        BrokenPipeError: The reader is gone.
        OSError: It cannot be written for another reason.
    """
    loop = asyncio.get_running_loop()
    written: asyncio.Future[None] = loop.create_future()
    sys.stdout.flush()
    descriptor = sys.stdout.fileno()
    encoded = text.encode(sys.stdout.encoding or "utf-8", "backslashreplace")

    def settle(error: OSError | None) -> None:
        if written.done():  # the waiter was cancelled
            return
        if error is None:
            written.set_result(None)
        else:
            written.set_exception(error)

    def write() -> None:
        error: OSError | None = None
        rest = memoryview(encoded)
        try:
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        except OSError as raised:
            error = raised
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, error)

    threading.Thread(target=write, name="rx-cometd.stdout", daemon=True).start()
    await written
