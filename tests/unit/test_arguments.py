"""A wrong argument is refused at once, by name, wherever it is given: operators and extensions.

The arguments of `Client` are in ``session/test_arguments.py``.
"""

from __future__ import annotations

import inspect
import logging
import math
from typing import TYPE_CHECKING, Any, Final

import pytest

from rx_cometd import extensions, operators
from rx_cometd.exceptions import ClientError
from rx_cometd.extensions import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable


class Somebody:
    """What `publish_to` publishes with."""

    async def publish(self, channel: str, data: Any, /) -> Any: ...


async def work(item: Any) -> Any:
    return item


def plain(item: Any = None) -> Any:
    return item


#: What each kind of argument is never.
COUNT: Final = ("1", 1.5, True, math.nan, 0, -1, object())
BOUND: Final = ("1", 1.5, True, math.nan, object())
SECONDS: Final = ("1", True, math.nan, 0, -1, object())
SECONDS_OR_NONE_AT_ALL: Final = ("1", True, math.nan, -1, object())
FRACTION: Final = ("1", True, None, math.nan, -0.1, 1.1)
CHOICE: Final = (1, 0, None, "yes", object())
FUNCTION: Final = (1, "name", object(), work)
WORK: Final = (1, "name", object())
POLICY: Final = ("error", 1, object())
SCHEDULER: Final = (1, "loop", object())
ONE_OF: Final[tuple[Any, ...]] = ("no such", None, 1, [])
TEMPLATES: Final = ("/a", None, 1)
PROVIDER: Final = ("name", 1, object())
ADDRESS: Final = ("", "/cometd", "example.com", "ftp://example.com", None, 1)
REPLAY_ID: Final[tuple[Any, ...]] = (1.5, True, object(), [])

_BUFFERED: Final = {"max_pending_count": BOUND, "overflow": POLICY}
_WORKING: Final = {"errors": ONE_OF, "dead_letter": FUNCTION, "timeout": SECONDS}

#: For each function, arguments that are right, and by argument those that are wrong.
ARGUMENTS: Final[dict[str, tuple[dict[str, Any], dict[str, tuple[Any, ...]]]]] = {
    "ack_after": (
        {"handler": work},
        {"handler": WORK, "max_concurrency": COUNT, "ordered": CHOICE, **_WORKING, **_BUFFERED},
    ),
    "bounded_buffer": (
        {},
        {**_BUFFERED, "on_overflow": FUNCTION, "key": FUNCTION, "scheduler": SCHEDULER},
    ),
    "buffer_bounded": (
        {"count": 1},
        {"count": COUNT, "seconds": SECONDS, "scheduler": SCHEDULER},
    ),
    "by_channel": ({}, {"max_groups": COUNT}),
    "conflate": ({}, {"key": FUNCTION, "scheduler": SCHEDULER}),
    "data": ({}, {}),
    "decode": ({"target": dict}, {"target": (1, "name", work)}),
    "dedupe": (
        {"key": plain},
        {"key": FUNCTION, "window": SECONDS, "max_keys": COUNT, "scheduler": SCHEDULER},
    ),
    "detect_gaps": (
        {"sequence": plain, "on_gap": plain},
        {
            "sequence": FUNCTION,
            "on_gap": FUNCTION,
            "key": FUNCTION,
            "max_keys": COUNT,
            "max_gaps": COUNT,
        },
    ),
    "exhaust_map_async": ({"fn": work}, {"fn": WORK, **_WORKING}),
    "from_async_iterable": ({"iterable": plain}, {"iterable": (1, "name", [1])}),
    "last_value": (
        {},
        {
            "by": FUNCTION,
            "max_keys": COUNT,
            "linger": SECONDS_OR_NONE_AT_ALL,
            "scheduler": SCHEDULER,
        },
    ),
    "map_async": (
        {"fn": work},
        {"fn": WORK, "max_concurrency": COUNT, "ordered": CHOICE, **_WORKING, **_BUFFERED},
    ),
    "on_loop": ({}, {"source": (1, "name", object())}),
    "publish_to": (
        {"client": Somebody(), "channel": "/a"},
        {
            "client": (1, None, "http://example.com"),
            "channel": ("a", 1, "/a/*", "/meta/x", work),
            "max_in_flight": COUNT,
            "errors": ONE_OF,
            **_BUFFERED,
        },
    ),
    "rate_limit": (
        {"count": 1, "seconds": 1},
        {"count": COUNT, "seconds": SECONDS, **_BUFFERED, "scheduler": SCHEDULER},
    ),
    "retry_with_backoff": (
        {},
        {
            "count": COUNT,
            "delays": FUNCTION,
            "jitter": FRACTION,
            "errors": (1, "name", work),
            "reset_on_success": CHOICE,
            "scheduler": SCHEDULER,
        },
    ),
    "share": (
        {},
        {
            "reset_on_error": CHOICE,
            "reset_on_complete": CHOICE,
            "linger": SECONDS_OR_NONE_AT_ALL,
            "scheduler": SCHEDULER,
        },
    ),
    "switch_map_async": ({"fn": work}, {"fn": WORK, **_WORKING}),
    "to_async_iterable": (
        {},
        {**_BUFFERED, "on_overflow": FUNCTION, "key": FUNCTION, "scheduler": SCHEDULER},
    ),
    "traced": (
        {},
        {
            "templates": TEMPLATES,
            "destination": FUNCTION,
            "tracer_provider": PROVIDER,
            "meter_provider": PROVIDER,
        },
    ),
    "watch_quiet": (
        {"seconds": 1},
        {"seconds": SECONDS, "fail": CHOICE, "scheduler": SCHEDULER},
    ),
    "window_stats": (
        {"seconds": 1},
        {"seconds": SECONDS, "value": FUNCTION, "scheduler": SCHEDULER},
    ),
    "ack": ({}, {"deduplicate": CHOICE}),
    "bearer_auth": (
        {"provider": plain},
        {"provider": ("token", None, 1), "margin": SECONDS_OR_NONE_AT_ALL},
    ),
    "binary": ({}, {}),
    "cumulocity": ({"base_url": "", "user": "me", "password": "pw"}, {"base_url": ADDRESS}),
    "genesys": ({"base_url": "", "api_key": "k", "http_session": None}, {"base_url": ADDRESS}),
    "log_payloads": ({}, {"logger": ("name", 1), "level": ("no such level", None, 1.5, True)}),
    "replay": (
        {"store": MemoryStore()},
        {
            "store": ("markers.db", None, object()),
            "initial": (*REPLAY_ID, None),
            "fallback": REPLAY_ID,
            "channels": ("/a", 1),
            "on_fallback": FUNCTION,
        },
    ),
    "salesforce": ({"login_url": "", "auth": None}, {"login_url": ADDRESS}),
    "salesforce_auth": (
        {"login_url": "https://example.com", "client_id": "id", "client_secret": "s"},
        {"login_url": ADDRESS, "lifetime": SECONDS},
    ),
    "servicenow": ({"instance_url": "", "http_session": None}, {"instance_url": ADDRESS}),
    "telemetry": (
        {},
        {
            "templates": TEMPLATES,
            "tracer_provider": PROVIDER,
            "meter_provider": PROVIDER,
            "durations": CHOICE,
        },
    ),
    "timestamp": ({}, {"iso": CHOICE}),
    "timesync": ({}, {}),
    "trace_context": ({}, {}),
    "traced_store": (
        {"store": MemoryStore()},
        {
            "store": ("markers.db", None, object()),
            "templates": TEMPLATES,
            "tracer_provider": PROVIDER,
        },
    ),
}

