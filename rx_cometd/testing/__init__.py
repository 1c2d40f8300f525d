"""A Bayeux server in the process, with faults on demand, for demos and tests."""

from rx_cometd.testing.faults import Faults
from rx_cometd.testing.options import Options, ServerOptions, Verdict
from rx_cometd.testing.server import BayeuxServer
from rx_cometd.testing.services import ServiceRequest
from rx_cometd.testing.session import ServerSession
from rx_cometd.testing.wire import Event, Json

__all__ = [
    "BayeuxServer",
    "Event",
    "Faults",
    "Json",
    "Options",
    "ServerOptions",
    "ServerSession",
    "ServiceRequest",
    "Verdict",
]
