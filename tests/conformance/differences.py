"""How the servers differ: all that the scenarios need to know about one of them, as data.

A scenario says with `needs` which of these facts it takes, and runs against the servers that
have them; what a server does instead is an attribute here, never an ``if`` on its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from rx_cometd import ConnectionType
from tests.servers import FayeServer, JavaServer, NodeServer

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DIFFERENCES", "Differences", "Name", "Target", "targets"]

Name = Literal["embedded", "java", "java9", "node", "faye"]

_BOTH: Final = (ConnectionType.WEBSOCKET, ConnectionType.LONG_POLLING)


@dataclass(frozen=True, kw_only=True)
class Differences:
    """What a server does, beside what all of them do.

    Attributes:
        connection_types: The transports that it has, of those that the client has.
        faulty: It can be made to break the rules: lose replies, answer 503, send garbage.
            Scenarios that need this run against the embedded server alone, since a real one
            cannot be made to do it; over a cut or silent link they all run.
        disconnect: It can end a session and tell the client so.
        sends_away: It then advises not to come back.
        deliver: It can send a message to one session, without a subscription.
        echo: ``/service/echo`` sends data back to its sender.
        remote_call: That answer carries the id of the request.
        ack: It has the acknowledged messages extension.
        timesync: It has the time synchronisation extension.
        binary: Its own publishes can be binary; relaying binary messages takes no extension.
        greets: It can deliver messages to a session while that is being made.
        denies_for_good: A denied handshake comes with ``reconnect: none``. Faye advises a
            handshake, so that the client tries until its ``connection_timeout``.
        denial_advice: A denial can carry any advice.
        only_long_polling: The options that leave it without WebSocket, ``None`` if there are none.
        only_websocket: Those that leave it without long-polling.
        one_copy: A message that matches several subscriptions of a session is sent once;
            cometd-nodejs-server sends a copy for each.
        unknown_client: The error code for a client id that the server does not know.
        browsers: It tells clients that share cookies to poll, all but one.
        small: The options that have it take messages of 10,000 bytes at most.
        handshake_reconnect: The options that have it tell its ``maxInterval``.
        deliver_only: Those that have it send data with connect replies only.
        greets_early: Those that have it deliver with the handshake reply.
        notices_cuts: Over which transports it learns at once that a connection is gone.
            Otherwise it learns it when it writes the next time, and what it writes is lost,
            unless there is the ack extension.
        keeps_order: Over which transports a session gets in order what it publishes to itself. Over
            a WebSocket two threads of CometD's Java servers take from the queue of a session, the
            one that processes what it sent and the one that delivers, and what they took is queued
            again in any order: a raw client was sent 2, 3, 4, the replies to all, and then 0 and 1,
            twice in 46,210 times on a busy machine. With acknowledgements the order is certain.
        cookies: Over long-polling a session is bound to a cookie.
        one_path: Elsewhere than at its own path it answers 404.
    """

    connection_types: tuple[ConnectionType, ...] = _BOTH
    faulty: bool = False
    disconnect: bool = True
    sends_away: bool = True
    deliver: bool = True
    echo: bool = True
    remote_call: bool = True
    ack: bool = True
    timesync: bool = True
    binary: bool = True
    greets: bool = True
    denies_for_good: bool = True
    denial_advice: bool = True
    only_long_polling: Mapping[str, Any] | None = None
    only_websocket: Mapping[str, Any] | None = None
    one_copy: bool = True
    unknown_client: int = 402
    browsers: bool = True
    small: Mapping[str, Any] | None = None
    handshake_reconnect: Mapping[str, Any] | None = None
    deliver_only: Mapping[str, Any] | None = None
    greets_early: Mapping[str, Any] | None = None
    notices_cuts: tuple[ConnectionType, ...] = (ConnectionType.WEBSOCKET,)
    keeps_order: tuple[ConnectionType, ...] = _BOTH
    cookies: bool = True
    one_path: bool = True

    @property
    def advises_denied(self) -> bool:
        """Whether a denied client can be advised to try again."""
        return self.denial_advice or not self.denies_for_good


_JAVA: Final = Differences(
    keeps_order=(ConnectionType.LONG_POLLING,),
    only_long_polling={"transports": "long-polling"},
    only_websocket={"transports": "websocket"},
    handshake_reconnect={"handshakeReconnect": True},
    deliver_only={"metaConnectDeliverOnly": True},
    greets_early={"allowMessageDeliveryDuringHandshake": True},
    small={"maxMessageSize": 10_000, "ws.maxMessageSize": 10_000},
    remote_call=JavaServer.capabilities.remote_call,
    ack=JavaServer.capabilities.ack,
    unknown_client=JavaServer.capabilities.unknown_client,
)

DIFFERENCES: Final[dict[Name, Differences]] = {
    "embedded": Differences(
        faulty=True,
        notices_cuts=_BOTH,
        cookies=False,
        binary=False,
        browsers=False,
        only_long_polling={"connection_types": [ConnectionType.LONG_POLLING]},
        only_websocket={"connection_types": [ConnectionType.WEBSOCKET]},
        handshake_reconnect={"handshake_reconnect": True},
        deliver_only={"meta_connect_deliver_only": True},
        greets_early={"deliver_during_handshake": True},
        small={"max_message_size": 10_000},
    ),
    "java": _JAVA,
    "java9": _JAVA,
    "node": Differences(
        connection_types=(ConnectionType.LONG_POLLING,),
        remote_call=NodeServer.capabilities.remote_call,
        timesync=NodeServer.capabilities.timesync,
        binary=NodeServer.capabilities.binary,
        sends_away=False,
        denial_advice=False,
        only_long_polling={},
        one_copy=False,
        one_path=False,
    ),
    "faye": Differences(
        disconnect=FayeServer.capabilities.disconnect,
        deliver=FayeServer.capabilities.deliver,
        echo=FayeServer.capabilities.echo,
        remote_call=FayeServer.capabilities.remote_call,
        ack=FayeServer.capabilities.ack,
        timesync=FayeServer.capabilities.timesync,
        binary=FayeServer.capabilities.binary,
        unknown_client=FayeServer.capabilities.unknown_client,
        greets=False,
        denies_for_good=False,
        denial_advice=False,
        browsers=False,
        cookies=FayeServer.capabilities.cookies,
    ),
}


@dataclass(frozen=True)
class Target:
    """One server, over one of its transports."""

    name: Name
    connection_type: ConnectionType

    def __str__(self) -> str:
        return f"{self.name}-{self.connection_type.value}"

    @property
    def differences(self) -> Differences:
        return DIFFERENCES[self.name]

    @property
    def websocket(self) -> bool:
        return self.connection_type is ConnectionType.WEBSOCKET


def targets(needs: tuple[str, ...]) -> list[Target]:
    """Give the servers, over each transport, that have what a scenario needs.

    A fact is had that is neither ``False`` nor ``None``. Beside those of `Differences`, a need
    can be ``websocket``, ``long_polling``, or ``several_types`` for a server that has both
    (then once per server).
    """
    found: list[Target] = []
    for name, differences in DIFFERENCES.items():
        kinds = [k for k in differences.connection_types if _suits(differences, k, needs)]
        found += [Target(name, kind) for kind in kinds]
    if not found:
        raise ValueError(f"no server has {needs}")
    return found


def _suits(
    differences: Differences, connection_type: ConnectionType, needs: tuple[str, ...]
) -> bool:
    facts = {
        "websocket": connection_type is ConnectionType.WEBSOCKET,
        "long_polling": connection_type is ConnectionType.LONG_POLLING,
        "several_types": len(differences.connection_types) > 1
        and connection_type is differences.connection_types[0],
    }
    values = [facts[need] if need in facts else getattr(differences, need) for need in needs]
    return all(value is not None and value is not False for value in values)
