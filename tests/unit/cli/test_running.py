from __future__ import annotations

import errno
import socket

import pytest

from rx_cometd import (
    AuthenticationError,
    BufferOverflowError,
    ClientError,
    CometDError,
    ServerError,
    TransportError,
    TransportTimeoutError,
)
from rx_cometd.cli.running import error_line, exit_code


def caused(error: CometDError, cause: BaseException) -> CometDError:
    error.__cause__ = cause
    return error


NO_LINK = TransportTimeoutError("no link for 10 s")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ServerError("refused", {"error": "403::no"}), "refused: refused: 403::no"),
        (TransportError("two\nlines"), "network: two lines"),
        (TransportError("is it right?"), "network: is it right?"),
        (
            AuthenticationError("is the token right?"),
            "not authenticated: is the token right? Give a token with --auth",
        ),
        (
            caused(NO_LINK, TransportError("certificate verify failed: self-signed")),
            (
                "network: no link for 10 s; last: certificate verify failed: self-signed;"
                " trust it with --cacert FILE, or use --insecure"
            ),
        ),
        (
            socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
            "Name or service not known; is --host a name or address of this machine?",
        ),
        (
            BufferOverflowError(9),
            (
                "error: the consumer is too slow: more than 9 messages were pending;"
                " --ack makes the server wait"
            ),
        ),
        (OSError(errno.EACCES, "Permission denied"), "Permission denied"),
    ],
)
def test_an_error_is_told_in_one_line(error: Exception, line: str) -> None:
    assert error_line(error) == line


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ServerError("no"), 1),
        (AuthenticationError("no"), 1),
        (ClientError("no"), 1),
        (OSError(), 1),
        (TransportError("no"), 3),
        (caused(ClientError("nothing in common"), TransportError("HTTP 404")), 3),
        (caused(ServerError("no"), TransportError("HTTP 500")), 1),
    ],
)
def test_exit_codes(error: Exception, code: int) -> None:
    assert exit_code(error) == code
