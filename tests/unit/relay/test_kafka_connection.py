from __future__ import annotations

import ssl

import pytest

from rx_cometd.relay import BrokerError
from rx_cometd.relay.kafka_client import aiokafka
from rx_cometd.relay.kafka_connection import client_of, client_options


def test_the_servers_and_what_else_was_given() -> None:
    options = client_options("kafka://a:1,b", {"request_timeout_ms": 7})
    assert options == {"bootstrap_servers": ["a:1", "b"], "request_timeout_ms": 7}


@pytest.mark.parametrize("context", [None, {}, {"cadata": None}])
def test_a_file_can_ask_for_tls(context: dict[str, None] | None) -> None:
    told = {"security_protocol": "SASL_SSL"} | ({} if context is None else {"ssl_context": context})
    made = client_options("kafka://a", told)["ssl_context"]
    assert isinstance(made, ssl.SSLContext)
    assert made.verify_mode is ssl.CERT_REQUIRED


def test_a_context_that_is_one_stays_as_it_is() -> None:
    context = ssl.create_default_context()
    told = {"security_protocol": "SSL", "ssl_context": context}
    assert client_options("kafka://a", told)["ssl_context"] is context


@pytest.mark.parametrize("wrong", [{"nope": 1}, {"security_protocol": "TLS"}])
async def test_options_that_are_none_are_told(wrong: dict[str, object]) -> None:
    with pytest.raises(BrokerError, match="refuses the options"):
        client_of(aiokafka.AIOKafkaProducer, **client_options("kafka://a", wrong))
