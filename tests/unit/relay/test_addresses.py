from __future__ import annotations

import pytest

from rx_cometd.relay.addresses import servers_of


@pytest.mark.parametrize(
    ("url", "servers"),
    [
        ("nats://a", ["nats://a"]),
        ("tls://a:1/", ["tls://a:1"]),
        ("kafka://a:1,[::1]:2", ["kafka://a:1", "kafka://[::1]:2"]),
        ("nats://me:a@b@c,d:1,you:x@e", ["nats://me:a@b@c", "nats://me:a@b@d:1", "nats://you:x@e"]),
    ],
)
def test_each_server_has_an_address_of_its_own(url: str, servers: list[str]) -> None:
    assert servers_of(url) == servers
