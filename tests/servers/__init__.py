"""Real Bayeux servers, and reference clients, for the tests.

`python -m tests.servers` builds and installs them all.
"""

from tests.servers.installation import (
    KINDS,
    Kind,
    UnavailableError,
    available,
    installed,
    requires,
)
from tests.servers.kinds import FayeServer, Java9Server, JavaServer, NodeServer
from tests.servers.process import (
    Capabilities,
    ControlError,
    Counters,
    ServerProcess,
    StartError,
)
from tests.servers.reserved_port import ReservedPort

__all__ = [
    "KINDS",
    "Capabilities",
    "ControlError",
    "Counters",
    "FayeServer",
    "Java9Server",
    "JavaServer",
    "Kind",
    "NodeServer",
    "ReservedPort",
    "ServerProcess",
    "StartError",
    "UnavailableError",
    "available",
    "installed",
    "requires",
]
