"""A relay in a process of its own, to be killed: ``python -m tests.integration.relay.child``."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
from typing import Any

from rx_cometd.extensions import ReplayOption
from rx_cometd.relay import Relay, sink_for


async def main(options: dict[str, Any]) -> None:
    """Relay until SIGTERM."""
    name: str = options.pop("name")
    sink = sink_for(options.pop("to"), name)
    relay = Relay(
        options.pop("url"),
        options.pop("channels"),
        sink,
        name=name,
        initial=ReplayOption.ALL_EVENTS,
        **options,
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, relay.stop)
    await relay.run()
    print(relay.counts, file=sys.stderr)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(created).3f %(name)s %(message)s")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    asyncio.run(main(json.loads(sys.argv[1])))
