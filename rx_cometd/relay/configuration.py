"""Relays as a TOML file describes them."""

from __future__ import annotations

import os
import string
import tomllib
from typing import TYPE_CHECKING, Any, Final, cast

from rx_cometd.exceptions import CometDError
from rx_cometd.extensions import ReplayOption
from rx_cometd.relay.destinations import sink_for
from rx_cometd.relay.extras import load
from rx_cometd.relay.relay import Relay
from rx_cometd.relay.shard import Shard

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from rx_cometd.extensions import ReplayId

__all__ = ["relays_of"]

#: What a file may say at its top for all sources, and each source for itself.
_COMMON: Final = {
    "to": str,
    "broker": dict,
    "template": str,
    "dead_letter": str,
    "initial": (str, int),
    "lease": (int, float),
    "shard": str,
    "max_pending_count": int,
    "max_batch": int,
    "drain": (int, float),
    "traced": bool,
    "client": dict,
}
_OF_A_SOURCE: Final = {"name": str, "url": str, "channels": list, **_COMMON}
_INITIAL: Final = {"new": ReplayOption.NEW_EVENTS, "all": ReplayOption.ALL_EVENTS}


def relays_of(path: Path, environment: Mapping[str, str] | None = None) -> list[Relay]:
    """Make the relays of a file.

    Each ``[[source]]`` is a relay; what stands above the first is for all. ``${NAME}`` in a text
    is taken from the environment, so that credentials need not be in the file.

    Args:
        path: The file.
        environment: Where names are looked up, instead of the process's environment.

    Raises:
        ValueError: The file is no TOML, or says what makes no sense; the text says where.
        ImportError: The package for a broker, or for ``traced``, is not installed.
        OSError: It cannot be read.
    """
    known = os.environ if environment is None else environment
    try:
        told = _expanded(tomllib.loads(path.read_text(encoding="utf-8")), known)
    except ValueError as error:  # it is no TOML, or no text; or a name is not known
        raise ValueError(f"{path}: {error}") from error
    sources = told.pop("source", [])
    if not isinstance(sources, list) or not sources:
        raise ValueError(f"{path}: there is no [[source]]")
    _check(told, _COMMON, str(path))
    relays: list[Relay] = []
    for number, source in enumerate(cast("list[dict[str, Any]]", sources), 1):
        where = f"{path}: source {number}"
        _check(source, _OF_A_SOURCE, where)
        try:
            relays.append(_relay({**told, **source}))
        except KeyError as missing:
            raise ValueError(f"{where}: it needs {missing}") from None
        except TypeError as error:  # an argument that the broker's sink, or the client, has not
            raise ValueError(f"{where}: {str(error).replace('.__init__()', '')}") from error
        except (CometDError, ValueError) as error:
            raise ValueError(f"{where}: {error}") from error
    names = [relay.name for relay in relays]
    if len(set(names)) < len(names):
        raise ValueError(f"{path}: two sources have the same name, but markers belong to a name")
    return relays


def _relay(told: dict[str, Any]) -> Relay:
    name, url, channels = told.pop("name"), told.pop("url"), told.pop("channels")
    sink = sink_for(told.pop("to"), name, **told.pop("broker", {}))
    if told.pop("traced", False):
        sink = load("tracing", "traced_sink")(sink)
    initial: ReplayId = told.pop("initial", "new")
    shard = told.pop("shard", None)
    return Relay(
        url,
        channels,
        sink,
        name=name,
        initial=_INITIAL.get(str(initial), initial),
        shard=None if shard is None else Shard.parse(shard),
        **told.pop("client", {}),
        **told,
    )


def _check(told: Mapping[str, Any], known: Mapping[str, Any], where: str) -> None:
    for name, value in told.items():
        if name not in known:
            raise ValueError(f"{where}: {name!r} is unknown; known are {', '.join(sorted(known))}")
        # A boolean is an integer to Python, but none in a file.
        if not isinstance(value, known[name]) or isinstance(value, bool) != (known[name] is bool):
            raise ValueError(f"{where}: {name} cannot be {value!r}")


def _expanded(value: Any, environment: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        try:
            return string.Template(value).substitute(environment)
        except KeyError as missing:
            raise ValueError(f"the environment has no {missing}") from None
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return {name: _expanded(inner, environment) for name, inner in items}
    if not isinstance(value, list):
        return value
    values: list[Any] = [*value]  # pyright: ignore[reportUnknownVariableType] - JSON's
    return [_expanded(inner, environment) for inner in values]
