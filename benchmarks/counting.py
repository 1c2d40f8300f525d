"""What observing costs: counting by channel, and the metrics of OpenTelemetry.

    python -m benchmarks.counting

Nanoseconds per message, the best of several runs taken in turns, each beside decoding a payload
with ``json.loads`` and handing its messages to one observer: the least that receiving can cost.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from reactivex import Observer

from rx_cometd import Client
from rx_cometd._flow.dispatch import Dispatch
from rx_cometd.extension import Request
from rx_cometd.extensions import telemetry
from rx_cometd.statistics import ChannelTraffic

if TYPE_CHECKING:
    from collections.abc import Callable

#: Messages in each run, and how many runs.
_MESSAGES, _RUNS = 50_000, 9


def main() -> None:
    """Print the table."""
    print("| messages in a payload | receive | count by channel | part |\n|---|---|---|---|")
    for count in (1, 8, 64):
        received, counted = _counting(count)
        part = counted / received
        print(f"| {count} | {received:.0f} ns | {counted:.0f} ns | {part:.1%} |")
    plain, measured = _requests()
    print(f"\nmetrics of one publish: {measured - plain:.0f} ns")


def _counting(count: int) -> tuple[float, float]:
    events = [{"channel": f"/stock/{n}", "data": {"price": n, "at": "now"}} for n in range(count)]
    text = json.dumps(events)
    dispatch = Dispatch(print)
    dispatch.add("/stock/*", Observer[Any](lambda _: None))
    now = time.monotonic()  # the client has it from the payload anyhow
    traffic = ChannelTraffic(now)

    def receive() -> None:
        dispatch.deliver(json.loads(text))

    def count_channels() -> None:
        traffic.count(events, len(text) / count, now)

    received, counted = _best(receive, count_channels, _MESSAGES // count)
    return received / count, counted / count


def _requests() -> tuple[float, float]:
    made = telemetry(meter_provider=MeterProvider([InMemoryMetricReader()]))
    client = Client("http://127.0.0.1:9/", extensions=[made])
    request = Request("publish", "/a", {}, client)

    def nothing() -> None:
        pass

    def metered() -> None:
        with made.around_request(request):
            pass

    return _best(nothing, metered, _MESSAGES // 10)


def _best(first: Callable[[], None], second: Callable[[], None], times: int) -> tuple[float, float]:
    """Give the nanoseconds of one call of each, the runs of both taken in turns."""
    found = [(_run(first, times), _run(second, times)) for _ in range(_RUNS)]
    return min(a for a, _ in found), min(b for _, b in found)


def _run(call: Callable[[], None], times: int) -> float:
    begun = time.perf_counter_ns()
    for _ in range(times):
        call()
    return (time.perf_counter_ns() - begun) / times


if __name__ == "__main__":
    main()
