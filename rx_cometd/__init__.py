"""CometD channels as ReactiveX observables.

::

    async with Client("https://example.com/cometd") as client:
        client.channel("/stock/*").pipe(ops.map(price)).subscribe(print)
        reply = await client.publish("/orders", {"buy": 1})
"""

from rx_cometd._flow.flow import Overflow
from rx_cometd.channel import Channel
from rx_cometd.client import Client
from rx_cometd.connection_types import ConnectionType
from rx_cometd.exceptions import (
    AuthenticationError,
    BufferOverflowError,
    ClientError,
    ClientInvalidOperation,
    CometDError,
    ExtensionError,
    InvalidChannelError,
    ProtocolError,
    ServerError,
    TransportConnectionClosed,
    TransportError,
    TransportTimeoutError,
)
from rx_cometd.extension import AuthExtension, Extension, Payload
from rx_cometd.messages import Message
from rx_cometd.states import ClientState, StateChange
from rx_cometd.statistics import Statistics

__version__ = "0.1.0"

__all__ = [
    "AuthExtension",
    "AuthenticationError",
    "BufferOverflowError",
    "Channel",
    "Client",
    "ClientError",
    "ClientInvalidOperation",
    "ClientState",
    "CometDError",
    "ConnectionType",
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
]
