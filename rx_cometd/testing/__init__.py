"""A Bayeux server in the process, with faults on demand, for demos and tests.

pytest imports this package at its start, for the sake of the fixture ``bayeux_server`` and
whether a test wants it or not. So the server is imported when it is first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rx_cometd.testing.authentication import (
        Authentication,
        BearerAuthentication,
        HttpRefusal,
        TokenAuthentication,
    )
    from rx_cometd.testing.exchange import Exchange
    from rx_cometd.testing.fault_proxy import FaultProxy
    from rx_cometd.testing.faults import Faults
    from rx_cometd.testing.options import Options, ServerOptions, Verdict
    from rx_cometd.testing.replay import ReplayLog
    from rx_cometd.testing.salesforce import SalesforceAuthentication
    from rx_cometd.testing.salesforce_org import SalesforceOrg
    from rx_cometd.testing.server import BayeuxServer
    from rx_cometd.testing.server_extension import InFlight, ServerExtension
    from rx_cometd.testing.services import ServiceFailure, ServiceRequest
    from rx_cometd.testing.session import ServerSession
    from rx_cometd.testing.timesync import TimesyncExtension
    from rx_cometd.testing.wire import Event, Json

__all__ = [
    "Authentication",
    "BayeuxServer",
    "BearerAuthentication",
    "Event",
    "Exchange",
    "FaultProxy",
    "Faults",
    "HttpRefusal",
    "InFlight",
    "Json",
    "Options",
    "ReplayLog",
    "SalesforceAuthentication",
    "SalesforceOrg",
    "ServerExtension",
    "ServerOptions",
    "ServerSession",
    "ServiceFailure",
    "ServiceRequest",
    "TimesyncExtension",
    "TokenAuthentication",
    "Verdict",
]

_HOMES: Final = {
    "TimesyncExtension": "timesync",
    "Exchange": "exchange",
    "ServerExtension": "server_extension",
    "InFlight": "server_extension",
    "SalesforceAuthentication": "salesforce",
    "SalesforceOrg": "salesforce_org",
    "ReplayLog": "replay",
    "TokenAuthentication": "authentication",
    "HttpRefusal": "authentication",
    "BearerAuthentication": "authentication",
    "Authentication": "authentication",
    "BayeuxServer": "server",
    "Event": "wire",
    "FaultProxy": "fault_proxy",
    "Faults": "faults",
    "Json": "wire",
    "Options": "options",
    "ServerOptions": "options",
    "ServerSession": "session",
    "ServiceFailure": "services",
    "ServiceRequest": "services",
    "Verdict": "options",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
