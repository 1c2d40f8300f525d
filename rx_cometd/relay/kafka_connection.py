"""Kafka as the brokers' part of a relay sees it: its clients, and their errors told as ours."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from rx_cometd.relay.addresses import servers_of
from rx_cometd.relay.errors import BrokerError, BrokerUnavailableError, told
from rx_cometd.relay.kafka_client import errors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["as_ours", "client_of", "client_options", "unreachable"]

_connection: Final[Any] = import_module("aiokafka.conn")
_helpers: Final[Any] = import_module("aiokafka.helpers")

_CREDENTIALS: Final = (errors.AuthenticationFailedError, errors.SaslAuthenticationFailed)
_FORBIDDEN: Final = (
    errors.TopicAuthorizationFailedError,
    errors.GroupAuthorizationFailedError,
    errors.ClusterAuthorizationFailedError,
    errors.TransactionalIdAuthorizationFailed,
)
#: What a single connection can be given, of what a client can.
_OF_A_CONNECTION: Final = (
    "request_timeout_ms",
    "security_protocol",
    "ssl_context",
    "sasl_mechanism",
    "sasl_plain_username",
    "sasl_plain_password",
    "sasl_kerberos_service_name",
    "sasl_kerberos_domain_name",
    "sasl_oauth_token_provider",
)


def client_options(url: str, options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Give the arguments of aiokafka's clients.

    Args:
        url: ``kafka://host:port``, several of them with commas.
        options: Further ones. Where TLS is asked for without an ``ssl_context`` it is made, of
            the arguments of aiokafka's ``create_ssl_context`` if these are given as such.

    Raises:
        ValueError: It is no such address.
    """
    if "@" in url:  # not told again: it holds a password
        raise ValueError(
            "the address of Kafka names no user: give sasl_mechanism, sasl_plain_username and"
            " sasl_plain_password in its options"
        )
    made: dict[str, Any] = {
        "bootstrap_servers": [server.partition("://")[2] for server in servers_of(url)],
        **(options or {}),
    }
    context = made.get("ssl_context")
    if context is None and "SSL" in str(made.get("security_protocol")):
        context = {}
    if isinstance(context, dict):
        made["ssl_context"] = _helpers.create_ssl_context(**context)
    return made


def client_of(kind: Callable[..., Any], *topics: str, **options: Any) -> Any:
    """Make one of aiokafka's clients, or whatever takes such arguments.

    Raises:
        BrokerError: It does not take them.
    """
    try:
        return kind(*topics, **options)
    except (TypeError, ValueError, AssertionError) as error:
        raise BrokerError(f"Kafka's client refuses the options: {error}") from error


async def as_ours(error: Exception, options: Mapping[str, Any]) -> BrokerError:
    """Tell an error of aiokafka as one of ours.

    Args:
        error: The error.
        options: Those of the client. If it did not get as far as a connection, one is made with
            them to learn why: aiokafka only logs that.
    """
    if isinstance(error, BrokerError):
        return error
    if isinstance(error, errors.KafkaConnectionError) and "bootstrap" in str(error):
        error = await unreachable(options) or error
    if isinstance(error, _CREDENTIALS):
        return BrokerError("Kafka refused the credentials")
    if isinstance(error, _FORBIDDEN):
        return BrokerError(f"Kafka does not permit it: {told(error)}")
    return BrokerUnavailableError(f"Kafka: {told(error)}")


async def unreachable(options: Mapping[str, Any]) -> Exception | None:
    """Connect to the servers, to see what that raises; ``None`` if one of them is there."""
    of_a_connection = {name: options[name] for name in _OF_A_CONNECTION if name in options}
    last: Exception | None = None
    for host, port, _ in _connection.collect_hosts(options["bootstrap_servers"]):
        try:
            connection = await _connection.create_conn(host, port, **of_a_connection)
        except (errors.KafkaError, OSError, TimeoutError) as error:
            last = error
        else:
            await connection.close()
            return None
    return last
