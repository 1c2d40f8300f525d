"""The four real servers."""

import os
from collections.abc import Sequence
from typing import ClassVar, Final

from tests.servers.installation import Kind, installed
from tests.servers.process import Capabilities, ServerProcess

# Two cores and many short lives: the JVM should start fast rather than run fast.
_JVM: Final = (
    *("java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto"),
    *("-Xmx512m", "-Dorg.eclipse.jetty.LEVEL=WARN"),
)


class JavaServer(ServerProcess):
    """CometD Java 8 on Jetty 12, the reference server.

    Options are init parameters of CometD, times in milliseconds: `timeout`, `interval`,
    `maxInterval`, `sweepPeriod`, `handshakeReconnect`, `maxQueue`, `metaConnectDeliverOnly`,
    `allowMessageDeliveryDuringHandshake`, `maxSessionsPerBrowser`, `multiSessionInterval`,
    `maxMessageSize` and `ws.maxMessageSize` (16 MiB unless told), `ws.idleTimeout`, ...;
    `transports` takes connection types with commas, "websocket,long-polling" unless told.
    """

    kind: ClassVar[Kind] = "java"
    capabilities: ClassVar = Capabilities(
        disconnect=True,
        deliver=True,
        echo=True,
        remote_call=True,
        ack=True,
        binary=True,
        timesync=True,
        denial_advice=True,
        cookies=True,
        unknown_client=402,
        milliseconds=True,
    )

    def command(self) -> Sequence[str]:
        target = installed(self.kind) / "target"
        classpath = f"{target}/bayeux-server.jar{os.pathsep}{target}/lib/*"
        return (*_JVM, "-cp", classpath, "rxcometd.tests.TestServer")

    @property
    def connection_types(self) -> tuple[str, ...]:
        return tuple(str(self.options.get("transports", "websocket,long-polling")).split(","))


class Java9Server(JavaServer):
    """CometD Java 9 on Jetty 12.1, with the options of CometD 8."""

    kind: ClassVar[Kind] = "java9"


class _NodeProcess(ServerProcess):
    """A server.js run by Node.js."""

    kind: ClassVar[Kind]

    def command(self) -> Sequence[str]:
        return ("node", str(installed(self.kind) / "server.js"))


class NodeServer(_NodeProcess):
    """cometd-nodejs-server 1.2.

    Options are those of `createCometDServer`, times in milliseconds: `timeout`, `interval`,
    `maxInterval`, `sweepPeriod`, `maxSessionsPerBrowser`, `multiSessionInterval`, ...
    """

    kind: ClassVar[Kind] = "node"
    capabilities: ClassVar = Capabilities(
        disconnect=True,
        deliver=True,
        echo=True,
        remote_call=False,
        ack=True,
        binary=False,
        timesync=False,
        denial_advice=False,
        cookies=True,
        unknown_client=402,
        milliseconds=True,
    )

    @property
    def connection_types(self) -> tuple[str, ...]:
        return ("long-polling",)


class FayeServer(_NodeProcess):
    """Faye 1.4.

    Options are those of `NodeAdapter`, times in seconds: `timeout` (60 is the default of the
    protocol, a session ends after twice as much), `ping`, `mount` ("/cometd" here).
    """

    kind: ClassVar[Kind] = "faye"
    capabilities: ClassVar = Capabilities(
        disconnect=False,
        deliver=False,
        echo=False,
        remote_call=False,
        ack=False,
        binary=False,
        timesync=False,
        denial_advice=False,
        cookies=False,
        unknown_client=401,
        milliseconds=False,
    )

    @property
    def connection_types(self) -> tuple[str, ...]:
        return ("websocket", "long-polling")
