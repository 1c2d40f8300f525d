"""What observing costs: counting by channel, and the metrics of OpenTelemetry.

    python -m benchmarks.counting

CPU time, the best of many short runs taken in turns. What counting adds to a message is told beside
decoding a payload with ``json.loads`` and handing its messages to one observer: the least that
receiving can cost. What metrics add to a publish is told beside the part of it that is
OpenTelemetry's SDK's.
"""

from __future__ import annotations

import json
import time
import timeit
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from reactivex import Observer

from rx_cometd import Client
from rx_cometd._flow.dispatch import Dispatch
from rx_cometd._session.accompanied import Accompanied
from rx_cometd.extension import Request
from rx_cometd.extensions import telemetry
from rx_cometd.statistics import Counters

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rx_cometd.extension import Extension

#: Messages in each run, and publishes; short, so that some runs of many are undisturbed.
_MESSAGES, _PUBLISHES = 20_000, 1_000
_RUNS = 50


def main() -> None:
    """Print the table."""
    print("| messages in a payload | receive | count by channel | part |\n|---|---|---|---|")
    for count in (1, 8, 64):
        received, counted = _counting(count)
        part = counted / received
        print(f"| {count} | {received:.0f} ns | {counted:.0f} ns | {part:.1%} |")
    print("\n| a publish | |\n|---|---|")
    for name, spent in _requests().items():
        print(f"| {name} | {spent / 1000:.2f} µs |")


def _counting(count: int) -> tuple[float, float]:
    """Give the nanoseconds of receiving a message, and those that counting it adds."""
    events = [{"channel": f"/stock/{n}", "data": {"price": n, "at": "now"}} for n in range(count)]
    text = json.dumps(events)
    dispatch = Dispatch(print)
    dispatch.add("/stock/*", Observer[Any](lambda _: None))
    plain, counting = Counters(), Counters()
    for counters in (plain, counting):
        counters.last_heard = time.monotonic()
        counters.payload_size = len(text)
    with counting.counting_channels(time.monotonic()):
        found = _best(
            {
                "receive": ("deliver(loads(text))", {"deliver": dispatch.deliver}),
                "plain": ("came(events)", {"came": plain.events_came}),
                "counting": ("came(events)", {"came": counting.events_came}),
            },
            {"loads": json.loads, "text": text, "events": events},
            _MESSAGES // count,
        )
    return found["receive"] / count, (found["counting"] - found["plain"]) / count


def _requests() -> dict[str, float]:
    """Give the nanoseconds that metrics add to a publish, and those of the SDK's part alone."""
    provider = MeterProvider([InMemoryMetricReader()])
    record = provider.get_meter("alone").create_histogram("alone").record
    attributes: dict[str, str | int] = {
        "messaging.system": "cometd",
        "messaging.operation.name": "publish",
        "messaging.destination.name": "/a",
        "server.address": "127.0.0.1",
        "server.port": 9,
    }
    everything = _publish(telemetry(meter_provider=provider))
    no_duration = _publish(telemetry(meter_provider=provider, durations=False))
    return _best(
        {
            "all metrics of a publish": ("publish()", {"publish": everything}),
            "all but the duration": ("publish()", {"publish": no_duration}),
            "the SDK's record, with its attributes": ("record(0.01, attributes)", {}),
            "the SDK's record, without attributes": ("record(0.01)", {}),
        },
        {"record": record, "attributes": attributes},
        _PUBLISHES,
    )


def _publish(extension: Extension) -> Callable[[], None]:
    """Give what is around a publish, that it waits for a reply left aside."""
    client = Client("http://127.0.0.1:9/", extensions=[extension])
    accompanied = Accompanied([extension])
    request = Request("publish", "/a", {}, client)

    def publish() -> None:
        with accompanied.within(request):
            pass

    return publish


def _best(
    statements: Mapping[str, tuple[str, dict[str, Any]]], known: dict[str, Any], times: int
) -> dict[str, float]:
    """Give the nanoseconds of each statement, by name; the runs of all taken in turns."""
    found = [
        {
            name: timeit.timeit(
                statement, timer=time.process_time, globals={**known, **own}, number=times
            )
            / times
            * 1e9
            for name, (statement, own) in statements.items()
        }
        for _ in range(_RUNS)
    ]
    return {name: min(run[name] for run in found) for name in statements}


if __name__ == "__main__":
    main()