#: Arguments that are handed on to others, which check them: those of `Client`, and credentials.
HANDED_ON: Final = {
    "cumulocity": {"tenant", "user", "password", "token", "xsrf_token", "connection_timeout"},
    "genesys": {"api_key", "http_session", "connection_timeout"},
    "salesforce": {
        "auth",
        "store",
        "version",
        "initial",
        "fallback",
        "extensions",
        "connection_timeout",
    },
    "salesforce_auth": {
        "client_id",
        "client_secret",
        "private_key",
        "username",
        "audience",
        "http_session",
    },
    "servicenow": {"http_session", "user_token", "connection_timeout"},
}


def function_named(name: str) -> Callable[..., Any]:
    function: Callable[..., Any] = getattr(
        operators if hasattr(operators, name) else extensions, name
    )
    return function


def call(name: str, given: dict[str, Any]) -> None:
    """Call a function with arguments that are given by name."""
    function = function_named(name)
    parameters = inspect.signature(function).parameters.values()
    first = [p.name for p in parameters if p.kind is p.POSITIONAL_ONLY]
    function(
        *(given[n] for n in first if n in given),
        **{n: v for n, v in given.items() if n not in first},
    )


WRONG: Final = [
    pytest.param(name, argument, value, id=f"{name}-{argument}-{number}")
    for name, (_, wrong) in ARGUMENTS.items()
    for argument, values in wrong.items()
    for number, value in enumerate(values)
]


@pytest.mark.parametrize(("name", "argument", "value"), WRONG)
def test_a_wrong_argument_is_refused_by_name(name: str, argument: str, value: object) -> None:
    right, _ = ARGUMENTS[name]
    with pytest.raises((TypeError, ValueError, ClientError), match=rf"\b{argument}\b"):
        call(name, {**right, argument: value})


def test_every_argument_is_known_here() -> None:
    functions = {
        name
        for package in (operators, extensions)
        for name in package.__all__
        if inspect.isfunction(getattr(package, name))
    }
    assert functions == set(ARGUMENTS)
    for name, (_, wrong) in ARGUMENTS.items():
        parameters = set(inspect.signature(function_named(name)).parameters)
        assert parameters == set(wrong) | HANDED_ON.get(name, set()), name


#: Those that need no server to be named.
COMPLETE: Final = [name for name, (right, _) in ARGUMENTS.items() if "" not in right.values()]


@pytest.mark.parametrize("name", COMPLETE)
def test_what_is_right_is_taken(name: str) -> None:
    right, _ = ARGUMENTS[name]
    call(name, right)


def test_where_payloads_are_logged_can_be_chosen() -> None:
    extensions.log_payloads(logging.getLogger("somewhere"), logging.INFO)
