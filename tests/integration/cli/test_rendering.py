"""Colours: on terminals, and only there."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.integration.cli.commands import COMMAND
from tests.integration.cli.terminal import at_terminal

if TYPE_CHECKING:
    from rx_cometd.testing import BayeuxServer, ServiceRequest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")


@pytest.mark.parametrize(
    ("variables", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
)
async def test_pretty_json_is_coloured_on_a_terminal(
    variables: dict[str, str], coloured: bool, bayeux_server: BayeuxServer
) -> None:
    @bayeux_server.service("/service/echo")
    def echo(request: ServiceRequest) -> object:
        return request.data

    call = ("call", bayeux_server.url, "/service/echo", '{"a": 1}', "--pretty", "--data")
    async with at_terminal(*COMMAND, *call, variables=variables) as terminal:
        assert await terminal.end() == 0
    shown = terminal.shown.decode()
    assert ("\x1b[" in shown) == coloured
    assert '"a"' in shown
