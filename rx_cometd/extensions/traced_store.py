"""A store of replay markers whose writes are spans."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, TypeVar

from rx_cometd._flow.arguments import check_methods
from rx_cometd._flow.extras import how_to_install

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.trace import TracerProvider

__all__ = ["traced_store"]

_S = TypeVar("_S")


def traced_store(
    store: _S,
    *,
    templates: Iterable[str] = (),
    tracer_provider: TracerProvider | None = None,
) -> _S:
    """Record each write of a marker as an OpenTelemetry span, ``settle {destination}``.

    Its ``messaging.message.id`` is the replay id: that event, and all before it, is settled.

    Args:
        store: Any store that `replay` takes.
        templates: Templates of channels, such as ``/user/{id}/inbox``, for the names of spans.
        tracer_provider: Where spans go; OpenTelemetry's global provider if ``None``.

    Returns:
        A store that does what the given one does, and has all its other attributes.

    Raises:
        ImportError: The package ``opentelemetry-api`` is not installed (``rx-cometd[otel]``).
        TypeError: ``store`` is not a store, or ``templates`` not a list of templates.
        InvalidChannelError: A template is not a valid channel name.

    Example:
        >>> from rx_cometd.extensions import MemoryStore
        >>> store = traced_store(MemoryStore())
        >>> store.save("/event/Order__e", 82)
        >>> store.load("/event/Order__e")
        82
    """
    try:
        from rx_cometd._flow.open_telemetry import (  # noqa: PLC0415 - an extra
            MESSAGE_ID,
            SETTLE,
            Destinations,
            Tracing,
        )
    except ImportError as error:
        text = f"traced_store needs OpenTelemetry: {how_to_install('otel')}"
        raise ImportError(text) from error
    check_methods("store", store, "load", "save")
    tracing = Tracing(Destinations(templates), tracer_provider)
    original: Any = store

    def settling(channel: str, replay_id: object) -> Any:
        return tracing.span(SETTLE, channel, more={MESSAGE_ID: str(replay_id)})

    def save(channel: str, replay_id: Any, *, reset: bool = False) -> None:
        with settling(channel, replay_id):
            original.save(channel, replay_id, reset=reset)

    def save_at_once(channel: str, replay_id: Any, *, reset: bool = False) -> None:
        with settling(channel, replay_id):
            original.save_at_once(channel, replay_id, reset=reset)

    async def save_async(channel: str, replay_id: Any, *, reset: bool = False) -> None:
        with settling(channel, replay_id):
            await original.save(channel, replay_id, reset=reset)

    asynchronous = inspect.iscoroutinefunction(original.save)
    replaced = {"save": save_async if asynchronous else save}
    if hasattr(original, "save_at_once"):
        replaced["save_at_once"] = save_at_once
    return _Traced(original, replaced)  # type: ignore[return-value]


class _Traced:
    """The given store, but for what is replaced."""

    def __init__(self, store: Any, replaced: dict[str, Any]) -> None:
        self._store = store
        # Its methods become attributes here, for that is how `isinstance` tells a `LockableStore`:
        # since Python 3.12 it does not ask `__getattr__`.
        names = [name for name in dir(store) if not name.startswith("_")]
        methods = {name: getattr(store, name) for name in names}
        self.__dict__.update(methods | replaced)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)
