"""What is measured: groups of cases that take turns, and what each is compared with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

ORJSON: Final = "rx_cometd orjson"
"""The case of a group that foreign peers are compared with: V8 and Jetty have fast JSON, too."""


@dataclass(frozen=True)
class Case:
    """One line of a table.

    Attributes:
        label: What it is called.
        program: The peer, by its name in `benchmarks.programs`.
        against: The label of the case that it is compared with; its own: none.
        task: Fields of its `Task` beyond those of the group.
    """

    label: str
    program: str
    against: str
    task: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Group:
    """Cases that are measured in turn, in every round.

    Attributes:
        name: Its name on the command line.
        title: What is measured.
        cases: The cases.
        task: The fields of the task that the cases have in common.
        figure: Which of a result's figures is compared: ``cpu`` and ``wall`` are for a message.
        unit: The unit of the figure.
        secure: Whether over TLS.
        quick: Whether it is part of the quick run.
    """

    name: str
    title: str
    cases: tuple[Case, ...]
    task: dict[str, Any]
    figure: str = "cpu"
    unit: str = "us"
    secure: bool = False
    quick: bool = False


def _own(*libraries: str) -> tuple[Case, ...]:
    """The bare loop and rx_cometd, with the same JSON library each."""
    bare = [Case(f"bare {name}", "bare", f"bare {name}", {"json": name}) for name in libraries]
    ours = [
        Case(f"rx_cometd {name}", "rx_cometd", f"bare {name}", {"json": name}) for name in libraries
    ]
    return (*bare, *ours)


#: With a fraction of the messages: what one costs does not depend on how many there are.
_AIOCOMETD: Final = Case(
    "aiocometd-noloop", "aiocometd-noloop", "rx_cometd json", {"messages": 20_000}
)
_SCRIPT: Final = Case("CometD JavaScript", "CometD JavaScript", ORJSON)
_FAYE: Final = Case("Faye", "Faye", ORJSON)
_JAVA: Final = Case("CometD Java", "CometD Java", ORJSON)
_FOREIGN: Final = (_SCRIPT, _FAYE, _JAVA)
_ALL: Final = (*_own("json", "orjson", "msgspec"), _AIOCOMETD, *_FOREIGN)
_JSON: Final = {"json": "orjson"}


def _receive(per_frame: int) -> Group:
    return Group(
        f"receive-{per_frame}",
        f"Receive over a WebSocket, {per_frame} a frame",
        _ALL,
        {"kind": "receive", "messages": 100_000, "per_frame": per_frame},
        quick=True,
    )


def _extensions(per_frame: int) -> Group:
    counts = (0, 1, 3)
    return Group(
        f"extensions-{per_frame}",
        f"Synchronous extensions, {per_frame} messages a frame",
        (
            Case("bare", "bare", "bare"),
            *(Case(f"{n} extensions", "rx_cometd", "bare", {"extensions": n}) for n in counts),
        ),
        {"kind": "receive", "messages": 100_000, "per_frame": per_frame, **_JSON},
    )


def _varied(name: str, title: str, variants: dict[str, dict[str, Any]], **task: Any) -> Group:
    """Compare variants of one task for rx_cometd with the first of them."""
    first = next(iter(variants))
    cases = tuple(Case(label, "rx_cometd", first, extra) for label, extra in variants.items())
    return Group(name, title, cases, {"kind": "receive", **_JSON, **task})


def _publish(name: str, title: str, cases: tuple[Case, ...], **task: Any) -> Group:
    return Group(name, title, cases, {"kind": "publish", **task})


def _latency(rate: int) -> Group:
    return Group(
        f"latency-{rate}",
        f"Latency at {rate:,} messages a second",
        (*_own("orjson"), _AIOCOMETD_BESIDE_ORJSON, *_FOREIGN),
        {"kind": "latency", "messages": rate * 3, "rate": rate},
        figure="p99",
    )


_AIOCOMETD_BESIDE_ORJSON: Final = Case("aiocometd-noloop", "aiocometd-noloop", ORJSON)
_AIOCOMETD_ORJSON: Final = Case(
    "aiocometd-noloop orjson", "aiocometd-noloop", ORJSON, {"messages": 5_000, **_JSON}
)
_SLOW: Final = (
    Case("aiocometd-noloop", "aiocometd-noloop", "rx_cometd json", {"messages": 5_000}),
    Case("CometD JavaScript", "CometD JavaScript", ORJSON, {"messages": 5_000}),
)


def _operators(name: str, *kinds: str) -> tuple[Case, ...]:
    """Operators of ours beside the nearest one of reactivex, which comes last."""
    return tuple(
        Case(f"{name}: {kind}", "operators", f"{name}: {kinds[-1]}", {"kind": kind})
        for kind in kinds
    )


_TYPED: Final = "msgspec, data(), decode()"


def _typed(library: str) -> Group:
    operators, channel = f"operators {library}", f"channel {library}"
    ways = {
        "json, data(), decode()": {"json": "json", "typed": operators},
        _TYPED: {"typed": operators},
        "msgspec, typed channel": {"typed": channel},
        "raw_json_loads, typed channel": {"json": "raw", "typed": channel},
    }
    cases = tuple(Case(label, "rx_cometd", _TYPED, task) for label, task in ways.items())
    task = {"kind": "receive", "messages": 100_000, "per_frame": 100, "json": "msgspec"}
    return Group(
        f"typed-{library}", f"Data as values of {library}, 100 messages a frame", cases, task
    )


_VALIDATION: Final = {
    "json.loads, validate_python": "json",
    "orjson.loads, validate_python": "orjson",
    "msgspec, validate_python": "msgspec",
    "validate_json": "validate_json",
    "validate_json of a part of a payload": "validate_json_raw",
    "validate_json, cache_strings='none'": "validate_json_plain",
    "validate_python alone": "validate_python",
    "msgspec alone": "decode",
}


_LOOPS: Final = ("asyncio", "uvloop", "aiofastnet")


def _loops(per_frame: int) -> Group:
    variants = {loop: {"loop": loop} for loop in _LOOPS}
    title = f"Event loops, {per_frame} messages a frame"
    return _varied(f"loops-{per_frame}", title, variants, messages=100_000, per_frame=per_frame)


GROUPS: Final = (
    _receive(1),
    _receive(10),
    _receive(100),
    Group(
        "flood",
        "Receive over a WebSocket, 1 a frame, hundreds of frames in each read",
        _own("orjson"),
        {"kind": "receive", "messages": 100_000, "coalesced": True},
    ),
    Group(
        "long-polling",
        "Receive over long-polling, 100 a response",
        _ALL,
        {
            "kind": "receive",
            "messages": 50_000,
            "per_frame": 100,
            "transport": "long-polling",
        },
    ),
    Group(
        "tls",
        "Receive over a WebSocket with TLS, 10 a frame",
        _own("orjson"),
        {"kind": "receive", "messages": 100_000, "per_frame": 10},
        secure=True,
    ),
    Group(
        "pull",
        "async for message in client, 10 a frame",
        (
            Case("rx_cometd json", "rx_cometd", "rx_cometd json"),
            _AIOCOMETD,
        ),
        {"kind": "pull", "messages": 50_000, "per_frame": 10},
    ),
    _varied(
        "channels",
        "Channels, 100 messages a frame",
        {
            "1 channel": {},
            "100 channels": {"channels": 100},
            "10,000 channels": {"channels": 10_000},
            "100,000 channels": {"channels": 100_000, "messages": 200_000},
            "1,000 globs": {"channels": 1_000, "globs": True},
        },
        messages=100_000,
        per_frame=100,
    ),
    _varied(
        "observers",
        "Observers of one channel, 10 messages a frame",
        {f"{n:,} observers": {"observers": n} for n in (1, 10)}
        | {"1,000 observers": {"observers": 1_000, "messages": 2_000}},
        messages=50_000,
        per_frame=10,
    ),
    _extensions(1),
    _extensions(10),
    _extensions(100),
    _publish(
        "publish-awaited",
        "Publish, one at a time",
        (*_own("orjson", "json", "msgspec"), _SLOW[0], *_FOREIGN),
        messages=5_000,
    ),
    _publish(
        "publish-in-flight",
        "Publish, 1,000 in flight",
        (*_own("orjson", "json"), *_SLOW, _AIOCOMETD_ORJSON, _FAYE, _JAVA),
        messages=50_000,
        in_flight=1_000,
    ),
    Group(
        "publish-batched",
        "Publish, batches of 100",
        (Case("rx_cometd orjson", "rx_cometd", ORJSON),),
        {"kind": "publish_batched", "messages": 50_000, "per_frame": 100, **_JSON},
    ),
    _latency(1_000),
    _latency(10_000),
    Group(
        "subscribe",
        "Subscribe 10,000 channels",
        (Case("rx_cometd orjson", "rx_cometd", ORJSON),),
        {"kind": "subscribe", "messages": 10_000, **_JSON},
    ),
    Group(
        "memory-subscription",
        "Memory of an idle subscription",
        (Case("rx_cometd orjson", "rx_cometd", ORJSON),),
        {"kind": "idle_subscriptions", "messages": 10_000, **_JSON},
        figure="bytes",
        unit="B",
    ),
    Group(
        "memory-client",
        "Memory of an idle client",
        (Case("rx_cometd orjson", "rx_cometd", ORJSON),),
        {"kind": "idle_clients", "messages": 100, **_JSON},
        figure="bytes",
        unit="B",
    ),
    Group(
        "idle",
        "CPU time of an idle session, for each second",
        (Case("rx_cometd orjson", "rx_cometd", ORJSON),),
        {"kind": "idle", "messages": 5, **_JSON},
    ),
    Group(
        "import",
        "Import",
        (
            Case(
                "aiohttp and reactivex",
                "imports",
                "aiohttp and reactivex",
                {"kind": "import_foundations"},
            ),
            Case("rx_cometd beyond them", "imports", "aiohttp and reactivex"),
        ),
        {"kind": "import_client", "messages": 1},
    ),
    Group(
        "operators",
        "Operators, a subject before and an observer behind included",
        (
            *_operators("nothing", "subject"),
            *_operators("buffer", "bounded_buffer", "observe_on"),
            *_operators("iterate", "to_async_iterable", "queue"),
            *_operators("data", "data", "map_data"),
            *_operators("decode", "decode", "map_convert"),
            *_operators("map_async", "map_async", "concat_map_future"),
            *_operators("map_async x16", "map_async_16", "merge_map_future"),
            *_operators("publish", "publish_to", "merge_map_publish"),
            *_operators("source", "from_async_iterable", "from_iterable"),
            *_operators("on the loop", "on_loop", "observe_on"),
            *_operators("traced", "traced", "do_action"),
            *_operators("conflate", "conflate", "observe_on"),
            *_operators("ack", "ack_after", "concat_map_future"),
            *_operators("switch", "switch_map_async", "switch_map_future"),
            *_operators("exhaust", "exhaust_map_async", "exhaust_map_future"),
            *_operators("share", "share", "rx_share"),
            *_operators("last value", "last_value", "replay"),
            *_operators("retry", "retry_with_backoff", "retry"),
            *_operators("gaps", "detect_gaps", "do_action"),
            *_operators("dedupe", "dedupe", "distinct"),
            *_operators("rate", "rate_limit", "throttle_first"),
            *_operators("by channel", "by_channel", "group_by"),
            *_operators("statistics", "window_stats", "buffer_with_time"),
            *_operators("batches", "buffer_bounded", "buffer_time_or_count"),
            *_operators("silence", "watch_quiet", "timeout"),
        ),
        {"messages": 50_000},
    ),
    _typed("msgspec"),
    _typed("pydantic"),
    Group(
        "validation",
        "A pydantic model of 55 bytes of JSON, by itself",
        tuple(
            Case(label, "validation", "msgspec, validate_python", {"kind": kind})
            for label, kind in _VALIDATION.items()
        ),
        {"messages": 200_000},
    ),
    Group(
        "compress",
        "Compressed frames, 10 a frame",
        (
            Case("bare, plain", "bare", "bare, plain"),
            Case("bare, compressed", "bare", "bare, plain", {"compress": True}),
            Case("rx_cometd, plain", "rx_cometd", "bare, plain"),
            Case("rx_cometd, compressed", "rx_cometd", "bare, compressed", {"compress": True}),
        ),
        {"kind": "receive", "messages": 100_000, "per_frame": 10, **_JSON},
    ),
    _loops(1),
    _loops(100),
    _varied(
        "loops-publish",
        "Event loops, publish one at a time",
        {loop: {"loop": loop} for loop in _LOOPS},
        kind="publish",
        messages=5_000,
    ),
)
