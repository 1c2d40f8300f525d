"""What the transports have in common: addresses, and credentials that are given twice."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from yarl import URL

from rx_cometd._transports.base import TransportOptions, as_http, check_credentials
from rx_cometd.exceptions import TransportError


def options_of(url: str, **more: Any) -> TransportOptions:
    return TransportOptions(URL(url), True, None, 1, None, **more)


@pytest.mark.parametrize(
    ("given", "sent_to"),
    [
        ("http://h/cometd", "http://h/cometd"),
        ("ws://h/cometd", "http://h/cometd"),
        ("https://h:8443/cometd?a=1", "https://h:8443/cometd?a=1"),
        ("wss://h/deep%20er;x?a=1&b=%C3%BC", "https://h/deep%20er;x?a=1&b=%C3%BC"),
    ],
)
def test_payloads_go_to_the_address_with_the_http_scheme(given: str, sent_to: str) -> None:
    assert str(options_of(given).address) == sent_to
    assert as_http(URL(given)) == URL(sent_to)


def test_another_origin_keeps_the_path_and_the_query() -> None:
    moved: list[URL | None] = [None, URL("https://other:8443"), URL("wss://third/ignored?x=1")]
    options = options_of("ws://h/cometd/68.0?a=1", origin=lambda: moved[0])
    assert str(options.address) == "http://h/cometd/68.0?a=1"
    moved.pop(0)
    assert str(options.address) == "https://other:8443/cometd/68.0?a=1"  # asked anew
    moved.pop(0)
    assert str(options.address) == "https://third/cometd/68.0?a=1"


TWICE: list[tuple[str, dict[str, str], dict[str, str]]] = [
    ("http://user:secret@h/", {"Authorization": "Bearer x"}, {}),
    ("http://user:secret@h/", {"AUTHORIZATION": "Bearer x"}, {}),
    ("http://user@h/", {}, {"authorization": "Bearer x"}),
    ("http://:secret@h/", {"authorization": ""}, {}),
]


@pytest.mark.parametrize(("address", "headers", "of_the_session"), TWICE)
async def test_credentials_that_are_given_twice_are_told_and_not_shown(
    address: str, headers: dict[str, str], of_the_session: dict[str, str]
) -> None:
    async with aiohttp.ClientSession(headers=of_the_session) as http:
        with pytest.raises(TransportError, match="two credentials for h:") as caught:
            check_credentials(URL(address), headers, http)
    assert caught.value.final
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "headers"),
    [
        ("http://h/", {"Authorization": "Bearer x"}),
        ("http://user:secret@h/", {}),
        ("http://user:secret@h/", {"X-Authorization": "x"}),
    ],
)
async def test_credentials_that_are_given_once_are_fine(
    address: str, headers: dict[str, str]
) -> None:
    async with aiohttp.ClientSession() as http:
        check_credentials(URL(address), headers, http)
