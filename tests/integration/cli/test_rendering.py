"""Colours: on terminals, and only there."""

from __future__ import annotations

import asyncio
import os
import pty
import sys
from typing import TYPE_CHECKING

import pytest

from tests.integration.cli.commands import COMMAND, ENVIRONMENT, ROOT
from tests.integration.cli.test_demo import read_all

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

    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(*COMMAND, "call", bayeux_server.url, "/service/echo", '{"a": 1}'),
        *("--pretty", "--data"),
        cwd=ROOT,
        env={**ENVIRONMENT, **variables},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = await asyncio.to_thread(read_all, ours)
    assert await process.wait() == 0
    assert ("\x1b[" in shown) == coloured
    assert '"a"' in shown
