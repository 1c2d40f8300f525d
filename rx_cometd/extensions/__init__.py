"""The ready-made extensions, to be given to a `Client`.

===============  ======================================================================
made by          what it does
===============  ======================================================================
`ack`            the server keeps what was not acknowledged, and sends it again
`replay`         goes on after the last event processed, over restarts too (Salesforce)
`timesync`       how far the server's clock is from ours
`timestamp`      the time in every message sent
`binary`         ``bytes`` as data
`bearer_auth`    tokens in the ``Authorization`` header, renewed in time
`log_payloads`   what travels, in the log, without secrets
`trace_context`  the trace that a message belongs to, in its ``ext``
`telemetry`      spans and metrics for OpenTelemetry
===============  ======================================================================

`replay` keeps its markers in a store: `MemoryStore`, `SqliteStore`, `RedisStore` or
`PostgresStore`. `salesforce_auth` logs in to Salesforce, and `salesforce` gives all the
arguments of a client for it, as `cumulocity`, `genesys` and `servicenow` do for theirs.
`traced_store` makes spans of the writes of a store.

For those who write their own: `Operators` is what `Extension.operators` gives; `Request` and
`Joined` are what `Extension.around_request` and `Extension.join` are given.
"""

from rx_cometd.extension import Joined, Operators, PayloadOperator, Request
from rx_cometd.extensions.ack import Ack, ack
from rx_cometd.extensions.bearer_auth import BearerAuth, BearerToken, TokenProvider, bearer_auth
from rx_cometd.extensions.binary import binary
from rx_cometd.extensions.cumulocity import CumulocitySettings, cumulocity
from rx_cometd.extensions.genesys import GenesysSettings, genesys
from rx_cometd.extensions.log_payloads import log_payloads
from rx_cometd.extensions.postgres_store import PostgresStore
from rx_cometd.extensions.redis_store import RedisStore
from rx_cometd.extensions.replay import Replay, replay
from rx_cometd.extensions.replay_store import (
    AsyncReplayStore,
    MemoryStore,
    ReplayId,
    ReplayOption,
    ReplayStore,
)
from rx_cometd.extensions.salesforce import SalesforceSettings, salesforce
from rx_cometd.extensions.salesforce_auth import SalesforceAuth, salesforce_auth
from rx_cometd.extensions.servicenow import ServiceNowSettings, servicenow
from rx_cometd.extensions.sqlite_store import SqliteStore
from rx_cometd.extensions.telemetry import telemetry
from rx_cometd.extensions.timestamp import timestamp
from rx_cometd.extensions.timesync import TimeSync, timesync
from rx_cometd.extensions.trace_context import trace_context
from rx_cometd.extensions.traced_store import traced_store

__all__ = [
    "Ack",
    "AsyncReplayStore",
    "BearerAuth",
    "BearerToken",
    "CumulocitySettings",
    "GenesysSettings",
    "Joined",
    "MemoryStore",
    "Operators",
    "PayloadOperator",
    "PostgresStore",
    "RedisStore",
    "Replay",
    "ReplayId",
    "ReplayOption",
    "ReplayStore",
    "Request",
    "SalesforceAuth",
    "SalesforceSettings",
    "ServiceNowSettings",
    "SqliteStore",
    "TimeSync",
    "TokenProvider",
    "ack",
    "bearer_auth",
    "binary",
    "cumulocity",
    "genesys",
    "log_payloads",
    "replay",
    "salesforce",
    "salesforce_auth",
    "servicenow",
    "telemetry",
    "timestamp",
    "timesync",
    "trace_context",
    "traced_store",
]
