"""CometD channels as ReactiveX observables.

::

    async with Client("https://example.com/cometd") as client:
        client.channel("/stock/*").pipe(ops.map(price)).subscribe(print)
        reply = await client.publish("/orders", {"buy": 1})

What is imported from here is loaded when it is first asked for: pytest imports the package at
every start, for the sake of its fixture, and is not to wait for aiohttp and ReactiveX.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rx_cometd._flow.flow import Overflow
    from rx_cometd._protocol.raw_data import raw_json_loads
    from rx_cometd.channel import Channel
    from rx_cometd.client import Client
    from rx_cometd.connection_types import ConnectionType
    from rx_cometd.exceptions import (
        AuthenticationError,
        BufferOverflowError,
        ClientError,
        ClientInvalidOperation,
        CometDError,
        DecodeError,
        ExtensionError,
        InvalidChannelError,
        ProtocolError,
        ServerError,
        TransportConnectionClosed,
        TransportError,
        TransportTimeoutError,
    )
    from rx_cometd.extension import AuthExtension, Extension, Payload
    from rx_cometd.messages import Event, Message
    from rx_cometd.states import ClientState, StateChange
    from rx_cometd.statistics import BufferStatistics, ChannelStatistics, Statistics

__version__ = "1.0.0rc1"

__all__ = [
    "AuthExtension",
    "AuthenticationError",
    "BufferOverflowError",
    "BufferStatistics",
    "Channel",
    "ChannelStatistics",
    "Client",
    "ClientError",
    "ClientInvalidOperation",
    "ClientState",
    "CometDError",
    "ConnectionType",
    "DecodeError",
    "Event",
    "Extension",
    "ExtensionError",
    "InvalidChannelError",
    "Message",
    "Overflow",
    "Payload",
    "ProtocolError",
    "ServerError",
    "StateChange",
    "Statistics",
    "TransportConnectionClosed",
    "TransportError",
    "TransportTimeoutError",
    "__version__",
    "raw_json_loads",
]

_HOMES: Final = {
    "AuthExtension": "extension",
    "AuthenticationError": "exceptions",
    "BufferOverflowError": "exceptions",
    "BufferStatistics": "statistics",
    "Channel": "channel",
    "ChannelStatistics": "statistics",
    "Client": "client",
    "ClientError": "exceptions",
    "ClientInvalidOperation": "exceptions",
    "ClientState": "states",
    "CometDError": "exceptions",
    "ConnectionType": "connection_types",
    "DecodeError": "exceptions",
    "Event": "messages",
    "Extension": "extension",
    "ExtensionError": "exceptions",
    "InvalidChannelError": "exceptions",
    "Message": "messages",
    "Overflow": "_flow.flow",
    "Payload": "extension",
    "ProtocolError": "exceptions",
    "ServerError": "exceptions",
    "StateChange": "states",
    "Statistics": "statistics",
    "TransportConnectionClosed": "exceptions",
    "TransportError": "exceptions",
    "TransportTimeoutError": "exceptions",
    "raw_json_loads": "_protocol.raw_data",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value  # found without this function from now on
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
