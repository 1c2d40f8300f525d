from __future__ import annotations

import logging
from typing import Any

import pytest
from multidict import CIMultiDict

from rx_cometd.extension import Payload
from rx_cometd.extensions.log_payloads import log_payloads
from tests.unit.extensions.composed import Composed

SECRET = "6e3b41"


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_a_line_for_each_message_in_both_directions(caplog: pytest.LogCaptureFixture) -> None:
    session = Composed(log_payloads())
    with caplog.at_level(logging.DEBUG, "rx_cometd.payloads"):
        sent = session.send({"channel": "/a", "data": {"é": 1}}, {"channel": "/b"})
        received = session.receive({"channel": "/c", "data": None})
    assert lines(caplog) == [
        '> {"channel": "/a", "data": {"é": 1}}',
        '> {"channel": "/b"}',
        '< {"channel": "/c", "data": null}',
    ]
    assert session.sent == [sent]
    assert session.received == [received]


def test_logger_and_level_of_the_users(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("tests.wire")
    session = Composed(log_payloads(logger, logging.INFO))
    with caplog.at_level(logging.INFO, "tests.wire"):
        session.send({"channel": "/a"})
    assert [(record.name, record.levelno) for record in caplog.records] == [
        ("tests.wire", logging.INFO)
    ]


def test_formats_nothing_while_the_level_is_off(caplog: pytest.LogCaptureFixture) -> None:
    class Costly:
        def __repr__(self) -> str:
            pytest.fail("it was formatted")

    with caplog.at_level(logging.INFO, "rx_cometd.payloads"):
        Composed(log_payloads()).send({"channel": "/a", "data": Costly()})
    assert lines(caplog) == []


@pytest.mark.parametrize(
    "name",
    [
        "token",
        "access_token",
        "xsrfToken",
        "password",
        "user-passwd",
        "pwd",
        "authn",
        "Authorization",
        "authentication",
        "com.devexperts.auth.AuthToken",
        "com.cumulocity.authn",
        "client_secret",
        "credentials",
        "apiKey",
        "X-API-Key",
        "privateKey",
        "sessionId",
        "tfa",
        "jwt",
    ],
)
def test_secrets_are_hidden_at_any_depth(name: str, caplog: pytest.LogCaptureFixture) -> None:
    values: list[Any] = [SECRET, {"a": SECRET}, [SECRET]]
    with caplog.at_level(logging.DEBUG, "rx_cometd.payloads"):
        for value in values:
            ext = {"x": [{"y": {name: value}}], "z": 1}
            message = {"channel": "/meta/handshake", "ext": ext}
            Composed(log_payloads()).send(message)
            assert message["ext"] is ext
            assert ext["x"] == [{"y": {name: value}}]
    assert SECRET not in caplog.text
    assert len(lines(caplog)) == 3
    for line in lines(caplog):
        assert f'"{name}": "***"' in line
        assert '"z": 1' in line


@pytest.mark.parametrize("name", ["author", "authors", "Author__c", "spinner", "ack", "replayId"])
def test_ordinary_names_are_shown(name: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "rx_cometd.payloads"):
        Composed(log_payloads()).send({"channel": "/a", "data": {name: "seen"}})
    assert "seen" in caplog.text


def test_headers_are_shown_without_credentials(caplog: pytest.LogCaptureFixture) -> None:
    headers = CIMultiDict(
        {
            "Authorization": SECRET,
            "proxy-authorization": SECRET,
            "Cookie": SECRET,
            "X-Auth-Token": SECRET,
            "WWW-Authenticate": "Bearer",
            "Accept": "*/*",
        }
    )
    headers.add("Set-Cookie", SECRET)
    headers.add("Set-Cookie", SECRET)
    operator = log_payloads().operators().inbound
    assert operator is not None
    with caplog.at_level(logging.DEBUG, "rx_cometd.payloads"):
        from reactivex import of

        operator(of(Payload([], headers))).subscribe()
    assert SECRET not in caplog.text
    [line] = lines(caplog)
    assert line.startswith("< headers ")
    assert line.count('["Set-Cookie", "***"]') == 2
    assert '["WWW-Authenticate", "Bearer"]' in line
    assert '["Accept", "*/*"]' in line


def test_what_json_cannot_say_is_shown_as_python_would(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "rx_cometd.payloads"):
        Composed(log_payloads()).send({"channel": "/a", "data": {1: b"x", "t": (1, "\n")}})
    assert lines(caplog) == [r"""> {"channel": "/a", "data": {"1": "b'x'", "t": [1, "\n"]}}"""]
