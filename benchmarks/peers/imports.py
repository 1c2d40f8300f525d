"""What importing rx_cometd takes beyond what it is built on."""

from __future__ import annotations

import importlib

from benchmarks.peers.task import Stopwatch, Task, perform


async def import_client(_: Task) -> dict[str, float]:
    """Import the client, where aiohttp and reactivex are imported already."""
    for name in ("aiohttp", "reactivex", "reactivex.operators"):
        importlib.import_module(name)
    stopwatch = Stopwatch()
    importlib.import_module("rx_cometd").Client  # noqa: B018 - loaded when it is asked for
    return stopwatch.stop(1)


async def import_foundations(_: Task) -> dict[str, float]:
    """Import aiohttp and reactivex."""
    stopwatch = Stopwatch()
    for name in ("aiohttp", "reactivex", "reactivex.operators"):
        importlib.import_module(name)
    return stopwatch.stop(1)


if __name__ == "__main__":
    perform({"import_client": import_client, "import_foundations": import_foundations})
